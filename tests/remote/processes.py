"""Jobs of a target whose machines are processes of this one: a folder a job, found again by whoever comes later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from mlinfra.problems import MlinfraError
from mlinfra_providers.remote.jobs import Job, Phase, State, fetch_folder


class Processes:
    """Implements `mlinfra_providers.remote.jobs.Jobs`. `lost` questions in a row get no answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lost = 0
        self.asked = 0
        self.mount = False
        """Whether code and inputs are brought as folders, and not fetched by the launcher."""

    @property
    def submitted(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def submit(self, job: Job) -> None:
        place = self._folder / job.name
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            return
        variables = dict(job.variables)
        if self.mount:
            for name in [name for name in variables if variables[name].startswith("file:")]:
                if name != "MLINFRA_OUTPUT":
                    variables[name] = variables[name].removeprefix("file://")
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlinfra.training.launcher", job.script],
                env={**os.environ, **variables},
                cwd=place,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        about = {"pid": process.pid, "started": datetime.now(UTC).isoformat()}
        (place / "process.json").write_text(json.dumps(about))

    def state(self, job: Job) -> State | None:
        self.asked += 1
        if self.lost:
            self.lost -= 1
            raise MlinfraError("connection reset by peer")
        place = self._folder / job.name
        if not place.exists():
            return None
        if (place / "ended").exists():
            return State(Phase((place / "ended").read_text()), "a person")
        if not (place / "process.json").exists():
            return State(Phase.WAITING)
        about = json.loads((place / "process.json").read_text())
        started = datetime.fromisoformat(about["started"])
        try:
            process = psutil.Process(about["pid"])
            code = process.wait(0)
        except psutil.TimeoutExpired:
            return State(Phase.RUNNING, started=started)
        except psutil.NoSuchProcess:
            code = None
        if (place / "code").exists():
            code = int((place / "code").read_text())
        elif code is not None:
            (place / "code").write_text(str(code))
        return State(Phase.FAILED if code else Phase.SUCCEEDED, f"exit code {code}" if code else "", started)

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        return (self._folder / job.name / "log").read_text().splitlines()[skip:]

    def stop(self, job: Job) -> None:
        self._end(job.name, Phase.STOPPED)

    def fetch(self, job: Job, to: Path) -> None:
        fetch_folder(job.output, to)

    def take_away(self, name: str) -> None:
        """End a job as a lost machine does."""
        self._end(name, Phase.FAILED)

    def _end(self, name: str, phase: Phase) -> None:
        place = self._folder / name
        (place / "ended").write_text(phase.value)
        about = json.loads((place / "process.json").read_text())
        try:
            os.killpg(about["pid"], signal.SIGKILL)
            psutil.Process(about["pid"]).wait(10)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return

    def close(self) -> None:
        """End everything."""
        for place in self._folder.iterdir():
            if (place / "process.json").exists():
                self._end(place.name, Phase.STOPPED)
