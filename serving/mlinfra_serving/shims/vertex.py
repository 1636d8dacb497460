"""Vertex AI's contract: port and routes from AIP_ variables, `{"instances": [{…}]}` to `{"predictions": […]}`.

Source: "Custom container requirements for prediction", Vertex AI documentation. A V2 body (sent through
rawPredict) is answered in V2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlinfra_serving.shims import Shim

if TYPE_CHECKING:
    from mlinfra_serving.decoding import Request
    from mlinfra_serving.signature import Signature


def shim(environment: Mapping[str, str]) -> Shim:
    """Return the contract, with the port, the routes and the model's place that Vertex AI has set."""
    return Shim(
        host="0.0.0.0",
        port=environment.get("AIP_HTTP_PORT", "8080"),
        model=environment.get("AIP_STORAGE_URI"),
        health_route=environment.get("AIP_HEALTH_ROUTE", "/health"),
        predict_route=environment.get("AIP_PREDICT_ROUTE", "/predict"),
        decode=decode,
    )


def decode(body: bytes, content_type: str, signature: Signature) -> Request:
    """Read `instances`, or a V2 body where there are none."""
    from mlinfra_serving.decoding import decode_instances, decode_tensors, parse_object

    document = parse_object(body)
    if "instances" in document:
        return decode_instances(document, signature)
    return decode_tensors(document, signature)
