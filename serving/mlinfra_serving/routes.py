"""The routes: those of the Open Inference Protocol V2, metrics, and those of the target's own contract.

KServe's routes to load and unload models are left out: one process serves one release, and what it serves is not
changed by whoever can reach it. Its V2 `infer` is replaced, because it answers wrong values with 422 or 500.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlinfra_serving.decoding import decode_v2
from mlinfra_serving.kserve_sdk import (
    DataPlane,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
    V2Endpoints,
    metrics_handler,
)
from mlinfra_serving.model import Call, ServedModel
from mlinfra_serving.shims import Decode, Shim

MAX_BODY_BYTES = 32 * 1024 * 1024
_logger = logging.getLogger("mlinfra.serving")


def add_routes(app: FastAPI, plane: DataPlane, model: ServedModel, shim: Shim) -> None:
    """Add all routes to `app`; the contract's own first, since one of them may be `/`."""
    if shim.health_route is not None:
        app.router.routes.append(Route(shim.health_route, _health(model), methods=["GET"]))
    if shim.predict_route is not None and shim.decode is not None:
        app.router.routes.append(Route(shim.predict_route, _predict(model, shim.decode), methods=["POST"]))
    v2 = V2Endpoints(plane)
    app.router.routes.append(Route("/v2/models/{model_name}/infer", _predict(model, decode_v2), methods=["POST"]))
    _add(app, "/v2", v2.metadata)
    _add(app, "/v2/health/live", v2.live)
    _add(app, "/v2/health/ready", v2.ready)
    _add(app, "/v2/models", v2.models)
    _add(app, "/v2/models/{model_name}", v2.model_metadata)
    _add(app, "/v2/models/{model_name}/ready", v2.model_ready)
    app.router.routes.append(Route("/metrics", metrics_handler, methods=["GET"]))
    _add(app, "/", plane.live)


def _add(app: FastAPI, path: str, endpoint: Any) -> None:
    # the application's own default, ORJSONResponse, is deprecated and warns at each use
    app.add_api_route(path, endpoint, response_class=JSONResponse)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error with `{"error": "…"}`; only those of the server itself are logged."""
    statuses = {InvalidInput: 400, ModelNotFound: 404, ModelNotReady: 503, ServerNotReady: 503}
    for kind, status in statuses.items():
        app.add_exception_handler(kind, _handler(status))

    async def http_error(request: Request, error: Any) -> Response:
        return _error(error.status_code, str(error.detail), error.headers)

    async def failure(request: Request, error: Exception) -> Response:
        return _error(500, f"{type(error).__name__}: {error}")

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, failure)


def _health(model: ServedModel) -> Any:
    async def health(request: Request) -> Response:
        if not await model.healthy():
            raise ModelNotReady(model.name)
        return Response(b'{"ready":true}', media_type="application/json")

    return health


def _predict(model: ServedModel, decode: Decode) -> Any:
    async def predict(request: Request) -> Response:
        asked = request.path_params.get("model_name", model.name)
        if asked != model.name:
            raise ModelNotFound(asked)
        call = Call(await _body(request), request.headers.get("content-type", ""), decode)
        try:
            # not through KServe's data plane, which loads a model again that is not ready because it drains
            (read, answer), _ = await model(call, headers=dict(request.headers))
        except InvalidInput:
            raise
        except Exception as error:
            _logger.exception("the model failed")
            return _error(500, f"the model failed: {type(error).__name__}: {error}")
        return Response(read.encode(answer), media_type="application/json")

    return predict


async def _body(request: Request) -> bytes:
    """Return the body.

    Raises:
        InvalidInput: it holds binary tensors.
        HTTPException: it is too large (status 413).
    """
    if "inference-header-content-length" in request.headers:
        raise InvalidInput("body: found binary tensors, expected JSON: send the data in the field data")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"body: more than {MAX_BODY_BYTES} bytes; send fewer rows at once")
    except ClientDisconnect:
        raise InvalidInput("body: the connection was closed before its end") from None
    return bytes(body)


def _handler(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> Response:
        return _error(status, str(error))

    return handle


def _error(status: int, message: str, headers: Any = None) -> Response:
    body = orjson.dumps({"error": message.encode("utf-8", "replace").decode()})
    return Response(body, status_code=status, headers=headers, media_type="application/json")
