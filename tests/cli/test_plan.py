"""mlinfra plan: what it says of a first `up`, of a changed declaration, and of lost data; always the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]

FIRST = """\
plan for dev on local
training_jobs.diabetes
  + create  TrainingDefinition  diabetes  not there yet
model_registries.diabetes
  + create  RegisteredModel     diabetes  not there yet
endpoints.diabetes
  + create  Traffic             diabetes  not there yet
drift_monitors.diabetes
  + create  DriftSchedule       diabetes  not there yet

4 to create: mlinfra up dev does it
"""


def remember(repository: Path, document: dict[str, Any], **protect: bool) -> None:
    """Write the state that an `up` of this plan leaves behind."""
    resources = [
        {**item, "custom": not item["type"].startswith(("mlinfra:part:", "pulumi:pulumi:"))}
        for item in document["resources"]
    ]
    for item in resources:
        item["protect"] = item["protect"] or protect.get(item["type"].rsplit(":", 1)[-1], False)
    path = repository / ".mlinfra" / "state" / ".pulumi" / "stacks" / "mlinfra" / "dev.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}))


def change(repository: Path, old: str, new: str) -> None:
    path = repository / "stacks" / "diabetes" / "stack.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_before_the_first_up(repository: Path, run: Run) -> None:
    result = run("plan", "dev")
    assert (result.exit_code, result.stdout, result.stderr) == (0, FIRST, "")


def test_nothing_changes(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout))
    assert run("plan", "dev").stdout == ("plan for dev on local\n\nnothing changes: 4 resources as at the last up\n")


def test_what_changes_and_why(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout))
    change(repository, 'every="1h"', 'every="2h"')
    assert run("plan", "dev").stdout == (
        "plan for dev on local\n"
        "drift_monitors.diabetes\n"
        "  ~ update  DriftSchedule  diabetes  everySeconds changed\n"
        "\n"
        "1 to update; 3 stay as they are: mlinfra up dev does it\n"
    )
    assert "      everySeconds: 3600 → 7200\n" in run("plan", "dev", "--details").stdout


def test_details_of_what_is_created(repository: Path, run: Run) -> None:
    shown = run("plan", "dev", "--details").stdout
    assert '      onDrift: "log"\n' in shown
    assert shown.replace("      ", "").startswith("plan for dev on local\n")


def test_what_is_no_longer_declared_and_holds_data(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout), RegisteredModel=True)
    path = repository / "stacks" / "diabetes" / "stack.py"
    path.write_text(path.read_text().split("train = stack.add(")[0])
    result = run("plan", "dev")
    assert result.exit_code == 0
    assert (
        "model_registries.diabetes\n  - delete  RegisteredModel     diabetes  DESTROYS DATA: no longer declared\n"
    ) in result.stdout
    assert result.stdout.endswith("\n4 to delete; 1 would DESTROY DATA: up refuses this\n")


def test_the_json_has_its_documented_fields(repository: Path, run: Run) -> None:
    result = run("plan", "dev", "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert list(document) == ["version", "environment", "target", "resources", "parts", "problems"]
    assert (document["version"], document["environment"], document["target"]) == (1, "dev", "local")
    for resource in document["resources"]:
        assert list(resource) == ["urn", "type", "name", "inputs", "parent", "dependencies", "protect"]
    assert [part["part"] for part in document["parts"]] == [
        "training_jobs.diabetes", "model_registries.diabetes", "endpoints.diabetes", "drift_monitors.diabetes",
    ]  # fmt: skip
    assert document["problems"] == []


@pytest.mark.parametrize(("broken", "code", "target"), [("target: local\n", 2, "local"), ("target: [\n", 2, None)])
def test_problems_are_json_too(repository: Path, run: Run, broken: str, code: int, target: str | None) -> None:
    (repository / "environments" / "dev.yaml").write_text(broken)
    result = run("plan", "dev", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert (document["target"], document["resources"], document["parts"]) == (target, [], [])
    assert [problem["file"] for problem in document["problems"]] == ["environments/dev.yaml"]
    assert result.stderr.startswith("error: 1 problem; nothing was changed\n")


def test_an_unknown_environment_is_json_too(repository: Path, run: Run) -> None:
    result = run("plan", "dve", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["problems"][0]["message"].startswith("no environment 'dve'")


def test_the_same_input_gives_the_same_bytes(repository: Path) -> None:
    def once(seed: str) -> bytes:
        command = [sys.executable, "-m", "mlinfra_cli", "plan", "dev", "--json"]
        environment = {"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "HOME": str(repository)}
        return subprocess.run(command, cwd=repository, env=environment, capture_output=True, check=True).stdout

    assert once("1") == once("2") != b""


def test_what_a_stack_prints_does_not_spoil_the_json(repository: Path, run: Run) -> None:
    change(repository, "stack = Stack(", 'print("hello")\nstack = Stack(')
    result = run("plan", "dev", "--json")
    assert json.loads(result.stdout)["environment"] == "dev"
    assert result.stderr == "hello\n"
