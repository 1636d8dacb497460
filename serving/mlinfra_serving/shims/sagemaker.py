"""Amazon SageMaker's contract: `GET /ping` and `POST /invocations` on port 8080, the model in /opt/ml/model.

Source: "Use your own inference code with hosting services", Amazon SageMaker developer guide. Bodies are V2
JSON, or CSV with a header row or in the order of the signature; the answer is V2 JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlinfra_serving.shims import Shim

if TYPE_CHECKING:
    from mlinfra_serving.decoding import Request
    from mlinfra_serving.signature import Signature


def shim(environment: Mapping[str, str]) -> Shim:
    """Return the contract."""
    return Shim(
        host="0.0.0.0",
        port=environment.get("SAGEMAKER_BIND_TO_PORT", "8080"),
        model=environment.get("SM_MODEL_DIR", "/opt/ml/model"),
        health_route="/ping",
        predict_route="/invocations",
        decode=decode,
    )


def decode(body: bytes, content_type: str, signature: Signature) -> Request:
    """Read V2 JSON, or CSV where the content type says so."""
    from mlinfra_serving.decoding import decode_csv, decode_v2

    if content_type.partition(";")[0].strip().lower() == "text/csv":
        return decode_csv(body, content_type, signature)
    return decode_v2(body, content_type, signature)
