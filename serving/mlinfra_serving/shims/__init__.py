"""Shims: what each cloud asks of a serving container, translated onto the one prediction function.

A contract is a health route, a prediction route, a way to read bodies, and where the model and the port are
named. One module per contract; the server adds its routes to those of V2, which are there in every mode.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.problems import MlinfraError, nearest

if TYPE_CHECKING:
    from mlinfra_serving.decoding import Request
    from mlinfra_serving.signature import Signature

MODES = ("v2", "sagemaker", "vertex", "azureml")

Decode = Callable[[bytes, str, "Signature"], "Request"]
"""From a body, its content type and the signature to a request; raises `InvalidInput`."""


@dataclass(frozen=True)
class Shim:
    """One contract. `None` means that the contract does not say: the settings must."""

    host: str
    port: str | None = None
    model: str | None = None
    health_route: str | None = None
    predict_route: str | None = None
    decode: Decode | None = None


def shim(mode: str, environment: Mapping[str, str]) -> Shim:
    """Return the contract of `mode`, with what `environment` says about it.

    Raises:
        MlinfraError: there is no such mode.
    """
    if mode not in MODES:
        near = nearest(mode, MODES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise MlinfraError(f"unknown mode {mode!r}, expected one of {', '.join(MODES)}{hint}")
    if mode == "v2":
        return Shim(host="127.0.0.1")
    module = importlib.import_module(f"mlinfra_serving.shims.{mode}")
    result: Shim = module.shim(environment)
    return result
