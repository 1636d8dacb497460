"""What a real Envoy writes of answers, of a release that is dead, and of mirrored requests, as it is read back."""

from __future__ import annotations

import collections
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mlinfra_providers.local.access_log import Seen, read_access_log
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.traffic import Traffic
from tests.local.routing import Client, Servers, router, servers, split, until

__all__ = ["router", "servers", "split"]  # fixtures

pytestmark = pytest.mark.local

Split = Callable[..., Traffic]


def seen(router: Router, traffic: Traffic, since: datetime, *, answered: int = 0, failed: int = 0) -> dict[str, Seen]:
    """Return what the log has since a time, as soon as so many lines are written."""

    def look() -> dict[str, Seen] | None:
        log = router.layout.access_log(router.endpoint)
        found = read_access_log(log, traffic.to_json(), since, datetime.now(UTC) + timedelta(seconds=1)).releases
        answers = sum(len(each.latencies_ms) for each in found.values())
        errors = sum(each.errors for each in found.values())
        return dict(found) if answers >= answered and errors >= failed else None

    found: dict[str, Seen] = until(look)
    return found


def test_every_answer_is_its_releases_and_copies_are_nobodys(router: Router, servers: Servers, split: Split) -> None:
    traffic = split({"v1": 70, "v2": 30}, mirror={"v2": 100})
    since = datetime.now(UTC)
    with Client(router.port) as client:
        answers = collections.Counter(client.infer() for _ in range(200))
    found = seen(router, traffic, since, answered=200)
    assert {release: (each.requests, each.errors) for release, each in found.items()} == {
        release: (count, 0) for (_, release), count in answers.items()
    }
    assert all(0 < latency < 5000 for each in found.values() for latency in each.latencies_ms)


def test_a_slow_release_is_seen_to_be_slow(router: Router, servers: Servers, split: Split) -> None:
    traffic = split({"v1": 100})
    since = datetime.now(UTC)
    with Client(router.port) as client:
        client.infer(x_seconds="0.2")
    [latency] = seen(router, traffic, since, answered=1)["v1"].latencies_ms
    assert 200 <= latency < 2000


def test_a_dead_release_has_the_errors_even_where_another_stands_in(
    router: Router, servers: Servers, split: Split
) -> None:
    traffic = split({"v1": 50, "v2": 50})
    servers.kill("v2")
    since = datetime.now(UTC)
    with Client(router.port) as client:
        answers = collections.Counter(client.infer() for _ in range(60))
    assert answers == {(200, "v1"): 60}
    found = seen(router, traffic, since, answered=60)
    assert (found["v1"].requests, found["v1"].errors) == (60, 0)
    assert found["v2"].requests == found["v2"].errors > 0


def test_where_nobody_stands_in_the_silent_release_has_the_errors(
    router: Router, servers: Servers, split: Split
) -> None:
    traffic = split({"v2": 100})
    servers.kill("v2")
    since = datetime.now(UTC)
    with Client(router.port) as client:
        answers = collections.Counter(client.infer()[0] for _ in range(5))
    assert answers == {503: 5}
    found = seen(router, traffic, since, failed=5)
    assert {release: (each.requests, each.errors) for release, each in found.items()} == {"v2": (5, 5)}
