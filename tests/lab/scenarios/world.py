"""A repository whose environment `prod` is an emulated target, worked on through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
from scipy.stats import binom  # type: ignore[import-untyped]

from mlinfra.adapters import Serving
from mlinfra.artifacts import ArtifactStore
from mlinfra.releases import Release, parse_release
from mlinfra.rollout.record import RolloutRecord
from tests.end_to_end.repository import ENDPOINT, MLINFRA, ROW, Platform
from tests.lab.scenarios.files import files
from tests.lab.target import Answered, Target, Unanswered

ENV = "prod"
SECONDS = 900.0
BAKE_SECONDS = 1.2
"""A little longer than the declared `bake`."""
CHANCE = 1e-9
"""How seldom sampling alone may give a release that many requests of one step."""
BODY = json.dumps(
    {"inputs": [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in ROW.items()]}
).encode()


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code, and what it said."""

    code: int
    said: str


@dataclass
class Requests:
    """What clients were told: the releases that answered, in the time of each step that the new one was allowed."""

    failures: list[str] = field(default_factory=list)
    steps: list[tuple[int, list[str]]] = field(default_factory=lambda: [(0, [])])

    def allow(self, share: int) -> None:
        """Say that the new release may have so many percent from now on."""
        self.steps.append((share, []))

    @property
    def answered(self) -> list[str]:
        """The releases that answered, in order."""
        return [release for _, answers in self.steps for release in answers]

    def exceeded(self, release: str) -> list[str]:
        """Return each step in which a release answered more than its share and chance allow, in words."""
        return [
            f"{answers.count(release)} of {len(answers)} requests, with a share of {share} %"
            for share, answers in self.steps
            if (mine := answers.count(release)) and binom.sf(mine - 1, len(answers), share / 100) < CHANCE
        ]


class World(Platform):
    """The repository, and the target that runs."""

    target: Target

    @classmethod
    def make(cls, folder: Path, target: Target) -> World:
        """Write the repository, with the environment where the target says."""
        made = cls(folder / "repository", folder / "state")
        made.target = target
        for name, text in files().items():
            path = made.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"))
        made.environment()
        return made

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a command."""
        return super().variables() | dict(self.target.environment)

    def environment(self, **fields: Any) -> None:
        """Write the file of prod: where the target says, and the fields given here."""
        place = {"stacks": ["crowds"], "tick_every": "1h", **self.target.place, **fields}
        # JSON is YAML
        self.write(f"environments/{ENV}.yaml", json.dumps({"target": self.target.name, **place}, indent=1))

    def pin(self, release: Release, previous: Release | None = None) -> None:
        """Write the lock of prod, and the releases that it names."""
        lines = [f"{ENDPOINT}:", f"  release: {release.digest}"]
        if previous is not None:
            lines.append(f"  previous: {previous.digest}")
        self.write(f"environments/{ENV}.lock.yaml", "\n".join([*lines, ""]))
        releases = self.folder / "releases" / "crowds"
        releases.mkdir(parents=True, exist_ok=True)
        for item in filter(None, (release, previous)):
            (releases / f"{item.digest.removeprefix('sha256:')}.json").write_bytes(item.to_json())

    def trained(self) -> Release:
        """Train at the target, and return the release that came of it."""
        self.environment(train=True)
        with self.reaching():
            before = set(self.kept().releases("crowds"))
        ended = self.run("train", ENV)
        assert ended.code == 0, ended.said
        self.environment()
        with self.reaching():
            [digest] = set(self.kept().releases("crowds")) - before
            return parse_release(self.kept().release("crowds", digest), digest)

    def kept(self) -> ArtifactStore:
        """Return the target's store of models and releases."""
        return self.session(ENV).repository.artifacts(self.session(ENV).environment)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Let this process reach the target as commands do."""
        before = dict(os.environ)
        os.environ.update(self.target.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    # What a person types.

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        return subprocess.Popen(
            [str(MLINFRA), *arguments],
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> Ended:
        """Run a command until it ends, whatever its exit code. No command ever shows a traceback."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=SECONDS)
        assert "Traceback" not in said, said
        assert "defect in mlinfra" not in said, said
        return Ended(process.returncode, said)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a command and everything that it started, the engine first."""
        started = psutil.Process(process.pid).children(recursive=True)
        for child in sorted(started, key=lambda item: item.name() != "pulumi"):
            child.kill()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)

    def gate(self, answer: str) -> None:
        """Let the gate say `pass` always or `once`, or nothing (`silent`)."""
        self.write("gate", answer)

    def next_step(self) -> Ended:
        """Let a rollout take one step, after its time."""
        time.sleep(BAKE_SECONDS)
        self.gate("once")
        return self.run("tick", ENV)

    def tick_to_the_end(self) -> Ended:
        """Tick until nothing waits any more."""
        self.gate("pass")
        end = time.monotonic() + SECONDS
        while (ended := self.run("tick", ENV)).code == 4:
            assert time.monotonic() < end, ended.said
            time.sleep(0.3)
        return ended

    # What is true.

    def serving(self) -> Serving:
        """Return what serves."""
        with self.reaching():
            return self.session(ENV).service.observe(ENDPOINT)

    def record(self) -> RolloutRecord:
        """Return what is remembered of the rollout."""
        record = self.serving().rollout
        assert record is not None
        return record

    def weights(self) -> dict[str, int]:
        """Return the split in force, without releases that get nothing."""
        return {item.release: item.weight for item in self.serving().releases if item.weight}

    def ask_once(self) -> Answered:
        """Ask as a client does."""
        return self.target.ask(ENV, ENDPOINT, BODY)

    @contextmanager
    def requests(self, clients: int = 2, pause: float = 0.2) -> Iterator[Requests]:
        """Ask again and again, from several clients, until the block ends."""
        told, ended = Requests(), threading.Event()

        def run() -> None:
            while not ended.wait(pause):
                answers = told.steps[-1][1]
                try:
                    answers.append(self.ask_once().release)
                except Unanswered as error:
                    told.failures.append(str(error))

        threads = [threading.Thread(target=run) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield told
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def exported(self) -> Mapping[str, Any]:
        """Return the resources of the state by URN, without the moments at which the engine wrote them.

        Dependencies are sets, which Pulumi's SDK writes in another order each time: here they are sorted. Secrets are
        encrypted anew each time: here they are plain.
        """
        deployment = json.loads(self.pulumi(ENV, "stack", "export", "--show-secrets").stdout)["deployment"]
        found = {}
        for item in deployment.get("resources", ()):
            told = {name: value for name, value in item.items() if name not in ("created", "modified")}
            if "dependencies" in told:
                told["dependencies"] = sorted(told["dependencies"])
            # nothing is written for none, once the state was read and written again
            named = told.pop("propertyDependencies", None) or {}
            told["propertyDependencies"] = {name: sorted(urns) for name, urns in named.items() if urns}
            found[item["urn"]] = told
        return found

    def planned(self, code: int = 0) -> dict[str, str]:
        """Return what a plan would do to which resources, `Kind name`, where it does anything."""
        parts = self.read("plan", ENV, code=code)["parts"]
        return {
            f"{change['type'].rpartition(':')[2]} {change['name']}": change["change"]
            for part in parts
            for change in part["changes"]
            if change["change"] != "same"
        }

    def left(self) -> Sequence[str]:
        """Return what is there that no resource of the state names."""
        known = json.dumps(self.exported())
        return [line for line in self.target.there() if line.partition(" ")[2] not in known]
