"""KServe's SDK, imported without its side effects: what this package uses of it, in one place.

KServe reads `sys.argv` while it is imported (and takes `--mode` for an abbreviation of its `--model_name`), and
sets up loggers of three lines a request when its own logger has no handler.
"""

from __future__ import annotations

import logging
import sys

_arguments, sys.argv = sys.argv, sys.argv[:1]
try:
    from kserve import Model, ModelServer  # type: ignore[import-untyped]
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady  # type: ignore[import-untyped]
    from kserve.model_server import app  # type: ignore[import-untyped]
    from kserve.protocol.dataplane import DataPlane  # type: ignore[import-untyped]
    from kserve.protocol.rest.server import RESTServer, metrics_handler  # type: ignore[import-untyped]
    from kserve.protocol.rest.v2_endpoints import V2Endpoints  # type: ignore[import-untyped]
finally:
    sys.argv = _arguments

for _name in ("kserve", "kserve.trace"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).setLevel(logging.WARNING)

__all__ = [
    "DataPlane",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "ModelServer",
    "RESTServer",
    "ServerNotReady",
    "V2Endpoints",
    "app",
    "metrics_handler",
]
