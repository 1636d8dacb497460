"""Find the Pulumi engine, or install it: once per user and version.

Ways, the first that works: `pulumi` on PATH, the one of an earlier installation, the official installer, and a build
from Go modules where Pulumi's download site cannot be reached.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock
import platformdirs
from packaging.version import Version

from mlinfra.problems import MlinfraError
from mlinfra_engine import go_modules, hosts, official
from mlinfra_engine.failures import WayFailed

VERSION = "3.250.0"

# The oldest and the first too new that the programs of mlinfra run on.
MINIMUM = Version("3.200")
BEYOND = Version("4")

WAIT_SECONDS = 30.0

Way = Literal["PATH", "official installer", "Go modules"]
LanguageHost = Literal["official", "mlinfra"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    """An engine that is ready to run: its executable, its version, and where it and its language host come from."""

    path: Path
    version: str
    way: Way
    language_host: LanguageHost
    language_host_path: Path

    def environment(self) -> dict[str, str]:
        """Return the variables that running it needs: add them to those of the process.

        PATH holds the folders of the engine, of the language host and of this interpreter before the folders of
        the process's own PATH; PULUMI_PYTHON_CMD makes either language host run programs with this interpreter
        where Pulumi.yaml names no virtual environment that exists.
        """
        own = [self.path.parent, self.language_host_path.parent, Path(sys.executable).parent]
        folders = [*dict.fromkeys(str(folder) for folder in own), os.environ.get("PATH", os.defpath)]
        return {
            "PATH": os.pathsep.join(folders),
            "PULUMI_PYTHON_CMD": sys.executable,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }


def home() -> Path:
    """Return the folder in which this version of the engine is kept (MLINFRA_ENGINE_HOME moves it)."""
    given = os.environ.get("MLINFRA_ENGINE_HOME")
    base = Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("mlinfra")) / "engine"
    return base.absolute() / VERSION


def _version_of(path: Path) -> Version | None:
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        ran = subprocess.run(
            [path, "version"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v?(\d+\.\d+\.\d+)", ran.stdout.strip())
    return Version(found[1]) if found else None


def _ready(path: Path, version: str, way: Way, hosts_folder: Path) -> Engine:
    """Return the engine at `path` with the official language host, else with our own in `hosts_folder`."""
    beside = path.resolve().parent / hosts.LANGUAGE_HOST
    on_path = shutil.which(hosts.LANGUAGE_HOST)
    for found in [beside, *([Path(on_path)] if on_path else [])]:
        if os.access(found, os.X_OK) and not hosts.is_ours(found):
            return Engine(path, version, way, "official", found)
    try:
        hosts.write(hosts_folder)
    except OSError as error:
        raise MlinfraError(
            f"the Python language host of the engine cannot be written: {error}",
            remedy="make that folder writable, or set MLINFRA_ENGINE_HOME to one that is",
        ) from error
    return Engine(path, version, way, "mlinfra", hosts_folder / hosts.LANGUAGE_HOST)


def _on_path() -> Engine | str:
    """Return the engine on PATH, or why there is none."""
    found = shutil.which("pulumi")
    if found is None:
        return "there is none"
    path = Path(found).absolute()
    if path.resolve() == (home() / "bin" / "pulumi").resolve():
        return "it is the one of an earlier installation"
    version = _version_of(path)
    if version is None:
        return f"{path} does not tell its version"
    if not MINIMUM <= version < BEYOND:
        return f"{path} is {version}; {MINIMUM} or newer is needed, below {BEYOND}"
    return _ready(path, str(version), "PATH", home() / "hosts")


def _kept() -> Engine | None:
    path = home() / "bin" / "pulumi"
    if not os.access(path, os.X_OK):
        return None
    beside = path.parent / hosts.LANGUAGE_HOST
    way: Way = "official installer" if beside.exists() and not hosts.is_ours(beside) else "Go modules"
    return _ready(path, VERSION, way, path.parent)


def find() -> Engine | None:
    """Return the engine on PATH, else the one of an earlier installation, else None. Installs nothing."""
    found = _on_path()
    return found if isinstance(found, Engine) else _kept()


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def _alone(say: Say) -> Iterator[None]:
    lock = filelock.FileLock(home() / "install.lock")
    said = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=WAIT_SECONDS if said else 0)
        except filelock.Timeout:
            say("Still waiting." if said else "Another process installs the engine; waiting for it …")
            said = True
    try:
        yield
    finally:
        lock.release()


def ensure(say: Say = _write_line) -> Engine:
    """Return the engine that `find` finds; install it first where there is none.

    `say` gets each line of progress. Raises MlinfraError, which names each way and why it did not work.
    """
    found = _on_path()
    if isinstance(found, Engine):
        return found
    failures = [f"pulumi on PATH: {found}"]
    kept = _kept()
    if kept:
        return kept
    try:
        home().mkdir(parents=True, exist_ok=True)
        with _alone(say):
            kept = _kept()
            if kept:
                say("The other process installed it.")
                return kept
            return _install(failures, say)
    except OSError as error:
        raise MlinfraError(
            f"the Pulumi engine cannot be installed into {home()}: {error}",
            remedy="make room there, or set MLINFRA_ENGINE_HOME to another folder",
        ) from error


def _install(failures: list[str], say: Say) -> Engine:
    say(f"No Pulumi engine is installed yet ({failures[0]}).")
    ways: dict[Way, Callable[[str, Path, Say], None]] = {
        "official installer": official.install,
        "Go modules": go_modules.install,
    }
    for way, install in ways.items():
        try:
            install(VERSION, home(), say)
        except WayFailed as error:
            say(f"{way}: {error}")
            failures.append(f"{way}: {error}")
            continue
        kept = _kept()
        if kept:
            say(f"The engine is at {kept.path}.")
            return kept
        failures.append(f"{way}: it put no executable at {home() / 'bin' / 'pulumi'}")
    raise MlinfraError(
        "\n  - ".join(["there is no Pulumi engine, and none could be installed:", *failures]),
        remedy=(
            f"install Pulumi ({MINIMUM} or newer, https://www.pulumi.com/docs/install/) or Go (1.25.11 or newer, "
            "https://go.dev/dl/) so that `pulumi` or `go` is on PATH, then run: python -m mlinfra_engine"
        ),
    )
