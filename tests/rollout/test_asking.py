"""What gates ask besides samples: a Prometheus over HTTP, real commands, and recorded approvals."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from mlinfra.rollout.asking import Asked, Asking


class Handler(BaseHTTPRequestHandler):
    """Answers what the test wants, and remembers what it was asked."""

    answer: ClassVar[tuple[int, bytes, float]] = (200, b"", 0)
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body, seconds = self.answer
        time.sleep(seconds)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.asked.clear()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def gives(body: Any, status: int = 200, seconds: float = 0) -> None:
    Handler.answer = (status, body if isinstance(body, bytes) else json.dumps(body).encode(), seconds)


def result(kind: str, value: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": value}}


def series(*values: str) -> dict[str, Any]:
    return result("vector", [{"metric": {}, "value": [1783070000.1, value]} for value in values])


def test_a_number_is_asked_for_by_the_published_api(prometheus: str, tmp_path: Path) -> None:
    gives(series("0.0125"))
    query = 'sum(rate(errors{job="api"}[5m])) & 1'
    assert Asking(tmp_path).prometheus(query, f"{prometheus}/proxy/") == Asked(0.0125)
    [path] = Handler.asked
    assert urlsplit(path).path == "/proxy/api/v1/query"
    assert parse_qs(urlsplit(path).query) == {"query": [query]}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (series(), 200, "the query gives 0 series, not one"),
        (series("1", "2"), 200, "the query gives 2 series, not one"),
        (series("NaN"), 200, "the query gives nan"),
        (series("+Inf"), 200, "the query gives inf"),
        (result("matrix", []), 200, "the query gives a matrix, not one number"),
        (result("vector", [{"metric": {}, "histogram": [1, {}]}]), 200, "something else than a result"),
        ({"status": "error", "error": "parse error: unexpected end"}, 400, "refuses the query: parse error"),
        (b"<html>", 502, "did not answer with JSON"),
        (b"[]", 200, "something else than a result"),
        (b"null", 200, "something else than a result"),
        (b"", 401, "did not answer with JSON"),
    ],
)
def test_whatever_is_no_number_is_no_data(
    prometheus: str, tmp_path: Path, body: Any, status: int, message: str
) -> None:
    gives(body, status)
    found = Asking(tmp_path).prometheus("up", prometheus)
    assert found.value is None
    assert message in found.message


def test_a_scalar_is_a_number(prometheus: str, tmp_path: Path) -> None:
    gives(result("scalar", [1783070000, "3"]))
    assert Asking(tmp_path).prometheus("scalar(up)", prometheus) == Asked(3)


def test_the_address_may_come_from_the_environment(
    prometheus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_URL", raising=False)
    missing = Asking(tmp_path).prometheus("up", None)
    assert (missing.value, "set PROMETHEUS_URL" in missing.message) == (None, True)
    gives(series("1"))
    monkeypatch.setenv("PROMETHEUS_URL", prometheus)
    assert Asking(tmp_path).prometheus("up", None) == Asked(1)


def test_who_does_not_answer_is_no_data_and_secrets_stay_secret(prometheus: str, tmp_path: Path) -> None:
    gives(series("1"), seconds=1)
    slow = Asking(tmp_path, prometheus_seconds=0.1).prometheus("up", prometheus)
    assert slow == Asked(None, "Prometheus did not answer within 0.1 s")
    for address in ("http://me:hush@127.0.0.1:1", "ftp://hush", "http://[hush", "hush"):
        found = Asking(tmp_path).prometheus("up", address)
        assert found.value is None
        assert found.message.startswith("Prometheus cannot be asked: ")
        assert "hush" not in found.message


def script(folder: Path, text: str) -> str:
    file = folder / "check it.sh"
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return "'./check it.sh'"


def test_a_command_is_asked_by_its_exit_code_and_says_its_last_line(tmp_path: Path) -> None:
    line = script(tmp_path, 'echo first; echo "in $PWD for $RELEASE" >&2; echo; exit $1')
    asking = Asking(tmp_path, variables={"RELEASE": "3f9c"})
    assert asking.command(f"{line} 0") == Asked(0, f"in {tmp_path} for 3f9c")
    assert asking.command(f"{line} 7") == Asked(7, f"in {tmp_path} for 3f9c")
    assert Asking(tmp_path).command("false") == Asked(1, "exit code 1")


def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    found = Asking(tmp_path).command("echo a; touch made $(touch made) `touch made` > made")
    assert found == Asked(0, "a; touch made $(touch made) `touch made` > made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("./not-there.sh", "the command could not be started: No such file or directory"),
        ("echo 'open", "the command cannot be read: No closing quotation"),
        ("   ", "the command is empty"),
        ("sh -c 'kill -9 $$'", "the command was ended by SIGKILL"),
        ("echo \0", "the command could not be started: embedded null byte"),
    ],
)
def test_a_command_that_gave_no_answer_is_no_data(tmp_path: Path, line: str, message: str) -> None:
    assert Asking(tmp_path).command(line) == Asked(None, message)


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    line = script(tmp_path, "sleep 600 & echo $! > child; wait")
    assert Asking(tmp_path, command_seconds=1).command(line) == Asked(None, "the command did not end within 1 s")
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while time.monotonic() < until and _lives(child):
        time.sleep(0.02)
    assert not _lives(child)


def test_what_a_command_leaves_running_does_not_keep_us(tmp_path: Path) -> None:
    line = script(tmp_path, "sleep 30 & echo $! > child; echo done")
    try:
        assert Asking(tmp_path, command_seconds=20).command(line) == Asked(0, "done")
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    found = Asking(tmp_path).command(f"echo {'x' * 5000}")
    assert len(found.message) == 200
    assert found.message.endswith("…")


def test_an_approval_is_what_was_recorded(tmp_path: Path) -> None:
    asking = Asking(tmp_path, approvals={"team lead": "kim@example.com, 2026-11-02"})
    assert asking.approval("team lead") == Asked(1, "kim@example.com, 2026-11-02")
    assert asking.approval("security") == Asked(None, "security has not approved yet")


def _lives(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
