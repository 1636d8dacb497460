"""The emulated Google Cloud as a process: Vertex AI, Cloud Storage, Monitoring and Logging over HTTP.

    python -m tests.lab.gcp.server PORT

`POST /lab/faults {"name": "throttle", "times": 5, "operation": "DeployModel"}` makes requests fail, `DELETE
/lab/faults` ends that, `PUT /lab/clock {"seconds": 2}` says how long a change takes, `GET /lab/requests` counts the
requests by operation, `GET /lab/there` lists everything that was made, `POST /lab/empty` forgets it, `POST /lab/swap`
puts another model behind what is deployed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.lab.gcp.server.answers import Answer, Asked, Failed
from tests.lab.gcp.server.project import Lost, Project


class Handler(BaseHTTPRequestHandler):
    """Passes requests on to the project."""

    protocol_version = "HTTP/1.1"
    project: Project

    def _do(self) -> None:
        parts = urlsplit(self.path)
        raw = parts.path if parts.path.startswith(("/storage/", "/upload/", "/download/")) else unquote(parts.path)
        asked = Asked(
            self.command,
            raw,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            self._body(),
        )
        try:
            answer = self.project.answer(asked)
        except Failed as failed:
            answer = failed.answer()
        except (AttributeError, KeyError, LookupError, TypeError, ValueError) as error:
            sys.stderr.write(traceback.format_exc())
            told = {"code": 500, "message": f"a defect in the lab: {type(error).__name__}: {error}"}
            answer = Answer.json({"error": told}, 500)
        except Lost:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self._send(answer)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _do  # noqa: N815  names of the library

    def log_message(self, format: str, *args: Any) -> None:
        if os.environ.get("LAB_TRACE"):
            sys.stderr.write(f"{format % args}\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until a signal."""
    port = int(sys.argv[1])
    Handler.project = Project(f"http://127.0.0.1:{port}")
    server = Server(("127.0.0.1", port), Handler)

    def end(*_: Any) -> None:
        Handler.project.close()
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    server.serve_forever()


if __name__ == "__main__":
    main()
