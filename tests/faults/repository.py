"""A small repository of its own for fault tests, worked on through the command line as a person does it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import psutil

import mlinfra_cli
from mlinfra_providers.local import processes
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import Ports
from mlinfra_providers.local.programs import ProcessState
from mlinfra_providers.local.supervisor import Supervisor

TEMPLATE = Path(mlinfra_cli.__file__).parent / "template"
PATIENCE_SECONDS = 60.0
READING = ("plan", "status")

ENVIRONMENT_FILE = """\
target: local
stacks: [tiny]
train: true
releases: latest
"""

STACK = """\
from mlinfra import Capture, Compute, Dataset, Endpoint, ModelRegistry, Stack, TrainingJob, metric

stack = Stack("tiny", owner="someone@example.com")
train = stack.add(
    TrainingJob(
        "tiny",
        code="train.py",
        inputs={{"rows": Dataset("data.py:rows")}},
        params={{"slope": {slope}}},
        compute=Compute(cpus=1, memory_gib={memory_gib}),
        max_runtime="{max_runtime}",
        accept=[metric("r2") >= 0.5],
    )
)
models = stack.add(ModelRegistry("tiny", trained_by=train))
stack.add(Endpoint("tiny", model=models, runtime="sklearn", capture=Capture(percent={percent})))
"""

DATA = """\
import pandas as pd


def rows():
    x = [float(number) for number in range(50)]
    return pd.DataFrame({"x": x, "y": x})
"""

TRAIN = """\
import time
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression

import mlinfra.training

run = mlinfra.training.run()
while Path("{hold}").exists():
    print("held", flush=True)
    time.sleep(0.2)
rows = pd.read_parquet(run.inputs["rows"])
inputs, label = rows[["x"]], run.params["slope"] * rows["y"]
model = LinearRegression().fit(inputs, label)
run.log_metric("r2", model.score(inputs, label))
run.save_model(model, example=inputs)
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what a person saw of it."""

    command: str
    code: int
    stdout: str
    stderr: str

    @property
    def seen(self) -> str:
        """Return all of it, for messages of failed tests."""
        return f"$ {self.command}\n{self.stdout}{self.stderr}[exit code {self.code}]"


class Command:
    """A command that runs, in a process group of its own as a shell gives to a job in the foreground."""

    def __init__(self, repository: Repository, arguments: tuple[str, ...]) -> None:
        self.line = " ".join(("mlinfra", *arguments))
        folder = repository.scratch
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir()))
        self._files = [folder / f"{number}.{name}" for name in ("out", "err")]
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = psutil.Popen(
                [sys.executable, "-m", "mlinfra_cli", *arguments],
                cwd=repository.root,
                env=repository.variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def stderr(self) -> str:
        """Return what it has written so far."""
        return self._files[1].read_text()

    def interrupt(self, *, group: bool = True) -> None:
        """Send what Ctrl-C in a terminal sends, to the whole group; or to the command alone."""
        if group:
            os.killpg(self.process.pid, signal.SIGINT)
        else:
            self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 2 * PATIENCE_SECONDS, *, script_raises: bool = False) -> Ended:
        """Wait until it ends. No command ever shows a traceback, but that of a training script in its log."""
        code = self.process.wait(timeout=seconds)
        ended = Ended(self.line, code, *(file.read_text() for file in self._files))
        assert script_raises or "Traceback" not in ended.seen, ended.seen
        assert "defect in mlinfra" not in ended.seen, ended.seen
        return ended

    def child(self, *words: str) -> psutil.Process | None:
        """Return a descendant whose command line holds all the words, or None."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    line = " ".join(child.cmdline())
                    if all(word in line for word in words):
                        return child
        return None

    def end(self) -> None:
        """Kill it and all that it started, if it is still there."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in (*self.process.children(recursive=True), self.process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        with contextlib.suppress(psutil.TimeoutExpired):
            self.process.wait(timeout=5)


@dataclass
class Repository:
    """A repository with one stack: a linear model of one column, trained in a second or two."""

    root: Path
    variables: Mapping[str, str]
    percent: int = 100
    slope: float = 1.0
    max_runtime: str = "1m"
    memory_gib: float = 1.0
    started: list[Command] = field(default_factory=list)
    known_well: bool = False
    models: int = 1

    @classmethod
    def make(cls, root: Path) -> Repository:
        """Write a new one; nothing is up yet."""
        (root / "environments").mkdir(parents=True)
        (root / "stacks" / "tiny").mkdir(parents=True)
        shutil.copy(TEMPLATE / "Pulumi.yaml", root)
        shutil.copy(TEMPLATE / "stacks" / "__main__.py", root / "stacks")
        (root / "environments" / "dev.yaml").write_text(ENVIRONMENT_FILE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLINFRA_REPO"))}
        state = root.with_name(f"{root.name}-state")
        made = cls(root, {**kept, "XDG_STATE_HOME": str(state), "TERM": "dumb"})
        (made.stack / "data.py").write_text(DATA)
        made.train_well()
        made.declare()
        return made

    @property
    def stack(self) -> Path:
        return self.root / "stacks" / "tiny"

    @property
    def hold(self) -> Path:
        """A file: while it is there, training waits."""
        return self.root.with_name(f"{self.root.name}-hold")

    @property
    def scratch(self) -> Path:
        return self.root.with_name(f"{self.root.name}-output")

    @property
    def layout(self) -> Layout:
        return Layout(self.root, "dev")

    @property
    def checkpoint(self) -> Path:
        return self.root / ".mlinfra" / "state" / ".pulumi" / "stacks" / "mlinfra" / "dev.json"

    @property
    def locks(self) -> Path:
        return self.root / ".mlinfra" / "state" / ".pulumi" / "locks" / "organization" / "mlinfra" / "dev"

    def declare(self, **changes: Any) -> None:
        """Write the stack, with changed values: `percent` replaces the server, `slope` trains another model."""
        for name, value in changes.items():
            setattr(self, name, value)
        values = {name: getattr(self, name) for name in ("percent", "slope", "max_runtime", "memory_gib")}
        (self.stack / "stack.py").write_text(STACK.format(**values))

    def another_server(self) -> None:
        """Declare something that only a new server can do."""
        self.declare(percent=self.percent - 1)

    def another_model(self) -> None:
        """Declare something that only another training run gives."""
        self.models += 1
        self.declare(slope=float(self.models))

    def earlier_model(self, slope: float) -> None:
        """Declare again what was trained before, and let it be the newest release."""
        self.declare(slope=slope)
        trained = self.run("train", "dev")
        assert trained.code == 0, trained.seen

    def train_well(self) -> None:
        """Write the training script that makes a model, once nobody holds it."""
        self.train_with(TRAIN.format(hold=self.hold))

    def train_with(self, script: str) -> None:
        """Write another training script."""
        (self.stack / "train.py").write_text(dedent(script))

    def start(self, *arguments: str) -> Command:
        """Start a command."""
        self.known_well = self.known_well and arguments[0] in READING
        command = Command(self, arguments)
        self.started.append(command)
        return command

    def run(self, *arguments: str, script_raises: bool = False) -> Ended:
        """Run a command until it ends."""
        return self.start(*arguments).wait(script_raises=script_raises)

    def up(self, *options: str) -> Ended:
        """Run an `up` that must end well."""
        ended = self.run("up", "dev", *options)
        assert ended.code == 0, ended.seen
        return ended

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says of the endpoint, whatever its exit code."""
        ended = self.run("status", "dev", "--json")
        found: dict[str, Any] = json.loads(ended.stdout)["endpoints"][0]
        assert ended.code == (0 if found["as_wanted"] else 1), ended.seen
        return found

    def answers(self) -> bool:
        """Whether the endpoint answers a request."""
        url = f"http://127.0.0.1:{Ports(self.layout).kept()['endpoint/tiny']}/v2/models/tiny/infer"
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [7.0]}]}
        try:
            answer = httpx.post(url, json=body, timeout=5, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def programs(self) -> dict[str, ProcessState]:
        """Return what the supervisor runs, by name."""
        return Supervisor(self.layout).status()

    def server(self) -> ProcessState:
        """Return the one server that runs."""
        [found] = [state for name, state in self.programs().items() if name.startswith("server/")]
        return found

    def supervisor(self) -> list[psutil.Process]:
        """Return the supervisor's process, if it runs."""
        found = processes.of_environment(self.layout)
        return [each for each in found if processes.is_supervisor(each, self.layout) and each.parent() not in found]

    def assert_well(self) -> None:
        """Assert that what is declared, what is recorded and what really runs are the same, with nothing left over."""
        status = self.status()
        assert status["as_wanted"], status
        plan = json.loads(self.run("plan", "dev", "--json").stdout)
        changes = [(change["name"], change["change"]) for part in plan["parts"] for change in part["changes"]]
        assert all(change == "same" for _, change in changes), changes
        assert self.answers()
        state = json.loads(self.checkpoint.read_text())["checkpoint"]["latest"]
        assert not state.get("pending_operations"), state["pending_operations"]
        recorded = sorted(item["id"] for item in state["resources"] if item["type"] == "mlinfra:local:Server")
        running = sorted(name for name in self.programs() if name.startswith("server/"))
        assert running == recorded
        ports = sorted(name for name in Ports(self.layout).kept() if name.startswith("server/"))
        assert ports == recorded
        models = [f"server/tiny/{folder.name}-" for folder in (self.layout.endpoint("tiny") / "models").iterdir()]
        assert [name for name in models if not any(each.startswith(name) for each in recorded)] == []
        assert not self.locked()
        self.known_well = True

    def locked(self) -> list[Path]:
        """Return the locks of the state."""
        return list(self.locks.glob("*"))

    def remove(self) -> None:
        """Take everything down with its data; nothing that ran may be left."""
        for command in self.started:
            command.end()
        ended = self.run("down", "dev", "--destroy-data", "--yes") if (self.root / ".mlinfra").exists() else None
        left = processes.of_environment(self.layout)
        processes.end(left, seconds=5)
        shutil.rmtree(self.layout.sockets, ignore_errors=True)
        assert ended is None or ended.code == 0, ended.seen
        assert not left, left


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return found
