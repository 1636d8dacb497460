"""The outermost layer of the application: the release on every answer, counters, and the drain."""

from __future__ import annotations

from typing import Any

from uvicorn.importer import import_from_string

from mlinfra_serving import metrics

RELEASE_HEADER = b"x-mlinfra-release"
ARTIFACT_HEADER = b"x-mlinfra-artifact"


class Outermost:
    """An ASGI application around another, which is named as `module:attribute`."""

    def __init__(self, inner: str, release: str, artifact: str) -> None:
        self._inner = import_from_string(inner)
        self._release = (RELEASE_HEADER, release.encode())
        self._artifact = (ARTIFACT_HEADER, artifact.encode())
        self.draining = False
        """Set while the process ends: every answer then closes its connection, so that the client leaves."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request, or the application's start and end."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        counted = scope["method"] == "POST"

        async def send_with_release(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), self._release]
                if not counted:
                    headers.append(self._artifact)
                if self.draining:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
                if counted:
                    metrics.REQUESTS.labels(code=str(message["status"])).inc()
            await send(message)

        if not counted:
            await self._inner(scope, receive, send_with_release)
            return
        with metrics.IN_FLIGHT.track_inprogress():
            await self._inner(scope, receive, send_with_release)
