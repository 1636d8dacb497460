"""A Pulumi project in a folder of its own, run by the real engine with the lab's plugins installed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlinfra_engine.install import ensure
from tests.lab.plugin import CLOUDS

ROOT = Path(__file__).parents[2]
SECONDS = 300


def install(home: Path) -> None:
    """Install the lab's plugins into a PULUMI_HOME, each as the version that its SDK asks for.

    A plugin of the same version in PULUMI_HOME is used without a word; one on PATH is used with a warning.
    """
    for name in CLOUDS:
        version = importlib.metadata.version(f"pulumi-{name}")
        folder = home / "plugins" / f"resource-{name}-v{version}"
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / f"pulumi-resource-{name}"
        command = [sys.executable, "-P", "-u", "-m", "mlinfra_engine.attached", "tests.lab.plugin", name]
        # the engine starts it in the folder of the program
        script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)


@dataclass(frozen=True)
class Run:
    """What a run of the engine said: exit code, all output, and the steps of the events, as
    `("update", "Endpoint flights")`."""

    code: int
    output: str
    steps: list[tuple[str, str]]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The steps that change something, without the Pulumi stack and providers."""
        return [step for step in self.steps if step[0] not in ("same", "refresh", "read")]


class Project:
    """A program and its Pulumi stack `lab`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text(
            f"name: lab\nruntime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n"
        )
        install(folder / "home")
        own = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "MLINFRA_", "AWS_"))}
        self.environment = {
            **own,
            **ensure(lambda _: None).environment(),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "for a test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            **environment,
        }
        self.run("stack", "init", "lab", expect=0)

    def write(self, program: str) -> None:
        """Set the program."""
        (self.folder / "__main__.py").write_text(program)

    def run(self, *arguments: str, expect: int | None = None) -> Run:
        """Run `pulumi`, and check its exit code if one is expected."""
        log = self.folder / "events.json"
        log.unlink(missing_ok=True)
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        if arguments[0] in ("up", "preview", "refresh", "destroy"):
            command += ["--event-log", str(log), "--stack", "lab", "--diff"]
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        output = ran.stdout + ran.stderr
        if expect is not None:
            assert ran.returncode == expect, output
        return Run(ran.returncode, output, list(_steps(log)))

    def up(self, *arguments: str, expect: int | None = 0) -> Run:
        """Apply the program without a preview."""
        return self.run("up", "--yes", "--skip-preview", *arguments, expect=expect)

    def preview(self, *arguments: str, expect: int | None = 0) -> Run:
        return self.run("preview", *arguments, expect=expect)

    def refresh(self, *arguments: str, expect: int | None = 0) -> Run:
        return self.run("refresh", "--yes", "--skip-preview", *arguments, expect=expect)

    def destroy(self, expect: int | None = 0) -> Run:
        return self.run("destroy", "--yes", "--skip-preview", expect=expect)

    def state(self) -> str:
        """Return the state as it is stored, secrets encrypted."""
        return self.run("stack", "export", "--stack", "lab", expect=0).output

    def resources(self) -> dict[str, Any]:
        """Return the resources of the state by type and name, as `Endpoint flights`."""
        listed = json.loads(self.state())["deployment"].get("resources", [])
        return {_called(resource["urn"]): resource for resource in listed}


def _steps(log: Path) -> list[tuple[str, str]]:
    """Return the operations that were done or, in a preview, planned, in order."""
    if not log.exists():
        return []
    steps = []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        told = event.get("resOutputsEvent") or {}
        metadata = told.get("metadata") or (event.get("resourcePreEvent") or {}).get("metadata") or {}
        planning = bool(told.get("planning") or (event.get("resourcePreEvent") or {}).get("planning"))
        state = metadata.get("new") or metadata.get("old") or {}
        # of a component there is nothing to make
        if not metadata or metadata["type"].startswith("pulumi:") or not state.get("custom"):
            continue
        wanted = "resourcePreEvent" if planning else "resOutputsEvent"
        if wanted in event:
            steps.append((metadata["op"], _called(metadata["urn"])))
    return steps


def _called(urn: str) -> str:
    """Return the type and the name of a resource, as `Endpoint flights`."""
    *_, kind, name = urn.split("::")
    return f"{kind.rpartition(':')[2]} {name}"
