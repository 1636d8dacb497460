"""mlinfra plan: what it says of a first `up`, of a changed declaration, and of lost data; always the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]

FIRST = """\
plan for dev on local, offline

   kind            name      change       how  reason
+  training job    diabetes  1 to create  new  not there yet
+  model registry  diabetes  1 to create  new  not there yet
+  endpoint        diabetes  1 to create  new  not there yet
+  drift monitor   diabetes  1 to create  new  not there yet

4 to create: mlinfra up dev does it in 1.0 s to 10 s, training aside
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
    assert run("plan", "dev").stdout == (
        "plan for dev on local, offline\n\nnothing changes: 4 resources as at the last up\n"
    )


def test_what_changes_and_why(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout))
    change(repository, 'every="1h"', 'every="2h"')
    assert run("plan", "dev").stdout == (
        "plan for dev on local, offline\n"
        "\n"
        "   kind           name      change       how       reason\n"
        "~  drift monitor  diabetes  1 to update  in place  everySeconds changed\n"
        "\n"
        "1 to update; 3 stay as they are: mlinfra up dev does it in 0.0 s to 2.0 s, training aside\n"
    )
    shown = run("plan", "dev", "--details").stdout
    assert "\ndrift_monitors.diabetes\n  ~ DriftSchedule diabetes: in place\n      everySeconds: 3600 → 7200\n" in shown


def test_what_the_clients_of_an_endpoint_see(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout))
    change(repository, "api = stack.add(Endpoint(", "api = stack.add(Endpoint(renamed_from=None, ")
    path = repository / "stacks" / "diabetes" / "stack.py"
    path.write_text(path.read_text().split("api = stack.add(")[0])
    shown = run("plan", "dev")
    assert "\ndiabetes stops serving\n" in shown.stdout


def test_details_of_what_is_created(repository: Path, run: Run) -> None:
    shown = run("plan", "dev", "--details").stdout
    assert '      onDrift: "log"\n' in shown
    assert shown.replace("      ", "").startswith("plan for dev on local, offline\n")


def test_what_is_no_longer_declared_and_holds_data(repository: Path, run: Run) -> None:
    remember(repository, json.loads(run("plan", "dev", "--json").stdout), RegisteredModel=True)
    path = repository / "stacks" / "diabetes" / "stack.py"
    path.write_text(path.read_text().split("train = stack.add(")[0])
    result = run("plan", "dev")
    assert result.exit_code == 3
    assert re.search(r"\n-  model registry +diabetes +1 to delete +DESTROYS DATA +no longer declared\n", result.stdout)
    assert result.stdout.endswith("\n4 to delete; 1 would DESTROY DATA: up refuses this\n")
    assert run("plan", "dev", "--json").exit_code == 3


@pytest.mark.parametrize("resource", ["model_registries.diabetes", "URN"])
def test_data_may_go_that_the_environment_names(repository: Path, run: Run, resource: str) -> None:
    document = json.loads(run("plan", "dev", "--json").stdout)
    remember(repository, document, RegisteredModel=True)
    if resource == "URN":
        [resource] = [item["urn"] for item in document["resources"] if item["type"].endswith("RegisteredModel")]
    path = repository / "stacks" / "diabetes" / "stack.py"
    path.write_text(path.read_text().split("train = stack.add(")[0])
    file = repository / "environments" / "dev.yaml"
    file.write_text(f"{file.read_text()}destroy_data:\n  - {{resource: '{resource}', reason: nobody uses it}}\n")
    result = run("plan", "dev")
    assert result.exit_code == 0
    assert "DESTROYS DATA  allowed: nobody uses it\n" in result.stdout
    assert "remove the line" not in result.stdout
    file.write_text(file.read_text().replace(resource, "model_registries.diabetic"))
    result = run("plan", "dev")
    assert result.exit_code == 3
    assert "nothing of model_registries.diabetic would be destroyed: remove the line" in result.stdout


def test_a_plan_is_kept_with_what_it_was_made_of(repository: Path, run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "plan.json"
    shown = run("plan", "dev", "--json", "--out", str(kept))
    document = json.loads(kept.read_text())
    assert sorted(document.pop("made_of")) == ["environment", "program", "state"]
    assert document == json.loads(shown.stdout)
    elsewhere = kept / "plan.json"
    assert "cannot be written" in run("plan", "dev", "--out", str(elsewhere)).stderr


@pytest.mark.parametrize(
    ("what", "told"),
    [("program", "what the stacks declare"), ("environment", "the environment's file"), ("state", "the state: ")],
)
def test_a_plan_of_something_else_is_refused(repository: Path, run: Run, tmp_path: Path, what: str, told: str) -> None:
    document = json.loads(run("plan", "dev", "--json").stdout)
    kept = tmp_path / "plan.json"
    assert run("plan", "dev", "--out", str(kept)).exit_code == 0
    if what == "program":
        change(repository, 'every="1h"', 'every="2h"')
    elif what == "environment":
        file = repository / "environments" / "dev.yaml"
        file.write_text(f"{file.read_text()}webhook: https://hooks.example.com/drift\n")
    else:
        remember(repository, document)
    result = run("up", "dev", "--plan", str(kept))
    assert result.exit_code == 3
    assert told in result.stderr
    others = {"program": ["the state: "], "environment": ["the state: "], "state": ["what the stacks declare"]}[what]
    assert not [other for other in others if other in result.stderr]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "made_of": {}}', "[" * 100_000])
def test_what_is_no_plan_is_refused(repository: Path, run: Run, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "plan.json"
    kept.write_text(text)
    result = run("up", "dev", "--plan", str(kept))
    assert result.exit_code == 1
    assert "mlinfra plan ENV --out" in result.stderr
    assert run("up", "dev", "--plan", str(tmp_path / "none.json")).exit_code == 1


def test_the_json_has_its_documented_fields(repository: Path, run: Run) -> None:
    result = run("plan", "dev", "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert list(document)[:5] == ["version", "environment", "target", "resources", "parts"]
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


def test_what_a_target_does_not_carry_out_whole_is_said(repository: Path, run: Run) -> None:
    example = Path(__file__).parents[2] / "environments" / "examples" / "azureml.yaml"
    text = example.read_text().replace("[flight_delay, diabetes_progression]", "[diabetes]")
    (repository / "environments" / "prod.yaml").write_text(text.partition("policies:")[0])
    told = "endpoints.diabetes: rollout.shadow: copies of more than half of the requests are not made"
    assert told not in run("plan", "prod").stdout
    change(repository, 'runtime="sklearn"', 'runtime="sklearn", rollout=Rollout(shadow="5m")')
    change(repository, "    ModelRegistry,\n", "    ModelRegistry,\n    Rollout,\n")
    assert f"not carried out on azureml: {told}: Azure ML copies no more" in " ".join(
        run("plan", "prod").stdout.split()
    )
    assert json.loads(run("plan", "prod", "--json").stdout)["not_yet"] == [f"{told}: Azure ML copies no more"]
