"""What all benchmarks share: processes that are timed one after the other in turn, and the line that says the result.

A machine that is shared changes its speed from one second to the next. So a thing is never judged by its time, but
by the ratio to a peer that was measured in the same round; of several rounds the median counts. CPU seconds (user and
system, with all children that ended) stand beside the ratios of wall time: they suffer less from what else runs.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTALL_SECONDS = 300
LEFT_OUT = ("PYTHON", "PULUMI_BACKEND_URL", "PULUMI_CONFIG", "MLINFRA_REPOSITORY")
"""Variables that would measure something else: bytecode that is not kept, another state, another repository."""


@dataclass(frozen=True)
class Result:
    """One line of a benchmark: what was measured, beside what, the ratio (or difference), and the aim.

    `met` is None where there is no aim, or where nothing could be measured."""

    name: str
    measured: str
    against: str
    ratio: str
    aim: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """The word for `met`."""
        return {True: "met", False: "NOT MET", None: "-"}[self.met]

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.measured}; beside {self.against}; {self.ratio}; aim {self.aim}: {self.verdict} "
            f"[{machine()}]"
        )


@dataclass(frozen=True)
class Spent:
    """What one run of a process took: seconds of wall time, and of CPU time (user and system)."""

    wall: float
    cpu: float


def machine() -> str:
    """Return what a number can be compared by: cores, and how busy they are."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"


def variables(**more: str) -> dict[str, str]:
    """Return the environment of a measured process: as a user has it, and with bytecode that is kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return {**kept, "NO_COLOR": "1", **more}


def spend(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    output: Path | None = None,
    codes: Sequence[int] = (0,),
) -> Spent:
    """Run a command to its end; `output` gets what it writes to stdout.

    Raises:
        RuntimeError: it ended with none of the exit codes, with its last lines.
    """
    with tempfile.TemporaryFile() as errors, (output or Path(os.devnull)).open("wb") as stdout:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=stdout, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            errors.seek(0)
            tail = errors.read().decode(errors="replace").splitlines()[-15:]
            raise RuntimeError("\n".join([f"{' '.join(command)} ended with {process.returncode}", *tail]))
    return Spent(wall, usage.ru_utime + usage.ru_stime)


def in_turn(runs: Mapping[str, Callable[[], Spent]], rounds: int) -> dict[str, list[Spent]]:
    """Run each in turn, A B A B, after one round that does not count (files that are not in memory yet)."""
    for run in runs.values():
        run()
    spent: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            spent[name].append(run())
    return spent


def wall(spent: Sequence[Spent]) -> float:
    """Return the median of the seconds of wall time."""
    return statistics.median(one.wall for one in spent)


def cpu(spent: Sequence[Spent]) -> float:
    """Return the median of the seconds of CPU time."""
    return statistics.median(one.cpu for one in spent)


def ratios(ours: Sequence[Spent], theirs: Sequence[Spent]) -> tuple[float, float]:
    """Return the medians of the ratios of each round: of wall time, and of CPU time."""
    pairs = list(zip(ours, theirs, strict=True))
    return statistics.median(a.wall / b.wall for a, b in pairs), statistics.median(a.cpu / b.cpu for a, b in pairs)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all (0 to 1) do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def installed(peer: str) -> Path | str:
    """Return a peer's executable, in a virtual environment of its own that is made if need be, or why there is none."""
    folder = ROOT / ".cache" / "benchmarks" / peer
    executable = folder / "bin" / peer
    if executable.is_file():
        return executable
    uv = shutil.which("uv") or str(ROOT / ".cache" / "uv" / "bin" / "uv")
    if not Path(uv).is_file():
        return "there is no uv to install it with"
    make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
    fill = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python"), peer]
    for command in (make, fill):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"installing it took more than {INSTALL_SECONDS} s"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["uv did not say why"])[-1]
    return executable if executable.is_file() else "its package brings no such command"
