"""The router with a real Envoy, before tiny servers that can be killed."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mlinfra.files import write_json
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.local import processes
from mlinfra_providers.local.ports import Ports, is_free
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic
from tests.local.routing import GENERATIONS, Client, Servers, envoy_pid, router, servers, split, until

__all__ = ["router", "servers", "split"]

pytestmark = pytest.mark.local


def test_without_a_release_it_says_so(router: Router) -> None:
    port = router.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/v2/models/flight-delay/ready")
        response = connection.getresponse()
        assert (response.status, response.headers["content-type"]) == (503, "application/json")
        assert json.load(response) == {"error": "endpoint flight-delay has no release yet"}
    assert router.observe().running
    assert router.observe().weights == {}


def test_starting_again_leaves_it_alone(router: Router) -> None:
    port, first = router.start(), envoy_pid(router)
    assert router.start() == port
    assert envoy_pid(router) == first


def test_weights_over_a_thousand_requests(router: Router, servers: Servers, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 70, "v2": 30})
    before = router.observe().upstreams
    with Client(router.port) as client:
        answers = collections.Counter(client.infer(x_test="weights") for _ in range(1000))
    assert set(answers) == {(200, "v1"), (200, "v2")}
    # Five standard deviations of a binomial distribution of 1,000 and 0.3.
    assert abs(answers[200, "v2"] - 300) < 73
    seen = router.observe()
    assert (seen.running, seen.generation, seen.weights) == (True, traffic.generation, {"v1": 70, "v2": 30})
    for release in ("v1", "v2"):
        assert len(servers.seen(release, "weights")) == answers[200, release]
        counted = seen.upstreams[release].requests - before[release].requests
        assert counted == answers[200, release]
        assert seen.upstreams[release].port == servers.ports[release]
        assert seen.upstreams[release].errors == 0


def test_mirrored_requests_are_marked_and_answer_nobody(
    router: Router, servers: Servers, split: Callable[..., Traffic]
) -> None:
    split({"v1": 100}, mirror={"v2": 100})
    assert router.observe().mirror == {"v2": 100}
    large = b"x" * 3_000_000
    with Client(router.port) as client:
        assert {client.infer(x_test="mirror") for _ in range(50)} == {(200, "v1")}
        assert client.infer(body=large, x_test="mirror") == (200, "v1")
    shadows = until(lambda: len(found := servers.seen("v2", "mirror")) == 51 and found)
    assert {host for host, _ in shadows} == {f"127.0.0.1-shadow:{router.port}"}
    assert max(size for _, size in shadows) == len(large)
    assert {host for host, _ in servers.seen("v1", "mirror")} == {f"127.0.0.1:{router.port}"}


def test_a_killed_server_loses_no_request(router: Router, servers: Servers, split: Callable[..., Traffic]) -> None:
    split({"v1": 50, "v2": 50})
    port, killed = router.port, threading.Event()

    def ask(_: int) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        with Client(port) as client:
            before = [client.infer(x_seconds="0.005") for _ in range(30)]
            assert killed.wait(20)
            return before, [client.infer(body=b"x" * 1000) for _ in range(60)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(8)]
        time.sleep(0.1)
        servers.kill("v2")
        killed.set()
        before, after = ([answer for each in asked for answer in each.result()[part]] for part in (0, 1))
    assert (len(before), len(after)) == (240, 480)
    assert {*before} == {(200, "v1"), (200, "v2")}
    assert {*after} == {(200, "v1")}
    until(lambda: not router.observe().upstreams["v2"].healthy)


def test_no_request_sent_after_a_shift_sees_the_old_split(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 100})
    port, done = router.port, threading.Event()

    def ask(_: int) -> list[tuple[float, int, str]]:
        found = []
        with Client(port) as client:
            while not done.is_set():
                sent = time.monotonic()
                found.append((sent, *client.infer()))
        return found

    shifts: list[tuple[float, float, str]] = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, number) for number in range(2)]
        for step in range(20):
            release = ("v2", "v1")[step % 2]
            traffic = replace(traffic, generation=next(GENERATIONS), weights={release: 100})
            began = time.monotonic()
            router.apply(traffic)
            shifts.append((began, time.monotonic(), release))
            time.sleep(0.03)
        done.set()
        answers = [answer for each in asked for answer in each.result()]
    assert {status for _, status, _ in answers} == {200}
    compared = 0
    for (_, took, release), (next_began, _, _) in itertools.pairwise(shifts):
        within = [answer for sent, _, answer in answers if took <= sent and sent < next_began - 0.02]
        compared += len(within)
        assert {*within} <= {release}
    assert compared > 50


def test_apply_returns_only_when_envoy_has_the_split(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 100})
    held = envoy_pid(router)
    assert held
    os.kill(held, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            wish = replace(traffic, generation=next(GENERATIONS), weights={"v2": 100})
            applied = pool.submit(router.apply, wish)
            until(lambda: router.traffic() == wish)
            time.sleep(0.2)
            assert not applied.done()
        finally:
            os.kill(held, signal.SIGCONT)
        applied.result(20)
    assert router.observe().weights == {"v2": 100}


def test_a_release_without_weight_does_not_stand_in_unless_on_standby(
    router: Router, servers: Servers, split: Callable[..., Traffic]
) -> None:
    traffic = split({"v1": 100})
    servers.kill("v1")
    with Client(router.port) as client:
        assert client.infer() == (503, "")
        router.apply(replace(traffic, generation=next(GENERATIONS), standby=frozenset({"v2"})))
        assert client.infer() == (200, "v2")


def test_what_a_release_on_trial_fails_at_another_one_answers(router: Router, split: Callable[..., Traffic]) -> None:
    split({"v1": 50, "v2": 50}, trial="v2")
    with Client(router.port) as client:
        answers = {client.infer(x_fails="v2") for _ in range(30)}
    assert answers == {(200, "v1")}
    split({"v1": 50, "v2": 50})
    with Client(router.port) as client:
        answers = {client.infer(x_fails="v2") for _ in range(30)}
    assert answers == {(200, "v1"), (500, "v2")}


def test_an_older_wish_is_refused_and_the_same_one_is_fine(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 100})
    router.apply(traffic)
    for generation in (traffic.generation, traffic.generation - 1):
        with pytest.raises(Refused, match=f"at generation {traffic.generation}, and this wish is of"):
            router.apply(replace(traffic, generation=generation, weights={"v2": 100}))
    assert router.observe().weights == {"v1": 100}


def test_a_wish_that_was_cut_short_is_completed(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 100})
    wish = replace(traffic, generation=next(GENERATIONS), weights={"v1": 10, "v2": 90})
    write_json(router.layout.traffic("flight-delay"), wish.to_json())
    assert router.observe().generation == traffic.generation
    router.apply(wish)
    assert (router.observe().generation, router.observe().weights) == (wish.generation, {"v1": 10, "v2": 90})


def test_a_killed_envoy_comes_back_with_the_split(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v2": 100})
    until(lambda: Supervisor(router.layout).status()[router.program].state == "RUNNING")
    first = envoy_pid(router)
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: envoy_pid(router) not in (None, first) and router.observe().running)
    assert (router.observe().generation, router.observe().weights) == (traffic.generation, {"v2": 100})
    with Client(router.port) as client:
        assert client.infer() == (200, "v2")


def test_drain_waits_for_what_is_on_its_way(router: Router, servers: Servers, split: Callable[..., Traffic]) -> None:
    traffic = split({"v2": 100})
    with pytest.raises(MlinfraError, match="v2 gets 100 percent of flight-delay: it cannot be drained"):
        router.drain("v2")

    def slow() -> tuple[int, str]:
        with Client(router.port) as client:
            return client.infer(x_seconds="1.2")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(slow)
        until(lambda: router.observe().upstreams["v2"].active)
        router.apply(replace(traffic, generation=next(GENERATIONS), weights={"v1": 100}))
        assert not answer.done()
        assert router.drain("v2", timeout=20) is True
        servers.kill("v2")
        assert answer.result() == (200, "v2")
    seen = router.observe()
    assert {*seen.upstreams} == {"v1"}
    assert router.drain("v2") is True
    found = router.traffic()
    assert found
    assert (found.upstreams, found.generation) == ({"v1": servers.ports["v1"]}, seen.generation)


def test_drain_gives_up_after_its_time(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v2": 100})

    def slow() -> tuple[int, str]:
        with Client(router.port) as client:
            return client.infer(x_seconds="1")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(slow)
        until(lambda: router.observe().upstreams["v2"].active)
        router.apply(replace(traffic, generation=next(GENERATIONS), weights={"v1": 100}))
        assert router.drain("v2", timeout=0.1) is False
        assert answer.result() == (200, "v2")


def test_access_log_names_release_and_upstream(router: Router, servers: Servers, split: Callable[..., Traffic]) -> None:
    split({"v1": 100})
    with Client(router.port) as client:
        client.infer(x_request_id="00000000-0000-4000-8000-000000000001")
    log = router.layout.access_log("flight-delay")

    def written() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["request_id"].endswith("-000000000001")]

    [line] = until(written)
    assert (line["release"], line["status"], line["attempts"]) == ("v1", 200, 1)
    assert line["upstream"] == f"127.0.0.1:{servers.ports['v1']}"
    assert 0 < line["upstream_us"] <= line["duration_us"]


def test_stop_leaves_nothing_and_start_goes_on(router: Router, split: Callable[..., Traffic]) -> None:
    traffic = split({"v1": 40, "v2": 60})
    port = router.port
    router.stop()
    router.stop()
    assert is_free(port)
    assert not router.layout.admin_socket("flight-delay").exists()
    assert not router.observe().running
    running = [process.cmdline() for process in processes.of_environment(router.layout)]
    assert not [command for command in running if str(router.layout.bootstrap("flight-delay")) in command]
    assert router.start() == port
    assert (router.observe().generation, router.observe().weights) == (traffic.generation, {"v1": 40, "v2": 60})


def test_remove_forgets_the_generation_and_the_port(router: Router, split: Callable[..., Traffic]) -> None:
    split({"v1": 100})
    router.remove()
    assert "endpoint/flight-delay" not in Ports(router.layout).kept()
    assert router.traffic() is None
    router.start()
    assert router.observe().generation == 0


def test_a_taken_port_is_a_clear_error(router: Router) -> None:
    other = Router(router.layout, "other")
    port = other.port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(MlinfraError, match=f"port {port} of endpoint/other in dev is held by pid {os.getpid()}"),
    ):
        other.start()
    assert "router/other" not in Supervisor(router.layout).status()


def test_a_split_that_envoy_cannot_have_is_told(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlinfra_providers.local.router._APPLY_SECONDS", 0.2)
    other = Router(router.layout, "never-started")
    with pytest.raises(MlinfraError, match="is written, but not in force after") as raised:
        other.apply(Traffic(1, {"v1": 100}, {"v1": 1}))
    assert raised.value.remedy == "it holds when the router runs again: mlinfra up dev"
