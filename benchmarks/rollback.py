"""How long a withdrawn release still answers, and whether canary and rollback lose a request.

Clients ask a real endpoint all the time. A round of the first part gives a new release everything, and counts from the
start of `mlinfra rollback` until the last answer of that release; beside it, `mlinfra status` in the same round: what a
command costs that loads the same files and asks the same parts. In the second part clients ask as fast as the endpoint
answers, while a new release takes its share by steps (10, 50, 100 %) and is rolled back, again and again.

Another run holds the environment meanwhile, so that a rollback ends with the shift: what follows it (the engine, the
baseline) moves no request.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import ROOT, Result, percentile

from mlinfra.operations.alone import alone
from mlinfra.repository import Repository

sys.path.insert(0, str(ROOT))
from tests.rollouts.load import Load, load
from tests.rollouts.world import ENV, World

ROUNDS = 20
REQUESTS = 50_000
PACED = {"clients": 2, "pause": 0.01}
FAST = {"clients": 4, "pause": 0}
MOST_SECONDS = 1.0


def run() -> Iterator[Result]:
    """Bring two releases up once, then roll out and back until there are enough rounds and requests."""
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        world = World.make(Path(name))
        try:
            world.mlinfra("up", ENV)
            seconds, beside = _timed(world)
            started = time.monotonic()
            told, rollouts = _counted(world)
            took = time.monotonic() - started
        finally:
            world.end()
    p50, p95, most = (percentile(seconds, share) for share in (0.5, 0.95, 1.0))
    yield Result(
        "rollback of a warm release, until its last answer",
        f"{p50:.2f}/{p95:.2f}/{most:.2f} s (p50/p95/most of {len(seconds)})",
        f"mlinfra status {percentile(beside, 0.5):.2f}/{percentile(beside, 0.95):.2f} s (p50/p95)",
        f"× {p50 / percentile(beside, 0.5):.2f}",
        f"p95 < {MOST_SECONDS:g} s",
        p95 < MOST_SECONDS,
    )
    yield Result(
        "requests lost in canary and rollback",
        f"{len(told.failures)} of {told.requests:,}",
        f"{rollouts} rollouts by 10/50/100 % and back",
        f"{told.requests / took:.0f} requests/s",
        f"0 of at least {REQUESTS:,}",
        not told.failures and told.requests >= REQUESTS,
    )


def _timed(world: World) -> tuple[list[float], list[float]]:
    """Return the seconds of each rollback, and of a `status` after it."""
    seconds: list[float] = []
    beside: list[float] = []
    with load(world, ENV, **PACED) as told:
        for _ in range(ROUNDS):
            world.again()
            world.serve(world.new)
            time.sleep(0.2)
            started = _back(world)
            seconds.append(max(answer.answered for answer in told.answered_by(world.new.short)) - started)
            started = time.monotonic()
            world.run("status", ENV)
            beside.append(time.monotonic() - started)
    return seconds, beside


def _counted(world: World) -> tuple[Load, int]:
    """Return what clients were told in rollouts and rollbacks, and how many there were of each."""
    rollouts = 0
    with load(world, ENV, **FAST) as told:
        while told.requests < REQUESTS:
            world.again()
            world.turn_until(lambda standing: not standing.waits)
            _back(world)
            rollouts += 1
    return told, rollouts


def _back(world: World) -> float:
    """Roll back, and return when the command was started."""
    with alone(Repository(world.folder), ENV, "the benchmark"):
        started = time.monotonic()
        ended = world.run("rollback", ENV, "--reason", "measured")
    assert "only the traffic went back" in ended.said, ended.said
    time.sleep(0.2)
    return started
