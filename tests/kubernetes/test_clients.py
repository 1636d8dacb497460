"""A cluster that has no room for a request is asked again, and one that never has is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlinfra.problems import MlinfraError
from mlinfra_providers.kubernetes.clients import ROUTES, Cluster, _client


class Busy(ThreadingHTTPServer):
    """Answers 429 so many times, then with an empty list."""

    left = 0

    @property
    def kubeconfig(self) -> str:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}
        context = {"name": "busy", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {"token": "t"}}]
        return json.dumps(
            {
                "current-context": "busy",
                "clusters": [cluster],
                "contexts": [context],
                "users": users,
                "apiVersion": "v1",
            }
        )


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Busy)
        self.server.left -= 1
        busy, content = self.server.left >= 0, json.dumps({"items": []}).encode()
        self.send_response(429 if busy else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    with Busy(("127.0.0.1", 0), Answer) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        (tmp_path / "kubeconfig").write_text(found.kubeconfig)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        _client.cache_clear()
        yield found
        _client.cache_clear()
        found.shutdown()


def test_a_busy_cluster_is_asked_again(server: Busy) -> None:
    server.left = 8
    assert Cluster("busy", "flights").list(ROUTES, "") == []


def test_a_cluster_that_stays_busy_is_named(server: Busy) -> None:
    server.left = 1000
    with pytest.raises(MlinfraError, match="429 Too Many Requests") as caught:
        Cluster("busy", "flights").list(ROUTES, "")
    assert "again in a minute" in (caught.value.remedy or "")
