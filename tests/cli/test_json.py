"""The documents hold, for each command, the fields that it really prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import Result

from mlinfra.adapters import adapter_names
from mlinfra.artifacts import ArtifactStore
from tests.cli.test_releases import in_git, made

Run = Callable[..., Result]

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES: dict[str, Any] = {
    name: json.loads(text)
    for document in sorted(DOCS.glob("*.md"))
    for name, text in re.findall(r"```json (\w+)\n(.*?)\n```", document.read_text(encoding="utf-8"), re.DOTALL)
}
FREE = ("inputs", "features", "measures", "metrics", "unreadable_files", "equivalents", "spec", "data")
"""Objects whose fields are not the command's own."""


def fields(document: Any, path: str = "") -> set[str]:
    """Return the path of every field, in objects and in the objects of lists."""
    if isinstance(document, list):
        return set().union(*(fields(item, f"{path}[]") for item in document))
    if not isinstance(document, dict) or path.split(".")[-1] in FREE:
        return {path}
    return {path} | set().union(*(fields(value, f"{path}.{name}") for name, value in document.items()))


def kinds(document: Any, path: str = "") -> dict[str, set[str]]:
    """Return the kinds of value seen at every path; null goes with every kind."""
    if isinstance(document, list | dict):
        items = [("[]", item) for item in document] if isinstance(document, list) else list(document.items())
        seen: dict[str, set[str]] = {path: {type(document).__name__}}
        for name, value in [] if path.split(".")[-1] in FREE else items:
            for at, found in kinds(value, f"{path}.{name}").items():
                seen.setdefault(at, set()).update(found)
        return seen
    kind = "number" if type(document) in (int, float) else type(document).__name__
    return {path: set() if document is None else {kind}}


def check(name: str, printed: Any) -> None:
    documented = EXAMPLES[name]
    assert fields(printed) <= fields(documented), "a field that is not documented"
    top = {path for path in fields(documented) if path.count(".") == 1}
    assert top <= fields(printed), "a documented field that is not there"
    known = kinds(documented)
    for path, found in kinds(printed).items():
        assert found <= known[path] or not known[path], path


def test_every_command_that_takes_json_is_documented() -> None:
    from mlinfra_cli.commands import _MODULES

    readers = {
        name for name, module in _MODULES.items() if "as_json" in module.command.__annotations__ and name != "problems"
    }
    assert readers | {"problems"} == set(EXAMPLES)


def test_plan(repository: Path, run: Run) -> None:
    check("plan", json.loads(run("plan", "dev", "--json").stdout))


def test_problems(repository: Path, run: Run) -> None:
    path = repository / "environments" / "dev.yaml"
    path.write_text(path.read_text().replace("target: local", "target: locl"))
    printed = json.loads(run("plan", "dev", "--json").stdout)
    installed = f'"expected": "{", ".join(adapter_names())}"'
    said = json.dumps(EXAMPLES["problems"]["problems"]).replace('"expected": "local"', installed)
    assert printed["problems"] == json.loads(said)
    assert {**printed, "problems": []} == {**EXAMPLES["problems"], "problems": []}


def test_check(repository: Path, run: Run, tmp_path: Path) -> None:
    pod = "urn:pulumi:dev::shop::acme:Pod::trainer"
    (repository / "policies" / "rules").mkdir(parents=True)
    (repository / "policies" / "rules" / "acme.py").write_text(
        "from mlinfra.policy import rule, violation\n"
        "for name in ('ACME-1', 'ACME-2'):\n"
        "    @rule(name, 'acme:Pod', title='None', remedy='remove it')\n"
        "    def judge(pod, inspection):\n"
        "        yield violation('spec', 'is there')\n"
        "    globals()[name] = judge\n"
    )
    with (repository / "environments" / "dev.yaml").open("a") as file:
        agreed = "{rule: ACME-2, resource: trainer, reason: why, owner: me, until: 2999-01-01}"
        file.write(f"policies: {{exceptions: [{agreed}]}}\n")
    preview = tmp_path / "preview.json"
    new = {"urn": pod, "type": "acme:Pod", "inputs": {}}
    preview.write_text(json.dumps({"steps": [{"op": "create", "urn": pod, "newState": new}]}))
    printed = json.loads(run("check", "dev", "--preview", str(preview), "--json").stdout)
    check("check", printed)
    assert printed["counts"] == {"mandatory": 0, "advisory": 1, "unknown": 0, "covered": 1}


def test_cost(repository: Path, run: Run, tmp_path: Path) -> None:
    steps = [
        _created("endpointConfiguration:EndpointConfiguration", name="e", productionVariants=[
            {"variantName": "a", "instanceType": "ml.m5.xlarge", "initialInstanceCount": 1}
        ]),
        _created("endpoint:Endpoint", name="e", endpointConfigName="e"),
        _created("notebookInstance:NotebookInstance", instanceType="ml.m9.large"),
        _created("trainingJob:TrainingJob", resourceConfig={"instanceType": "ml.m5.xlarge"}),
    ]  # fmt: skip
    preview = tmp_path / "preview.json"
    preview.write_text(json.dumps({"config": {"aws:region": "us-east-1"}, "steps": steps}))
    with (repository / "environments" / "dev.yaml").open("a") as file:
        file.write("budget: {monthly_usd: 1000}\nusage: {endpoints.diabetes: {requests: 5}}\n")
    printed = json.loads(run("cost", "dev", "--preview", str(preview), "--json").stdout)
    assert printed["supposed_releases"] == []
    declared = json.loads(run("cost", "dev", "--json").stdout)
    check("cost", {**printed, "supposed_releases": declared["supposed_releases"]})


def _created(kind: str, **inputs: Any) -> dict[str, Any]:
    type_ = f"aws:sagemaker/{kind}"
    urn = f"urn:pulumi:dev::shop::{type_}::e"
    return {"op": "create", "urn": urn, "newState": {"urn": urn, "type": type_, "custom": True, "inputs": inputs}}


def test_rules(repository: Path, run: Run) -> None:
    printed = json.loads(run("rules", "--json").stdout)
    check("rules", printed)
    assert len({rule["id"] for rule in printed["rules"]}) == len(printed["rules"]) >= 77


def test_status(repository: Path, run: Run) -> None:
    printed = json.loads(run("status", "dev", "--json").stdout)
    check("status", printed)
    assert [item["endpoint"] for item in printed["endpoints"]] == ["diabetes"]


def test_tick(repository: Path, run: Run) -> None:
    printed = json.loads(run("tick", "dev", "--json").stdout)
    check("tick", printed)
    assert printed["environments"][0]["idle"] == "was never up"


def test_verify(repository: Path, run: Run) -> None:
    printed = json.loads(run("verify", "dev", "--json").stdout)
    check("verify", printed)
    assert [item["between"] for item in printed["differences"]] == [["stacks", "state"]]


def test_releases_show_and_diff(repository: Path, run: Run) -> None:
    store = ArtifactStore((repository / ".mlinfra" / "artifacts").as_uri())
    old, new = (made(repository, store, number) for number in (1, 2))
    in_git(repository, new)
    lock = repository / "environments" / "prod.lock.yaml"
    lock.write_text(f"diabetes: {{release: {new.short}, previous: 91d04e77}}\n")
    printed = json.loads(run("releases", "--json").stdout)
    check("releases", printed)
    assert printed["releases"][0]["places"] == [{"environment": "prod", "as": "release"}]
    assert printed["unread"][0]["found"] == "91d04e77"
    check("show", json.loads(run("show", new.short, "--json").stdout))
    printed = json.loads(run("diff", old.short, new.short, "--json").stdout)
    check("diff", printed)
    assert printed["inputs"]["retyped"][0]["after"] == {"name": "age", "type": "INT64", "required": True}
    assert printed["outputs"]["retyped"][0]["after"] == {"name": "prediction", "type": "INT64"}


def test_drift(tmp_path: Path) -> None:
    from mlinfra_serving.drift.actions import parse_on_drift
    from mlinfra_serving.drift.job import Job
    from mlinfra_serving.drift.job import run as measure
    from mlinfra_serving.drift.result import parse_thresholds

    frame = pd.DataFrame({"bmi": range(200), "sex": ["a", "b"] * 100})
    (tmp_path / "baseline").mkdir()
    frame.to_parquet(tmp_path / "baseline" / "rows.parquet")
    thresholds = parse_thresholds({"bmi": {"metric": "js_divergence", "operator": "<=", "value": 0.2}})
    job = Job(
        "diabetes", tmp_path / "baseline", tmp_path, "3f9c", thresholds, "1h", tmp_path / "out", parse_on_drift("log")
    )
    measure(job, datetime.now(UTC))
    check("drift", json.loads((tmp_path / "out" / "latest.json").read_text()))


def test_doctor(repository: Path, run: Run) -> None:
    result = run("doctor", "--json")
    printed = json.loads(result.stdout)
    check("doctor", printed)
    assert result.exit_code == (0 if printed["good"] else 1)
    subjects = [finding["subject"] for finding in printed["findings"]]
    assert {"mlinfra", "engine", "secrets", "environment dev", "target local"} <= set(subjects)


def test_doctor_says_what_is_bad_and_what_mends_it(repository: Path, run: Run) -> None:
    (repository / "environments" / "prod.yaml").write_text("target: local\n")
    passphrase = repository / ".mlinfra" / "passphrase"
    passphrase.parent.mkdir()
    passphrase.touch(mode=0o644)
    result = run("doctor")
    assert result.exit_code == 1
    assert f"bad      secrets: {passphrase} is open to others (mode 644)\n         → chmod 600 {passphrase}\n" in (
        result.stdout
    )
    assert (
        "bad      environment prod: 1 problem; nothing was changed\n"
        "         environments/prod.yaml:1: stacks: is missing\n"
        "         → mlinfra plan prod shows it alone\n"
    ) in result.stdout
    assert "good     environment dev: environments/dev.yaml is sound\n" in result.stdout


def test_targets(run: Run) -> None:
    printed = json.loads(run("targets", "--json").stdout)
    names = [target["target"] for target in printed["targets"]]
    rows = [{name: row[name] for name in ("feature", "local")} for row in printed["features"]]
    check("targets", {**printed, "features": rows})
    assert "local" in names
    for row in printed["features"]:
        assert list(row) == ["feature", *names]
        answers = ("yes", "refused", "partly", "not yet", "unseen")
        assert all(row[name].split(": ")[0] in answers for name in names)


@pytest.mark.parametrize("command", ["plan", "status"])
def test_json_is_the_same_without_colours_and_with(
    repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    once = run(command, "dev", "--json").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(command, "dev", "--json").stdout == once
