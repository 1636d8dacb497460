"""Tiny servers that can be killed, a client, and a real Envoy before them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic

# Answers with its release; remembers what was asked; takes as long as the header x-seconds says; fails where the
# header x-fails names it.
SERVE = """
import http.server, json, sys, time
release, port = sys.argv[1], int(sys.argv[2])
seen = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def answer(self, body):
        self.send_response(500 if self.headers.get("x-fails") == release else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-mlinfra-release", release)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(json.dumps(seen).encode() if self.path == "/seen" else b"ok")
    def do_POST(self):
        size = len(self.rfile.read(int(self.headers["content-length"])))
        seen.append([self.headers["host"], self.headers.get("x-test", ""), size])
        time.sleep(float(self.headers.get("x-seconds", 0)))
        self.answer(b"{}")
    def log_message(self, *arguments): pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
print("ready", flush=True) if (server := Server(("127.0.0.1", port), Handler)) else None
server.serve_forever()
"""


@dataclass
class Servers:
    """The servers behind the router, by release."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, release: str) -> None:
        if release not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[release] = probe.getsockname()[1]
        script = self.folder / "serve.py"
        script.write_text(SERVE)
        command = [sys.executable, "-S", str(script), release, str(self.ports[release])]
        self.running[release] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stdout = self.running[release].stdout
        assert stdout
        assert stdout.readline() == "ready\n"

    def kill(self, release: str) -> None:
        with self.running.pop(release) as process:
            process.kill()

    def seen(self, release: str, test: str) -> list[tuple[str, int]]:
        """The hosts and body sizes of the requests of one test that the server of a release got."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[release], timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/seen")
            return [(host, size) for host, name, size in json.load(connection.getresponse()) if name == test]


class Client(contextlib.AbstractContextManager["Client"]):
    """One connection to the endpoint, kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def infer(self, *, body: bytes = b"{}", **headers: str) -> tuple[int, str]:
        """Return the status, and the release that answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("POST", "/v2/models/flight-delay/infer", body, named)
        response = self._connection.getresponse()
        response.read()
        return response.status, response.headers.get("x-mlinfra-release", "")


def until(look: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{look} did not come true in {seconds} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    found = Servers(tmp_path_factory.mktemp("servers"))
    for release in ("v1", "v2"):
        found.start(release)
    yield found
    for release in list(found.running):
        found.kill(release)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    folder = tmp_path_factory.mktemp("router")
    found = Router(Layout(folder, "dev"), "flight-delay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        try:
            yield found
        finally:
            Supervisor(found.layout).stop()


GENERATIONS = itertools.count(1)


@pytest.fixture
def split(router: Router, servers: Servers) -> Callable[..., Traffic]:
    """Apply a split of the two servers, both up, as the next generation."""

    def apply(weights: dict[str, int], **more: Any) -> Traffic:
        router.start()
        for release in {"v1", "v2"} - {*servers.running}:
            servers.start(release)
        traffic = Traffic(next(GENERATIONS), weights, dict(servers.ports), **more)
        router.apply(traffic)
        until(lambda: all(each.healthy for each in router.observe().upstreams.values()))
        return traffic

    return apply


def envoy_pid(router: Router) -> int | None:
    state = Supervisor(router.layout).status().get(router.program)
    return state.pid if state else None
