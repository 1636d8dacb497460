"""The server: KServe's, with one worker, bound to one address, and a drain before its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from mlinfra_serving.kserve_sdk import DataPlane, ModelServer, RESTServer
from mlinfra_serving.middleware import Outermost
from mlinfra_serving.model import ServedModel
from mlinfra_serving.routes import add_error_handlers, add_routes
from mlinfra_serving.shims import Shim

_FINISH_SECONDS = 30
_KEEP_ALIVE_SECONDS = 3605
"""Above Envoy's hour for idle connections: the router closes them, so none is closed while it sends a request."""

_logger = logging.getLogger("mlinfra.serving")


class _Plane(DataPlane):  # type: ignore[misc]
    """KServe's own says that the server is ready whatever its models are."""

    async def ready(self) -> bool:
        return all([await model.healthy() for model in self.model_registry.get_models().values()])


class _Draining(uvicorn.Server):
    """A uvicorn server that, on SIGTERM, says that it is not ready, still answers for a while, and then ends."""

    def __init__(self, config: uvicorn.Config, model: ServedModel, outermost: Outermost, seconds: float) -> None:
        super().__init__(config)
        self._model = model
        self._outermost = outermost
        self._seconds = seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _drain(self) -> None:
        if self._outermost.draining:
            self.should_exit = True
            return
        self._model.ready = False
        self._outermost.draining = True
        _logger.info("draining for %g seconds", self._seconds)
        asyncio.get_running_loop().call_later(self._seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True


class _Rest(RESTServer):  # type: ignore[misc]
    """KServe's REST server with the routes of this package, on a socket that is bound already."""

    def __init__(self, served: ServedModel, shim: Shim, drain_seconds: float, **arguments: Any) -> None:
        super().__init__("kserve.model_server:app", **arguments)
        self._served = served
        self._shim = shim
        outermost = Outermost("kserve.model_server:app", served.release, served.artifact)
        # the outermost layer, so that errors of the layers within carry the release too
        self.config.app = outermost
        self.config.access_log = False
        self._server = _Draining(self.config, served, outermost, drain_seconds)

    def _add_middlewares(self, app: Any) -> None:
        """Add none: KServe's prints timings."""

    def _register_endpoints(self, app: Any) -> None:
        add_routes(app, self.dataplane, self._served, self._shim)

    def _add_exception_handlers(self, app: Any) -> None:
        add_error_handlers(app)

    async def serve(self, bound: socket.socket) -> None:
        self.create_application()
        await self._server.serve(sockets=[bound])


class Server(ModelServer):  # type: ignore[misc]
    """KServe's model server for one model."""

    def __init__(self, shim: Shim, drain_seconds: float) -> None:
        super().__init__(
            workers=1,
            enable_grpc=False,
            enable_latency_logging=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            grace_period=_FINISH_SECONDS,
        )
        self.dataplane = _Plane(model_registry=self.registered_models)
        self._shim = shim
        self._drain_seconds = drain_seconds

    def serve(self, served: ServedModel, bound: socket.socket) -> None:
        """Serve a model that is ready until SIGTERM or SIGINT, and return when the last request is answered."""
        self._register_and_check_atleast_one_model_is_ready([served])
        rest = _Rest(
            served,
            self._shim,
            self._drain_seconds,
            data_plane=self.dataplane,
            model_repository_extension=self.model_repository_extension,
            http_port=bound.getsockname()[1],
            grace_period=self.grace_period,
            timeout_keep_alive=self.timeout_keep_alive,
        )
        asyncio.run(rest.serve(bound))
