"""Where rules come from: installed packages, and files of a team's own; and the settings that people give them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.installed import installed
from mlinfra.operations.rules import list_rules
from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Level, Rule, Severity
from mlinfra.policy.ruleset import GROUP, ruleset
from mlinfra.policy.settings_file import read_settings
from mlinfra.problems import MlinfraError, Problems, WrongUse
from mlinfra.resources import Resource, Resources
from mlinfra_policies.catalogue import rules as shipped

RULE = """
from mlinfra.policy import Inspection, Resource, at, decides, rule, violation

@rule("ACME-1", "acme:index:Bucket", title="Buckets have a name", severity="high", level="mandatory", remedy="name=…")
def named(bucket: Resource, inspection: Inspection):
    print("judging")
    if at(bucket.inputs, "name").absent:
        yield violation("name", "is not there")
"""


@pytest.fixture(autouse=True)
def no_installed_rules(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Only what a test says is installed."""
    ruleset_module = importlib.import_module("mlinfra.policy.ruleset")

    def install(**callables: Callable[[], Any]) -> None:
        points = [
            SimpleNamespace(name=name, value=f"{name}:rules", dist=None, load=lambda made=made: made)
            for name, made in callables.items()
        ]
        monkeypatch.setattr(ruleset_module, "installed", lambda group: points if group == GROUP else [])

    install()
    return install


def write(root: Path, text: str, name: str = "own.py") -> Path:
    path = root / "policies" / "rules" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems(root: Path) -> list[str]:
    with pytest.raises(Problems) as caught:
        ruleset(root)
    return [str(problem) for problem in caught.value.problems]


def test_the_shipped_rules_come_by_the_door_of_others() -> None:
    points = installed(GROUP)
    assert [point.value for point in points if point.name == "mlinfra"] == ["mlinfra_policies.catalogue:rules"]
    assert EntryPoint("mlinfra", "mlinfra_policies.catalogue:rules", GROUP).load()() == shipped()


def test_a_file_of_the_team_is_a_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, f"print('reading')\n{RULE}other_name = named\n")
    write(tmp_path, "import nothing_of_that_name", "_helpers.py")
    write(tmp_path, "import nothing_of_that_name", "test_own.py")
    [made] = ruleset(tmp_path)
    assert (made.id, made.severity, made.level, made.family) == ("ACME-1", Severity.HIGH, Level.MANDATORY, "own")
    assert capsys.readouterr().out == ""
    bucket = Resource("urn:pulumi:dev::shop::acme:index:Bucket::a", "acme:index:Bucket", "a", {})
    [finding] = check(Inspection(Resources([bucket])), [made])
    assert (finding.answer.path, finding.remedy, finding.mandatory) == ("name", "name=…", True)
    assert not list(tmp_path.rglob("*.pyc"))


def test_more_functions_decide_a_rule(tmp_path: Path) -> None:
    more = (
        '@decides("ACME-1", "acme:index:Disk")\ndef disk(resource, inspection):\n    yield violation("", "is a disk")\n'
    )
    write(tmp_path, RULE + more)
    [made] = ruleset(tmp_path)
    assert [decision.types for decision in made.decisions] == [("acme:index:Bucket",), ("acme:index:Disk",)]


def test_without_a_repository_there_are_none_of_a_team(tmp_path: Path) -> None:
    assert ruleset() == ()
    assert ruleset(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "policies/rules/own.py:1: is not Python: invalid syntax"),
        ("\n\nimport nothing_of_that_name\n", "policies/rules/own.py:3: ModuleNotFoundError: No module named "),
        ("raise SystemExit(3)\n", "policies/rules/own.py:1: SystemExit: 3"),
        (RULE.replace('"high"', '"hihg"'), "policies/rules/own.py:4: ValueError: 'hihg' is not a valid Severity"),
        (RULE.replace('"mandatory"', '"must"'), "policies/rules/own.py:4: ValueError: 'must' is not a valid Level"),
        ("x = 1\n", "policies/rules/own.py: holds no rule\n  → write @rule(…) above a function; "),
        (
            f'{RULE}@decides("ACME-2", "acme:index:Disk")\ndef disk(resource, inspection):\n    yield\n',
            "policies/rules/own.py:9: ACME-2: is decided here, and is no rule of this file",
        ),
    ],
)
def test_a_file_that_does_not_work(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    [found] = problems(tmp_path)
    assert found.startswith(said)


def test_all_problems_of_all_files_are_said(tmp_path: Path) -> None:
    write(tmp_path, "def f(:\n", "a.py")
    write(tmp_path, RULE, "b.py")
    write(tmp_path, RULE, "c.py")
    assert problems(tmp_path) == [
        "policies/rules/a.py:1: is not Python: invalid syntax",
        "policies/rules/c.py:4: ACME-1: is the id of two rules (found the first in policies/rules/b.py:4)\n"
        "  → take another id",
    ]


def own(id_: str) -> Rule:
    return Rule(id_, "t", Severity.LOW, Level.ADVISORY, "r")


def test_packages_bring_rules(no_installed_rules: Callable[..., None], tmp_path: Path) -> None:
    def judged() -> None: ...

    judged.rule = own("B-1")  # type: ignore[attr-defined]
    no_installed_rules(
        zeta=lambda: [own("Z-1")], beta=lambda: (item for item in [judged]), mlinfra=lambda: [own("M-1")]
    )
    write(tmp_path, RULE)
    assert [rule.id for rule in ruleset(tmp_path)] == ["M-1", "B-1", "Z-1", "ACME-1"]


def test_a_package_that_cannot_be_loaded_is_named(no_installed_rules: Callable[..., None]) -> None:
    no_installed_rules(zeta=lambda: 1 / 0)
    with pytest.raises(MlinfraError, match=r"the rules of zeta:rules \(zeta:rules\) cannot be loaded: ZeroDivision"):
        ruleset()
    no_installed_rules(zeta=lambda: ["Z-1"])
    with pytest.raises(MlinfraError, match=r"cannot be loaded: 'Z-1' is no rule"):
        ruleset()


def test_an_id_of_two_packages_is_refused(no_installed_rules: Callable[..., None]) -> None:
    no_installed_rules(a=lambda: [own("A-1")], b=lambda: [own("A-1")])
    with pytest.raises(Problems, match=r"A-1: is the id of two rules \(b:rules\) \(found the first in a:rules\)"):
        ruleset()


def test_the_rules_of_a_target(no_installed_rules: Callable[..., None], tmp_path: Path) -> None:
    no_installed_rules(mlinfra=shipped)
    write(tmp_path, RULE)
    listed = list_rules(tmp_path, "kubernetes")
    ids = [rule.id for rule in listed.rules]
    assert "POD-01" in ids
    assert "ACME-1" in ids, "a rule that says nothing of targets counts on all"
    assert "ENC-01" not in ids
    why = {rule.id: listed.reason(rule) for rule in listed.undecidable}
    assert why["ENC-01"] == "volume, bucket and etcd encryption are configured outside the workload objects"
    assert len(ids) + len(why) == len(shipped()) + 1
    with pytest.raises(WrongUse, match=r"target 'kubernetez' \(did you mean 'kubernetes'\?\)"):
        list_rules(tmp_path, "kubernetez")


@pytest.mark.parametrize(
    "text",
    [
        '{"max_replicas": 8, "allowed_regions": ["eu-west-1"]}',
        '{\n\t"max_replicas": 8,\n\t"allowed_regions": ["eu-west-1"]\n}',
        "# ours\nmax_replicas: 8\nallowed_regions: [eu-west-1]\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_are_read(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "settings").write_text(text, encoding=encoding)
    settings = read_settings(tmp_path / "settings")
    assert (settings.max_replicas, settings.allowed_regions, settings.max_run_hours) == (8, ["eu-west-1"], 72)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"[1]", ":1: holds no settings"),
        (b"max_replicas", ":1: holds no settings"),
        (b"{", ":1: is not YAML: "),
        (b"\xff\xfe\xfd", "is no text"),
        (b"a" * 1_000_001, "is larger than 1000 kB"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"max_replicas: 8\nmax_replicas: 9\n", ":2: max_replicas: is written twice (first in line 1)"),
        (b"\nmax_replicas: many\n", ":2: max_replicas: is not valid (found 'many', expected a valid integer"),
        (b"max_accelerators: {per_jop: 1}", ":1: max_accelerators.per_jop: is no field here (expected per_job, per_"),
        (b'{"max_replica": 8}', ":1: max_replica: is no field here (expected allowed_instance_types, "),
        (b"budget_monthly_usd: .inf", ":1: budget_monthly_usd: is not valid (found inf, expected a finite number"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    with pytest.raises(MlinfraError) as caught:
        read_settings(file)
    assert caught.value.exit_code == 2
    assert said in caught.value.message
