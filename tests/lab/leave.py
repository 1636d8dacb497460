"""`make lab TARGET=sagemaker`: start an emulated cloud, leave it running, and print the environment for it.

The lab's plugins are installed into a PULUMI_HOME of the lab's own, so that `mlinfra up` deploys to it:

    eval "$(make -s lab TARGET=sagemaker)"
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from tests.lab.project import ROOT, install

HOME = ROOT / ".cache" / "lab"


@contextmanager
def _sagemaker() -> Iterator[Mapping[str, str]]:
    from tests.lab.aws.target import running

    with running() as target:
        yield target.environment


@contextmanager
def _kubernetes() -> Iterator[Mapping[str, str]]:
    from tests.lab.kubernetes.target import running

    with running() as target:
        yield target.environment


@contextmanager
def _vertex() -> Iterator[Mapping[str, str]]:
    from tests.lab.gcp.emulator import running

    with running() as emulator:
        yield emulator.environment


@contextmanager
def _azureml() -> Iterator[Mapping[str, str]]:
    from tests.lab.azure.emulator import running

    with running() as emulator:
        yield emulator.environment


TARGETS: dict[str, Callable[[], AbstractContextManager[Mapping[str, str]]]] = {
    "azureml": _azureml,
    "sagemaker": _sagemaker,
    "vertex": _vertex,
    "kubernetes": _kubernetes,
}


def _serve(target: str, told: Path) -> None:
    """Serve until a signal; `told` holds the environment as long as it lasts."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    with TARGETS[target]() as environment:
        install(HOME / "pulumi")
        values = {**environment, "PULUMI_HOME": str(HOME / "pulumi"), "LAB_PID": str(os.getpid())}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
        unfinished = told.with_suffix(".new")
        unfinished.write_text("".join(lines))
        unfinished.replace(told)
        ending.wait()
    told.unlink()


def _running(told: Path) -> bool:
    """Say whether the lab that wrote `told` is still there; forget it when it is not."""
    found = re.search("LAB_PID=([0-9]+)", told.read_text()) if told.exists() else None
    if found and psutil.pid_exists(int(found[1])):
        return True
    told.unlink(missing_ok=True)
    return False


def main() -> None:
    """Start the lab of a target unless it runs, and print its environment; with `--serve` be it."""
    target = sys.argv[1] if len(sys.argv) > 1 else ""
    if target not in TARGETS:
        sys.exit(f"there is no lab for {target!r}: make lab TARGET={'|'.join(TARGETS)}")
    HOME.mkdir(parents=True, exist_ok=True)
    told = HOME / f"{target}.env"
    if "--serve" in sys.argv:
        _serve(target, told)
        return
    if not _running(told):
        with (HOME / f"{target}.log").open("wb") as log:
            command = [sys.executable, "-m", "tests.lab.leave", target, "--serve"]
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while not told.exists():
            if process.poll() is not None:
                sys.exit(f"the lab ended at its start: see {HOME / target}.log")
            time.sleep(0.2)
    sys.stdout.write(f"{told.read_text()}# kill $LAB_PID ends it\n")


if __name__ == "__main__":
    main()
