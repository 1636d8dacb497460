"""HTTP and XML-RPC over a Unix socket, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to the server behind a Unix socket."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC to the server behind a Unix socket."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return UnixConnection(self._path, timeout=self._timeout)


def request(path: Path, target: str, *, method: str = "GET", timeout: float = 5) -> bytes:
    """Return the body of the answer to one request.

    Raises:
        OSError: nothing listens there, or it does not answer in time.
        http.client.HTTPException: the answer is not HTTP.
        ValueError: the status is not 200.
    """
    connection = UnixConnection(path, timeout=timeout)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ValueError(f"{method} {target}: {response.status} {body[:200].decode(errors='replace')}")
    return body


def request_json(path: Path, target: str, *, timeout: float = 5) -> Any:
    """Return the JSON value of the answer to one GET request; raises as `request`."""
    return json.loads(request(path, target, timeout=timeout))
