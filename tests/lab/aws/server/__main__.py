"""The emulated AWS as a process: moto's server, the lab's SageMaker in it, and faults in front of it.

    python -m tests.lab.aws.server PORT

`POST /lab/faults {"name": "throttle", "times": 5, "operation": "CreateEndpoint"}` makes requests to SageMaker fail
(connections are lost only of those that change something), `DELETE /lab/faults` ends that, `POST /lab/reset` forgets
all that SageMaker has, `PUT /lab/clock {"seconds": 2}` says how long a change takes, `GET /lab/requests` counts the
requests by operation, `GET /lab/invocations` those that endpoints answered, by endpoint and variant, `GET /lab/records`
the records of feature groups, `PUT /lab/quotas {"ml.m5.large for endpoint usage": 4}` sets SageMaker's quotas.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

Environ = dict[str, Any]
Start = Callable[..., Any]
READING = ("Describe", "List", "Get", "Search", "Query", "BatchGet")
"""How the operations begin that change nothing."""


class Front:
    """Passes requests on to moto, unless a fault is due."""

    def __init__(self, application: Any, clock: Any, faults: Any, regions: Any) -> None:
        self._application = application
        self._clock = clock
        self._faults = faults
        self._regions = regions
        self._requests: Counter[str] = Counter()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/lab/"):
            return self._lab(environ, start)
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        self._requests[operation or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"] += 1
        if service == "SageMaker" and self._faults.take("throttle", operation):
            start("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [b'{"__type": "ThrottlingException", "message": "Rate exceeded"}']
        changing = service == "SageMaker" and not operation.startswith(READING)
        if changing and self._faults.take("lost-before", operation):
            _cut(environ)
        if changing and self._faults.take("lost-after", operation):
            list(self._application(environ, lambda *_: lambda _: None))
            _cut(environ)
        if environ["PATH_INFO"] == "/BatchWriteRecord":  # moto has no runtime of the feature store
            region = environ["HTTP_AUTHORIZATION"].split("/")[2]
            status, headers, body = self._regions.records.answer(self._regions(region), _body(environ))
            start(status, list(headers.items()))
            return [body]
        answer: Iterable[bytes] = self._application(environ, start)
        return answer

    def _lab(self, environ: Environ, start: Start) -> list[bytes]:
        body = json.loads(_body(environ) or b"{}")
        told: Any = {}
        status = "200 OK"
        match (environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            case ("POST", "/lab/faults"):
                try:
                    self._faults.put(**body)
                except (ValueError, TypeError) as error:
                    status, told = "400 Bad Request", {"error": str(error)}
            case ("DELETE", "/lab/faults"):
                self._faults.clear()
            case ("POST", "/lab/reset"):
                self._faults.clear()
                self._regions.reset()
            case ("PUT", "/lab/clock"):
                self._clock.seconds = float(body["seconds"])
            case ("PUT", "/lab/quotas"):
                from tests.lab.aws.server.accounts import QUOTAS

                QUOTAS.clear()
                QUOTAS.update(body)
            case ("GET", "/lab/requests"):
                told = dict(self._requests)
            case ("GET", "/lab/records"):
                records = self._regions.records
                told = {"offline": records.offline, "online": records.online}
            case ("GET", "/lab/invocations"):
                told = dict(self._regions.invocations)
            case _:
                status = "404 Not Found"
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]


def _body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def _cut(environ: Environ) -> NoReturn:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("the lab lost the connection")


def main() -> None:
    """Serve until a signal."""
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    from tests.lab.aws.server import accounts, scaling
    from tests.lab.aws.server.faults import Faults
    from tests.lab.aws.server.install import install
    from tests.lab.aws.server.store import Clock

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    clock, faults = Clock(), Faults()
    regions = install(clock, faults)
    accounts.install()
    scaling.install()

    def end(*_: Any) -> None:
        regions.close()
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    front = Front(DomainDispatcherApplication(create_backend_app), clock, faults, regions)
    run_simple("127.0.0.1", int(sys.argv[1]), front, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
