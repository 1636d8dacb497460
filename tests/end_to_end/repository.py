"""A repository of a user, as a user has it: files, the command line, and everything that runs for it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from mlinfra.artifacts import ArtifactStore
from mlinfra.operations.session import Session
from mlinfra.releases import Release
from mlinfra.repository import Repository
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import is_free
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from tests.end_to_end.files import FILES, STACK

MLINFRA = Path(sys.executable).with_name("mlinfra")
ENDPOINT = "crowds"
STORE = "weather"
ROW = {"temperature": 21.0, "humidity": 40.0, "hour": 12.0}


@dataclass
class Asked:
    """What clients were told while something else happened."""

    releases: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Platform:
    """One repository of a user, and everything that runs for it."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state  # in place of the user's state folder, where ports are kept

    @classmethod
    def create(cls, folder: Path, state: Path) -> Platform:
        """Write the files of a fresh repository."""
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))
        return cls(folder, state)

    def copy(self, folder: Path) -> Platform:
        """Return a copy of this repository, which is down, with all that it keeps but its ports: both may be up."""
        shutil.copytree(self.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("ports.json"))
        return Platform(folder, self.state)

    def write(self, name: str, text: str) -> None:
        """Write one file of the repository."""
        (self.folder / name).write_text(text)

    def edit(self, old: str, new: str, name: str = STACK) -> None:
        """Replace the one place where a file says `old`."""
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, f"{name} says {old!r} {text.count(old)} times"
        self.write(name, text.replace(old, new))

    @contextmanager
    def changed(self, old: str, new: str, name: str = STACK) -> Iterator[None]:
        """Change a file as `edit` does, and take the change back at the end."""
        text = (self.folder / name).read_text()
        self.edit(old, new, name)
        try:
            yield
        finally:
            self.write(name, text)

    # What a person types.

    def mlinfra(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line, and demand its exit code."""
        return self._run([str(MLINFRA), *arguments], code)

    def read(self, *arguments: str, code: int = 0) -> Any:
        """Return what a command prints with `--json`."""
        return json.loads(self.mlinfra(*arguments, "--json", code=code).stdout)

    def pulumi(self, environment: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run plain `pulumi` with nothing but what `mlinfra env` prints."""
        script = 'eval "$(mlinfra env "$0")" && exec pulumi "$@" --stack "$0" --non-interactive'
        return self._run(["bash", "-c", script, environment, *arguments], code)

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_CONFIG")}
        return kept | {
            "PATH": f"{MLINFRA.parent}{os.pathsep}{kept['PATH']}",
            "NO_COLOR": "1",
            "XDG_STATE_HOME": str(self.state),
            "PULUMI_HOME": str(self.state / "pulumi"),
        }

    def _run(self, command: list[str], code: int) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    # What is there, asked of the parts themselves.

    def layout(self, environment: str = "dev") -> Layout:
        """Return where everything of an environment lies."""
        return Layout(self.folder, environment)

    def supervisor(self, environment: str = "dev") -> Supervisor:
        """Return the supervisor of an environment."""
        return Supervisor(self.layout(environment))

    def router(self, environment: str = "dev") -> Router:
        """Return the router of the endpoint."""
        return Router(self.layout(environment), ENDPOINT)

    def store(self) -> ArtifactStore:
        """Return the store of models and releases that all environments share."""
        return ArtifactStore(self.layout().artifacts_url)

    def session(self, environment: str = "dev") -> Session:
        """Return what is declared and resolved."""
        return Session.open(Repository(self.folder), environment)

    def release(self, environment: str = "dev") -> Release:
        """Return the release that is wanted."""
        return self.session(environment).resolved.part(f"endpoints.{ENDPOINT}").deployments[0].release

    def runs(self, environment: str = "dev") -> list[str]:
        """Return the training runs that ended."""
        return sorted(str(path.parent) for path in self.layout(environment).runs.glob("*/*/*/record.json"))

    def resources(self, environment: str = "dev") -> dict[str, dict[str, Any]]:
        """Return the resources of the engine's state, by URN, without the moments at which it wrote them."""
        state = self.folder / ".mlinfra/state/.pulumi/stacks/mlinfra" / f"{environment}.json"
        return by_urn(json.loads(state.read_text())["checkpoint"]["latest"])

    def online_rows(self, environment: str = "dev") -> dict[str, int]:
        """Return the number of values in each table of the online store."""
        with sqlite3.connect(self.layout(environment).features / "online.db") as online:
            tables = [name for [name] in online.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: online.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}

    def programs(self, environment: str = "dev") -> dict[str, int]:
        """Return the pid of each running program, by name."""
        status = self.supervisor(environment).status()
        return {name: state.pid for name, state in status.items() if state.running and state.pid}

    def ask(self, environment: str = "dev", client: httpx.Client | None = None) -> httpx.Response:
        """Ask the endpoint through its router about one row."""
        inputs = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in ROW.items()]
        url = f"http://127.0.0.1:{self.ports(environment)[f'endpoint/{ENDPOINT}']}/v2/models/{ENDPOINT}/infer"
        return (client or httpx).post(url, json={"inputs": inputs}, timeout=30)

    def answering(self, environment: str = "dev") -> str:
        """Return the release that answers."""
        answer = self.ask(environment)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-mlinfra-release"])

    def ports(self, environment: str = "dev") -> dict[str, int]:
        """Return the ports that were chosen."""
        found: dict[str, int] = json.loads(self.layout(environment).ports.read_text())
        return found

    @contextmanager
    def clients(self, environment: str = "dev", count: int = 3) -> Iterator[Asked]:
        """Ask the endpoint again and again, from several clients, until the block ends."""
        asked, ended = Asked(), threading.Event()

        def run() -> None:
            with httpx.Client() as client:
                while not ended.wait(0.03):
                    try:
                        answer = self.ask(environment, client)
                    except httpx.HTTPError as error:
                        asked.failures.append(repr(error))
                        continue
                    if answer.status_code == 200:
                        asked.releases.append(answer.headers["x-mlinfra-release"])
                    else:
                        asked.failures.append(f"{answer.status_code}: {answer.text}")

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield asked
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    # What runs, looked for without any help of the parts.

    def processes(self, environment: str = "") -> list[psutil.Process]:
        """Return every process that has to do with this repository, or with one environment of it."""
        signs = [str(self.folder)]
        if environment:
            signs = [str(self.folder / ".mlinfra" / environment), f"{self.folder} {environment}"]
        return [
            process for process in psutil.process_iter() if process.pid != os.getpid() and _concerns(process, signs)
        ]

    def remains(self, environment: str = "dev") -> list[str]:
        """Return what still runs or listens for an environment, each in words: [] when it is down."""
        layout = self.layout(environment)
        ports = self.ports(environment).items() if layout.ports.exists() else ()
        return [
            *(f"process {' '.join(process.cmdline())}" for process in self.processes(environment)),
            *(f"port {port} of {name}" for name, port in ports if not is_free(port)),
            *([f"sockets in {layout.sockets}"] if layout.sockets.exists() else []),
        ]

    def end(self) -> None:
        """Take every environment down, and leave nothing running whatever a test did."""
        made = [path.stem for path in sorted((self.folder / "environments").glob("*.yaml")) if "." not in path.stem]
        made = [name for name in made if self.processes(name)]
        try:
            for name in made:
                self.mlinfra("down", name)
        finally:
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            for name in made:
                shutil.rmtree(self.layout(name).sockets, ignore_errors=True)
        assert left == []


def _concerns(process: psutil.Process, signs: list[str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words = [" ".join(process.cmdline()), process.cwd(), process.environ().get("MLINFRA_REPOSITORY", "")]
    except (psutil.Error, OSError):
        return False
    return any(re.search(re.escape(sign) + r"(?![\w.-])", word) for sign in signs for word in words)


def by_urn(deployment: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of an exported deployment without the moments at which the engine wrote them."""
    return {
        resource["urn"]: {name: value for name, value in resource.items() if name not in ("created", "modified")}
        for resource in deployment.get("resources", ())
    }


def without_place(resources: Mapping[str, Any], ports: Iterable[int]) -> list[str]:
    """Return the lines of resources as JSON, without ports, where the program declared them, and what is remembered."""
    kept = {
        urn: {name: value for name, value in resource.items() if name not in ("sourcePosition", "stackTrace")}
        | {"outputs": {**resource.get("outputs", {}), "record": None}}
        for urn, resource in resources.items()
    }
    return re.sub(
        rf"\b({'|'.join(map(str, ports))})\b", "PORT", json.dumps(kept, sort_keys=True, indent=1)
    ).splitlines()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
