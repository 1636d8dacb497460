from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlinfra.prices.book import EVERYWHERE, Key, Price, PriceBook, snapshot
from mlinfra.prices.estimate import Estimate, estimate
from mlinfra.prices.own import read_table
from mlinfra.prices.update import update
from mlinfra.prices.update.http import Client
from mlinfra.prices.usage import Usage
from mlinfra.resources import Resource, Resources

Estimator = Callable[..., Estimate]
Reply = tuple[int, str] | Callable[[Mapping[str, list[str]], Mapping[str, str]], tuple[int, str]]
TODAY = date(2026, 11, 22)


def made(
    token: str, inputs: Mapping[str, Any], name: str = "main", sources: Mapping[str, Sequence[str]] = {}
) -> Resource:
    """Return a resource of one stack; `sources` says by input of which resources' URNs its value comes."""
    urn = f"urn:pulumi:dev::example::{token}::{name}"
    return Resource(urn, token, name, inputs, property_dependencies=sources)


@pytest.fixture
def make() -> Callable[..., Resource]:
    return made


@pytest.fixture
def price() -> Estimator:
    """Return a function that prices resources by the prices that are shipped, with usage by resource name."""

    def estimated(
        *resources: Resource,
        left_out: int = 0,
        own: Sequence[Price] = (),
        usage: Mapping[str, Mapping[str, float]] = {},
    ) -> Estimate:
        book = PriceBook([*snapshot().prices, *own])
        loads = {name: Usage.model_validate(load) for name, load in usage.items()}
        return estimate(Resources(sorted(resources, key=lambda item: item.urn), left_out), book, usage=loads)

    return estimated


@pytest.fixture
def cluster() -> list[Price]:
    """Return what a cluster's owner says that it costs."""
    lines = [
        ("requests", "vCPU", "vCPU-hour", "0.03"),
        ("requests", "memory", "GB-hour", "0.004"),
        ("requests", "GPU", "GPU-hour", "1.2"),
        ("load-balancer", "Service of type LoadBalancer", "hour", "0.02"),
        ("storage", "fast", "GB-month", "0.1"),
    ]
    return [
        Price(
            Key("kubernetes", "cluster", component, item, unit), EVERYWHERE, Decimal(usd), None, "2026-11-01", "us", ""
        )
        for component, item, unit, usd in lines
    ]


class PriceServer:
    """Answers each path with its replies, one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                outer.asked.append(self.path)
                outer.headers.append(dict(self.headers))
                replies = outer.replies.get(parts.path) or [(404, "not here")]
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                status, body = reply(parse_qs(parts.query), dict(self.headers)) if callable(reply) else reply
                if status == 0:  # the connection breaks in the middle of an answer
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(body.encode())
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def updated(self, root: Path, provider: str, *regions: str) -> dict[str, Price]:
        """Update from this server; return the prices of the table, by key and region."""
        update(root, provider, regions, client=Client(pause=lambda _: None), origin=self.origin, today=TODAY)
        prices, problems = read_table((root / "prices" / f"{provider}.csv").read_text(), provider)
        assert not problems
        assert {price.key.provider for price in prices} == {provider}
        return {f"{price.key} {price.region}": price for price in prices}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = PriceServer()
    yield served
    served.close()
