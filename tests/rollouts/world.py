"""A repository with three releases of one model, and an environment that takes them by steps that a file decides on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from mlinfra.adapters import Serving
from mlinfra.operations.rollout import Asked, Standing, roll_out
from mlinfra.releases import Release
from mlinfra.rollout.record import Phase, RolloutRecord, stamp
from tests.end_to_end.files import STACK
from tests.end_to_end.repository import ENDPOINT, MLINFRA, Platform
from tests.faults.repository import until

ENV = "prod"
STEPS = [10, 50, 100]
_STACK = """\
from mlinfra import (
    Capture, Compute, Dataset, Endpoint, ModelRegistry, Rollout, Stack, TrainingJob, command, metric,
)

stack = Stack("crowds", owner="people@example.com")
train = stack.add(
    TrainingJob(
        "crowds",
        code="train.py",
        inputs={"visits": Dataset("data.py:visits")},
        params={"strength": 1.0},
        accept=[metric("accuracy") >= 0.6],
    )
)
models = stack.add(ModelRegistry("crowds", trained_by=train))
stack.add(
    Endpoint(
        "crowds", model=models, runtime="sklearn", compute=Compute(), capture=Capture(percent=50),
        rollout=Rollout(steps=[10, 50, 100], gates=[command("sh gate.sh")]),
    )
)
"""
_DATA = """\
import numpy as np
import pandas as pd


def visits():
    random = np.random.default_rng(7)
    hour = random.integers(0, 24, 300).astype("float64")
    columns = {"temperature": random.normal(15, 5, 300), "humidity": random.normal(60, 9, 300), "hour": hour}
    return pd.DataFrame({**columns, "crowded": hour > 11})
"""
_GATE = """\
case $(cat gate) in
  pass) exit 0 ;;
  fail) echo "the file says so"; exit 1 ;;
  late) sleep 1; date +%s.%N >> answered ;;
  *) kill -9 $$ ;;
esac
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code, and what it said."""

    code: int
    said: str


class Command:
    """A command that runs."""

    def __init__(self, world: World, arguments: tuple[str, ...]) -> None:
        self.process = psutil.Popen(
            [str(MLINFRA), *arguments],
            cwd=world.folder,
            env=world.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> Ended:
        """Wait until it ends. No command ever shows a traceback."""
        said, _ = self.process.communicate(timeout=300)
        assert "Traceback" not in said, said
        assert "defect in mlinfra" not in said, said
        return Ended(self.process.returncode, said)

    def kill(self) -> None:
        """Kill it alone, as the kernel does when memory runs out."""
        os.kill(self.process.pid, signal.SIGKILL)
        # what it started may have its output open for a moment
        self.process.wait(30)


class World(Platform):
    """The repository. `old` and `new` are behind the endpoint of prod all the time, `third` is not."""

    old: Release
    new: Release
    third: Release

    @classmethod
    def make(cls, folder: Path) -> World:
        """Write the repository, train two models, and give the second one a third release."""
        made = cls.create(folder / "repository", folder / "state")
        assert isinstance(made, cls)
        made.write(STACK, _STACK)
        made.write("stacks/crowds/data.py", _DATA)
        made.write("gate.sh", _GATE)
        made.gate("pass")
        made.mlinfra("train", "dev")
        made.old = made.release("dev")
        made.edit('"strength": 1.0', '"strength": 0.1')
        made.mlinfra("train", "dev")
        made.new = made.release("dev")
        identity = made.new.identity
        spec = {**identity.spec, "capture": {"percent": 60}}
        made.third = made.new.model_copy(update={"identity": identity.model_copy(update={"spec": spec})})
        releases = made.folder / "releases" / "crowds"
        releases.mkdir(parents=True)
        for release in (made.old, made.new, made.third):
            (releases / f"{release.digest.removeprefix('sha256:')}.json").write_bytes(release.to_json())
        made.environment()
        made.pin(made.old, made.new)
        return made

    def environment(self, *, bake: str = "1s", patience: str = "5m", tick_every: str = "1h", **rollout: str) -> None:
        """Write the file of prod: how long a step is watched, how long no data is waited for, and who ticks when."""
        lines = [
            "target: local", "stacks: [crowds]", f"tick_every: {tick_every}", "override:",
            f"  endpoints.{ENDPOINT}.rollout.bake: {bake}", f"  endpoints.{ENDPOINT}.rollout.patience: {patience}",
            *(f"  endpoints.{ENDPOINT}.rollout.{name}: {value}" for name, value in rollout.items()),
        ]  # fmt: skip
        self.write(f"environments/{ENV}.yaml", "\n".join([*lines, ""]))

    def gate(self, answer: str) -> None:
        """Let the gate say `pass`, `fail`, or nothing (`silent`); `late` says yes after a second."""
        self.write("gate.new", answer)
        (self.folder / "gate.new").replace(self.folder / "gate")

    def pin(self, release: Release, previous: Release | None = None) -> None:
        """Write the lock of prod."""
        lines = [f"{ENDPOINT}:", f"  release: {release.digest}"]
        if previous is not None:
            lines.append(f"  previous: {previous.digest}")
        self.write(f"environments/{ENV}.lock.yaml", "\n".join([*lines, ""]))

    @property
    def lock(self) -> str:
        """What the lock of prod says."""
        return (self.folder / f"environments/{ENV}.lock.yaml").read_text()

    def again(self) -> None:
        """Let the old release serve everything, with nothing remembered, and let the lock name the new one.

        What the test before killed is waited for.
        """
        self.environment()
        self.gate("pass")
        self.pin(self.new, self.old)
        until(lambda: all(item.healthy for item in self.serving().releases), "healthy servers")
        self.serve(self.old)

    def serve(self, release: Release) -> None:
        """Give a release everything, as if it had been verified long ago."""
        now = stamp(datetime.now(UTC))
        record = RolloutRecord(release=release.short, phase=Phase.SERVED, started=now, since=now, verified=now)
        self.shift({release.short: 100}, record)

    def shift(self, weights: Mapping[str, int], record: RolloutRecord | None = None) -> None:
        """Set the split by hand."""
        service = self.session(ENV).service
        service.shift(ENDPOINT, weights, service.observe(ENDPOINT).generation + 1, record)

    def serving(self) -> Serving:
        """Return what serves."""
        return self.session(ENV).service.observe(ENDPOINT)

    def record(self) -> RolloutRecord:
        """Return what is remembered of the rollout."""
        record = self.serving().rollout
        assert record is not None
        return record

    def weights(self) -> dict[str, int]:
        """Return the split in force, without releases that get nothing."""
        return {item.release: item.weight for item in self.serving().releases if item.weight}

    def start(self, *arguments: str) -> Command:
        """Start a command."""
        return Command(self, arguments)

    def run(self, *arguments: str) -> Ended:
        """Run a command until it ends, whatever its exit code."""
        return self.start(*arguments).wait()

    def tick(self, *options: str) -> Ended:
        """Tick prod."""
        return self.run("tick", ENV, *options)

    def turn(self, asked: Asked | None = None) -> Standing:
        """Do what a tick does, without recording it in the state: that takes seconds, and the next one does it."""
        [standing] = roll_out(self.session(ENV), lambda _: None, asked)
        return standing

    def turn_until(self, ended: Callable[[Standing], bool], seconds: float = 60) -> Standing:
        """Go on until the endpoint stands as asked for."""
        found: Standing = until(lambda: standing if ended(standing := self.turn()) else None, "the rollout", seconds)
        return found

    def climb_to(self, step: int) -> None:
        """Go on until the new release has the share of a step, and is watched."""
        self.turn_until(lambda _: (self.record().phase, self.record().step) == (Phase.STEP, step))

    def tick_to_the_end(self, seconds: float = 90) -> Ended:
        """Tick until nothing waits any more."""
        deadline = time.monotonic() + seconds
        while (ended := self.tick()).code == 4:
            assert time.monotonic() < deadline, ended.said
            time.sleep(0.3)
        return ended

    def program(self, release: Release) -> str:
        """Return the name of the program that serves a release."""
        [name] = [name for name in self.programs(ENV) if name.startswith(f"server/{ENDPOINT}/{release.short}-")]
        return name

    def status(self) -> Any:
        """Return what `status --json` says of the endpoint, whatever its exit code."""
        done = subprocess.run(
            [str(MLINFRA), "status", ENV, "--json"], cwd=self.folder, env=self.variables(), capture_output=True,
            text=True, check=False, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)["endpoints"][0]
