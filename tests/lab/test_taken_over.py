"""A run that was killed while it created something: azure-native makes nothing twice, and finds what is taken over."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from mlinfra.environment import parse_environment
from mlinfra.taken_over import taken_over
from mlinfra.yaml_file import read_yaml
from mlinfra_providers.azureml.ids import id_of
from tests.lab.azure.emulator import Emulator, running
from tests.lab.azure.server.account import GROUP, REGION, group_id
from tests.lab.azure.server.resource_manager import SUBSCRIPTION
from tests.lab.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.local]

PROGRAM = f"""
import pulumi
from pulumi_azure_native import Provider, redis

options = pulumi.ResourceOptions(provider=Provider("lab", subscription_id="{SUBSCRIPTION}", location="{REGION}"))
for name in ("one", "other"):
    redis.Redis(
        name, name=name, resource_group_name="{GROUP}", location="{REGION}", minimum_tls_version="1.2",
        sku=redis.SkuArgs(name="Basic", family="C", capacity=1), opts=options,
    )
"""
ONE = f"{group_id()}/providers/Microsoft.Cache/redis/one"
LONG_SECONDS = 600.0
TEXT = f"target: azureml\nstacks: []\naccount: {SUBSCRIPTION}\nregion: {REGION}\nresource_group: {GROUP}\n"


@pytest.mark.long
def test_what_was_made_is_found_and_what_was_not_is_made(tmp_path: Path) -> None:
    environment, _ = parse_environment(read_yaml(TEXT, "environments/prod.yaml"), "prod")
    assert environment is not None
    with running() as emulator:
        project = Project(tmp_path, emulator.environment)
        project.write(PROGRAM)
        _kill_while_creating(project, emulator)
        emulator.slow(0.1)
        state = json.loads(project.state())
        assert len(state["deployment"]["pending_operations"]) == 2
        # as if the run had been killed before the second request
        emulator.reset()
        emulator.ask("PUT", ONE, {"location": REGION, "properties": {"minimumTlsVersion": "1.2"}})
        changed, taken = taken_over(state, lambda token, inputs: id_of(environment, token, inputs))
        assert len(taken) == 2
        (tmp_path / "state.json").write_text(json.dumps(changed))
        project.run("stack", "import", "--stack", "lab", "--file", str(tmp_path / "state.json"), expect=0)
        project.refresh("--clear-pending-creates")
        assert [name for name in project.resources() if name.startswith("Redis")] == ["Redis one"]
        ran = project.up()
        assert ("create", "Redis other") in ran.changes
        assert ("create", "Redis one") not in ran.changes


def _kill_while_creating(project: Project, emulator: Emulator) -> None:
    """Kill the engine and all that it started when both requests have been taken."""
    emulator.slow(LONG_SECONDS)
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", "lab", "--non-interactive"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len(_caches(emulator)) < 2:
        assert engine.poll() is None, "the engine ended"
        time.sleep(0.1)
    started = psutil.Process(engine.pid).children(recursive=True)
    for process in (psutil.Process(engine.pid), *started):
        process.kill()
    engine.wait()
    project.run("cancel", "--yes", "--stack", "lab", expect=0)


def _caches(emulator: Emulator) -> list[str]:
    found: list[str] = emulator.ask("GET", "/lab/things").json()
    return [line for line in found if "/redis/" in line]
