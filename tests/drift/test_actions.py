"""What happens on drift: log line, webhook, block."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlinfra_serving.drift import actions
from mlinfra_serving.drift.actions import OnDrift, act, parse_on_drift

RELEASE = "3f9c2ab1"
TEMP = {"temp": {"metric": "js_divergence", "operator": "<=", "value": 0.1}}


def document(verdict: str, at: str = "2013-07-01T00:00:00+00:00") -> dict[str, Any]:
    column = {
        "column": "temp", "measure": "js_divergence", "value": 0.7, "floor": 0.01,
        "threshold": TEMP["temp"], "verdict": verdict,
    }  # fmt: skip
    return {
        "version": 1, "endpoint": "flight-delay", "release": RELEASE, "verdict": verdict, "computed_at": at,
        "columns": [column],
    }  # fmt: skip


def test_a_block_stays_until_a_window_without_drift(tmp_path: Path) -> None:
    block = tmp_path / actions.BLOCKED_FILE
    on_drift = parse_on_drift("block-promotion")
    act(on_drift, document("no data"), tmp_path)
    assert not block.exists()
    act(on_drift, document("drift", "first"), tmp_path)
    act(on_drift, document("drift", "second"), tmp_path)
    act(on_drift, document("no data", "third"), tmp_path)
    written = json.loads(block.read_text())
    assert written["since"] == "first"
    assert written["last_seen"] == "second"
    assert written["reason"] == "drift: temp js_divergence 0.7, not <= 0.1"
    assert written["measures"][0]["value"] == 0.7
    act(on_drift, document("ok"), tmp_path)
    assert not block.exists()
    act(on_drift, document("ok"), tmp_path)


def test_a_block_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / actions.BLOCKED_FILE).write_text("{")
    act(OnDrift("block-promotion"), document("drift", "now"), tmp_path)
    assert json.loads((tmp_path / actions.BLOCKED_FILE).read_text())["since"] == "now"


def test_log_says_which_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    act(OnDrift("log"), document("ok"), tmp_path)
    assert not caplog.records
    act(OnDrift("log"), document("drift"), tmp_path)
    assert "drift on endpoint flight-delay: temp js_divergence 0.7, not <= 0.1" in caplog.text
    assert not list(tmp_path.iterdir())


class Receiver(HTTPServer):
    """A webhook's receiver that fails a number of times before it accepts."""

    failures = 0
    bodies: list[dict[str, Any]]
    authorizations: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.server.authorizations.append(self.headers["Authorization"])
        self.send_response(503 if len(self.server.bodies) <= self.server.failures else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver(("127.0.0.1", 0), Handler)
    server.bodies, server.authorizations = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("failures", "tries", "reached"), [(0, 1, True), (2, 3, True), (9, 3, False)])
def test_a_webhook_is_tried_three_times(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, failures: int, tries: int, reached: bool
) -> None:
    caplog.set_level("INFO")
    receiver.failures = failures
    url = f"http://user:hidden-password@127.0.0.1:{receiver.server_port}/hidden-path?token=hidden-token"
    on_drift = parse_on_drift(f"webhook:{url}")
    act(on_drift, document("drift"), tmp_path, backoff_seconds=0.01)
    assert len(receiver.bodies) == tries
    assert receiver.bodies[0] == document("drift")
    assert receiver.authorizations[0] is not None
    assert ("was not reached" in caplog.text) != reached
    assert "hidden" not in caplog.text + repr(on_drift)


def test_a_webhook_that_nobody_answers_is_not_fatal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Receiver(("127.0.0.1", 0), Handler)
    port = server.server_port
    server.server_close()
    on_drift = parse_on_drift(f"webhook:http://127.0.0.1:{port}/hidden")
    act(on_drift, document("drift"), tmp_path, backoff_seconds=0.01)
    assert f"webhook at http://127.0.0.1:{port}: ConnectError" in caplog.text
    assert "hidden" not in caplog.text


def test_a_webhook_hears_of_drift_only(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLINFRA_TEST_WEBHOOK", f"http://127.0.0.1:{receiver.server_port}/")
    for verdict in ("ok", "no data", "drift"):
        act(parse_on_drift("webhook:$MLINFRA_TEST_WEBHOOK"), document(verdict), tmp_path)
    assert [body["verdict"] for body in receiver.bodies] == ["drift"]
