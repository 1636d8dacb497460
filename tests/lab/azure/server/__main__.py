"""The emulated Azure as a process: Azure Resource Manager, Blob Storage, scoring addresses and Azure Monitor.

    python -m tests.lab.azure.server PORT

`POST /lab/faults {"name": "throttle", "times": 5}` makes requests fail, `DELETE /lab/faults` ends that, `PUT /lab/clock
{"seconds": 2}` says how long a change takes, `GET /lab/things` lists what did not come with the account, `POST
/lab/reset` forgets it, `GET /lab/requests` counts what was written, by method and type, `GET /lab/backfills` lists the
backfills of feature sets that were asked for.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.azureml.models import problems
from tests.lab.aws.server.faults import Faults
from tests.lab.azure.server import workspaces
from tests.lab.azure.server.account import connection_string, furnish
from tests.lab.azure.server.backfills import Backfills
from tests.lab.azure.server.blobs import Blobs
from tests.lab.azure.server.fleet import Fleet
from tests.lab.azure.server.jobs import JOBS, Jobs
from tests.lab.azure.server.metrics import Metrics
from tests.lab.azure.server.online import DEPLOYMENTS, ENDPOINTS, Deployments, Endpoints
from tests.lab.azure.server.resource_manager import Answer, ResourceManager, Rules
from tests.lab.azure.server.scoring import Scoring
from tests.lab.azure.server.storage import ACCOUNTS, CONTAINERS, VAULTS, Accounts, Containers, Vaults
from tests.lab.azure.server.things import Clock, Thing, Things, split

WRITES = ("PUT", "PATCH", "DELETE", "POST")


class Cloud:
    """All of it, and the way of a request to its part."""

    def __init__(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        outside = {"AZURE_STORAGE_CONNECTION_STRING": connection_string(url), "NO_PROXY": "127.0.0.1"}
        self.clock, self.faults, self.requests = Clock(), Faults(), Counter[str]()
        self.blobs, self.metrics, self.fleet = Blobs(), Metrics(), Fleet(outside)
        self.jobs, self.vaults = Jobs(self.blobs, outside, self.faults), Vaults()
        rules: dict[str, Rules] = {
            **workspaces.rules(),
            ENDPOINTS: Endpoints(),
            DEPLOYMENTS: Deployments(self.faults),
            JOBS: self.jobs,
            ACCOUNTS: Accounts(),
            CONTAINERS: Containers(self.blobs),
            VAULTS: self.vaults,
        }
        self.manager = ResourceManager(Things(self.clock), self.fleet, rules, url)
        self.backfills = Backfills(self.manager, self.faults, url)
        self.scoring = Scoring(self.manager, self.metrics)
        furnish(self.manager, self.blobs)

    def answer(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Answer | None:
        """Answer a request; None where the connection is to be cut."""
        parts = urlsplit(target)
        path, question = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        if path.startswith("/lab/"):
            return self._lab(method, path, content)
        if path.startswith("/inference/"):
            return self.scoring.answer(path.split("/")[2], headers, content)
        if not path.startswith("/subscriptions/"):
            return self.blobs.answer(method, parts.path, question, headers, content)
        writes = method in WRITES
        if writes:
            self.requests[f"{method} {split(path)[2]}"] += 1
            if self.faults.take("throttle"):
                error = {"code": "TooManyRequests", "message": "The request is being throttled."}
                return Answer(429, {"error": error}, {"Retry-After": "0"})
            if self.faults.take("lost-before"):
                return None
        answer = self._managed(method, path, question, content)
        return None if writes and self.faults.take("lost-after") else answer

    def _managed(self, method: str, path: str, question: Mapping[str, str], content: bytes) -> Answer:
        if path.lower().endswith("/providers/microsoft.insights/metrics"):
            return self.metrics.answer(path.rpartition("/providers/")[0], question)
        if method == "POST" and path.endswith("/cancel"):
            with self.manager.lock:
                thing = self.manager.things.find(path.removesuffix("/cancel"))
                if thing is not None:
                    self.jobs.cancel(thing)
            return Answer(200 if thing else 404)
        if "api-version" not in question and "/providers/lab/" not in path:
            return Answer(400, {"error": {"code": "MissingApiVersionParameter", "message": "api-version is missing"}})
        body = json.loads(content) if content else None
        if self.backfills.concerns(method, path):
            return self.backfills.answer(method, path, body)
        return self.manager.answer(method, path, body)

    def _lab(self, method: str, path: str, content: bytes) -> Answer:
        body: dict[str, Any] = json.loads(content or b"{}")
        match (method, path):
            case ("POST", "/lab/faults"):
                self.faults.put(**body)
            case ("DELETE", "/lab/faults"):
                self.faults.clear()
            case ("PUT", "/lab/clock"):
                self.clock.seconds = float(body["seconds"])
            case ("GET", "/lab/requests"):
                return Answer(200, dict(self.requests))
            case ("GET", "/lab/backfills"):
                return Answer(200, list(self.backfills.asked))
            case ("GET", "/lab/things"):
                with self.manager.lock:
                    found = [thing for thing in self.manager.things.all() if not thing.came and not _is_record(thing)]
                    # the path, too: workspaces of two services have one name, and settings of two workspaces
                    return Answer(200, [f"{thing.id.partition('/providers/')[2]} {thing.name}" for thing in found])
            case ("POST", "/lab/reset"):
                self.reset()
            case _:
                return Answer(404)
        return Answer(200, {})

    def reset(self) -> None:
        """Forget what did not come with the account."""
        with self.manager.lock:
            self.faults.clear()
            self.jobs.close()
            self.backfills.clear()
            self.fleet.close()
            self.metrics.clear()
            self.vaults.forget()
            for thing in list(self.manager.things.all()):
                self.manager.things.drop(thing)
            for name in self.blobs.names():
                self.blobs.drop(*name.split("/"))
            furnish(self.manager, self.blobs)


def _is_record(thing: Thing) -> bool:
    """Say whether a thing is an entry of a workspace: a version of an asset, or a run. They stay as long as it does."""
    return thing.kind.startswith(f"{workspaces.WORKSPACES}/") and thing.kind.endswith(("/versions", "/jobs"))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    cloud: Cloud

    def _handle(self) -> None:
        content = self._content()
        headers = {key.lower(): value for key, value in self.headers.items()}
        answer = self.cloud.answer(self.command, self.path, headers, content)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        plain = isinstance(answer.body, bytes)
        body = answer.body if plain else b"" if answer.body is None else json.dumps(answer.body).encode()
        told = {"Content-Type": "application/json", "x-ms-request-id": "lab", "x-ms-version": "2023-11-03"}
        told |= answer.headers
        told.setdefault("Content-Length", str(len(body)))
        self.send_response(answer.status)
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = _handle  # noqa: N815  as the base class calls them

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until a signal."""
    port = int(sys.argv[1])
    list(problems("Workspace", {}))  # reading the models takes seconds, which no request should wait for
    Handler.cloud = Cloud(port)
    server = Server(("127.0.0.1", port), Handler)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ending.wait()
    Handler.cloud.jobs.close()
    Handler.cloud.fleet.close()
    os._exit(0)


if __name__ == "__main__":
    main()
