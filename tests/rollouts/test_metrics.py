"""A Prometheus that says nothing of use is no yes: the share stays, and goes back at the deadline."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlinfra.rollout.record import Phase
from tests.rollouts.load import load
from tests.rollouts.world import ENV, World

pytestmark = [pytest.mark.engine, pytest.mark.local]


class Prometheus(ThreadingHTTPServer):
    """Answers every query in the same way."""

    status = 200
    body = b""
    seconds = 0.0

    def says(self, value: str) -> None:
        """Answer with a number, as text."""
        result = [{"metric": {}, "value": [time.time(), value]}]
        answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
        self.body = json.dumps(answer).encode()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as the server was told to."""
        assert isinstance(self.server, Prometheus)
        time.sleep(self.server.seconds)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus(world: World) -> Iterator[Prometheus]:
    """A Prometheus that the only gate of the rollout asks."""
    server = Prometheus(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    gate = {"metric": "prometheus", "operator": "<=", "value": 0.5, "argument": "errors", "address": server.url}
    world.environment(bake="2s", patience="3s", gates=json.dumps([gate]))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("answer", ["NaN", "error 500", "nothing"])
def test_no_number_is_no_data(world: World, prometheus: Prometheus, answer: str) -> None:
    prometheus.says("NaN")
    if answer == "error 500":
        prometheus.status, prometheus.body = 500, b"out of memory"
    if answer == "nothing":
        prometheus.body = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
    with load(world, ENV) as told:
        assert world.turn_until(lambda standing: not standing.waits).stopped
    assert told.failures == []
    assert told.shares(world.new.short) == [0, 10, 0]
    failure = world.record().failure(world.new.short)
    assert failure is not None
    assert "no data" in failure.reason


def test_a_late_number_is_waited_for_and_decides(world: World, prometheus: Prometheus) -> None:
    prometheus.says("0.1")
    prometheus.seconds = 1
    with load(world, ENV) as told:
        world.climb_to(1)
        prometheus.says("0.9")
        assert world.turn_until(lambda standing: not standing.waits).stopped
    assert told.failures == []
    assert told.shares(world.new.short) == [0, 10, 50, 0]
    assert world.record().phase is Phase.FAILED
