"""mlinfra check and mlinfra rules: what people and programs see, and what is said of wrong use."""

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
RULES = """
from mlinfra.policy import at, rule, unknown, violation


@rule("ACME-1", "acme:*", title="Nothing is open", severity="critical", level="mandatory", remedy="open=False")
def closed(resource, inspection):
    open_ = at(resource.inputs, "door.open")
    if open_.unknown:
        yield unknown(open_.path)
    elif open_.value:
        yield violation(open_.path, "is true, wanted false")


@rule("ACME-2", "acme:*", title="All is named", severity="high", remedy="name=…")
def named(resource, inspection):
    if at(resource.inputs, "name").absent:
        yield violation("name", "is not there", remedy="name='…'")
"""
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SLOW = ("pulumi", "rich", "numpy", "grpc", "httpx")
OPEN = {"name": "a", "door": {"open": True}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Pulumi program that never heard of mlinfra, but for rules of its own; the current one."""
    (tmp_path / "policies" / "rules").mkdir(parents=True)
    (tmp_path / "policies" / "rules" / "acme.py").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(stack: str, resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"urn": f"urn:pulumi:{stack}::shop::acme:index:House::{name}", "type": "acme:index:House", "inputs": inputs}
        for name, inputs in resources.items()
    ]


def preview(stack: str = "dev", same: int = 0, **resources: Any) -> str:
    steps = [{"op": "create", "urn": made["urn"], "newState": made} for made in states(stack, resources)]
    Path("preview.json").write_text(json.dumps({"steps": steps, "changeSummary": {"create": len(steps), "same": same}}))
    return "preview.json"


def found(result: Result) -> list[tuple[str, str, str, str]]:
    """Return the findings of a JSON document, with the names of their resources."""
    return [
        (item["rule"], item["resource"].rsplit("::", 1)[-1], item["verdict"], item["level"])
        for item in json.loads(result.stdout)["findings"]
    ]


def test_findings_are_shown_worst_first_with_the_line_that_mends_them(folder: Path, run: Run) -> None:
    file = preview(barn={"name": "b", "door": {"open": UNKNOWN}}, shed={"door": {"open": True}}, same=2)
    result = run("check", "--preview", file)
    assert result.exit_code == 3, result.output
    assert result.stdout.splitlines()[1:] == [
        "",
        "           severity  rule    resource",
        "mandatory  critical  ACME-1  House shed  Nothing is open",
        "    door.open: is true, wanted false",
        "    → open=False",
        "advisory   high      ACME-2  House shed  All is named",
        "    name: is not there",
        "    → name='…'",
        "unknown    critical  ACME-1  House barn  Nothing is open",
        "    door.open: is known only after an up",
        "    → open=False",
        "",
        "2 resources that would not change are not in this preview (--show-sames prints them): whether one of them "
        "mends something is unknown",
        "refused: 1 violation of mandatory rules; 1 violation of advisory rules, 1 unknown until an up",
    ]
    assert result.stdout.startswith("dev: 2 resources judged by ")
    assert result.stderr == ""


def test_nothing_found(folder: Path, run: Run) -> None:
    result = run("check", "--preview", preview(shed={"name": "a", "door": {"open": False}}))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["", "nothing was found"]


def test_json_is_alone_on_stdout(folder: Path, run: Run) -> None:
    result = run("check", "--preview", preview(shed=OPEN), "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["findings"] == [
        {
            "rule": "ACME-1",
            "resource": "urn:pulumi:dev::shop::acme:index:House::shed",
            "verdict": "violation",
            "severity": "critical",
            "level": "mandatory",
            "message": "is true, wanted false",
            "path": "door.open",
            "remedy": "open=False",
        }
    ]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("stack", "arguments", "level", "code"),
    [
        ("dev", [], "advisory", 0),
        ("prod", [], "mandatory", 3),
        ("prod", ["--profile", "baseline"], "advisory", 0),
        ("dev", ["--profile", "production"], "mandatory", 3),
    ],
)
def test_the_profile_decides_what_stops(
    folder: Path, run: Run, stack: str, arguments: list[str], level: str, code: int
) -> None:
    result = run("check", "--preview", preview(stack, shed={}), "--json", *arguments)
    assert found(result) == [("ACME-2", "shed", "violation", level)]
    assert result.exit_code == code


def test_a_state_is_judged(folder: Path, run: Run) -> None:
    state = {"version": 3, "deployment": {"resources": states("dev", {"shed": OPEN})}}
    result = run("check", "--state", "-", "--json", given=json.dumps(state))
    assert result.exit_code == 3
    assert found(result) == [("ACME-1", "shed", "violation", "mandatory")]


def test_a_preview_comes_from_stdin(folder: Path, run: Run) -> None:
    text = Path(preview(shed=OPEN)).read_text()
    assert found(run("check", "--preview", "-", "--json", given=text)) == [("ACME-1", "shed", "violation", "mandatory")]


def test_settings_of_a_file_count(folder: Path, run: Run) -> None:
    (folder / "policies" / "rules" / "acme.py").write_text(
        "from mlinfra.policy import rule, violation\n"
        "@rule('ACME-3', 'acme:*', title='t', remedy='r')\n"
        "def judge(resource, inspection):\n"
        "    yield violation('', f'{inspection.settings.max_replicas}')\n"
    )
    Path("settings.yaml").write_text("max_replicas: 7\n")
    result = run("check", "--preview", preview(shed={}), "--settings", "settings.yaml", "--json")
    assert [item["message"] for item in json.loads(result.stdout)["findings"]] == ["7"]


def test_unknown_types_are_nothing_to_say_of(folder: Path, run: Run) -> None:
    text = Path(preview(shed=OPEN)).read_text().replace("acme:index:House", "nobody:knows/this:Type")
    result = run("check", "--preview", "-", "--json", given=text)
    assert (found(result), result.exit_code) == ([], 0)


def test_a_rule_that_fails_is_an_unknown_and_no_traceback(folder: Path, run: Run) -> None:
    (folder / "policies" / "rules" / "acme.py").write_text(
        "from mlinfra.policy import rule\n"
        "@rule('ACME-3', 'acme:*', title='t', remedy='r')\n"
        "def judge(resource, inspection):\n"
        "    return resource.inputs['nothing']['of']\n"
    )
    result = run("check", "--preview", preview(shed=OPEN), "--json")
    assert found(result) == [("ACME-3", "shed", "unknown", "advisory")]
    message = json.loads(result.stdout)["findings"][0]["message"]
    assert message == "could not be judged: acme.py:4: KeyError: 'nothing'"


def test_sarif(folder: Path, run: Run) -> None:
    result = run("check", "--preview", preview(shed=OPEN), "--sarif")
    assert result.exit_code == 3
    log = json.loads(result.stdout)
    assert log["version"] == "2.1.0"
    assert [item["ruleId"] for item in log["runs"][0]["results"]] == ["ACME-1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "error: there is nothing to check\n  → name an environment, or --preview FILE, or --state FILE\n"),
        (["--preview", "a", "--state", "b"], "error: --preview and --state exclude each other\n"),
        (["--preview", "a", "--json", "--sarif"], "error: --json and --sarif exclude each other\n"),
        (["--preview", "-", "--settings", "-"], "error: only one file can come from stdin\n"),
        (["--preview", "none.json"], "error: none.json: is not there\n  → pulumi preview --json > preview.json writes"),
        (["--preview", "."], "error: .: is a folder\n"),
        (["--state", "none.json"], "error: none.json: is not there\n  → pulumi stack export > state.json writes"),
        (["--preview", "preview.json", "--settings", "none.yaml"], "error: none.yaml: is not there\n"),
        (["--preview", "preview.json", "--profile", "strict"], "error: there is no profile 'strict'; there are: "),
        (["--state", "preview.json"], "error: preview.json: holds a preview, not a state\n"),
        (["dev"], "error: "),
    ],
)
@pytest.mark.parametrize("form", ["--json", ""])
def test_wrong_use(folder: Path, run: Run, arguments: list[str], said: str, form: str) -> None:
    preview(shed=OPEN)
    result = run("check", *arguments, *([form] if form and form not in arguments else []))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(said)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"a": ' + b"[" * 100_000, b"\xff\xfe\x00", b'{"steps": [{"op": 1}]}', b"\x00"],
)
def test_bad_input(folder: Path, run: Run, content: bytes) -> None:
    Path("preview.json").write_bytes(content)
    result = run("check", "--preview", "preview.json", "--json")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: preview.json: ")
    assert result.stdout == ""


def test_inputs_that_are_large_and_deep_are_judged(folder: Path, run: Run) -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"a": [deep]}
    file = preview(shed={**OPEN, "deep": deep, "large": "x" * 20_000_000})
    result = run("check", "--preview", file, "--json")
    assert found(result) == [("ACME-1", "shed", "violation", "mandatory")]


def test_rules_that_do_not_work_are_named(folder: Path, run: Run) -> None:
    (folder / "policies" / "rules" / "broken.py").write_text("def f(:\n")
    for command in (["check", "--preview", preview(shed=OPEN), "--json"], ["rules", "--json"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "policies/rules/broken.py:1: is not Python: invalid syntax" in result.stderr
        assert result.stdout == ""


def environment(repository: Path, policies: str) -> None:
    (repository / "policies" / "rules").mkdir(parents=True)
    (repository / "policies" / "rules" / "own.py").write_text(
        "from mlinfra.policy import rule, violation\n"
        "@rule('OWN-1', 'mlinfra:local:*', title='t', severity='high', remedy='r')\n"
        "def judge(resource, inspection):\n"
        "    if resource.type.endswith(':Traffic') or inspection.settings.max_replicas == 7:\n"
        "        yield violation('x', f'found; before: {inspection.before is not None}')\n"
    )
    with (repository / "environments" / "dev.yaml").open("a") as file:
        file.write(policies)


def test_an_environment_is_judged_offline_as_it_says(repository: Path, run: Run) -> None:
    environment(repository, "policies: {profile: production}\n")
    result = run("check", "dev", "--json")
    assert found(result) == [("OWN-1", "diabetes", "violation", "mandatory")]
    assert json.loads(result.stdout)["findings"][0]["message"] == "found; before: True"
    assert result.exit_code == 3
    assert run("check", "dev", "--profile", "baseline").exit_code == 0
    assert run("check", "staging", "--json").exit_code == 0


def test_exceptions_are_shown_apart(repository: Path, run: Run) -> None:
    environment(
        repository,
        "policies:\n"
        "  settings: {max_replicas: 7}\n"
        "  exceptions:\n"
        "    - {rule: OWN-1, part: endpoints.diabetes, reason: moving, owner: ml@example.com, until: 2999-01-31}\n"
        "    - {rule: OWN-1, part: nothing, reason: moved, owner: ml@example.com, until: 2999-01-31}\n"
        "    - {rule: OWN-1, part: diabetes, reason: old, owner: ml@example.com, until: 2020-01-31}\n",
    )
    result = run("check", "dev")
    assert result.exit_code == 0
    assert "  OWN-1 for endpoints.diabetes until 2999-01-31 (1 finding): moving (ml@example.com)\n" in result.stdout
    assert "policies.exceptions[1].part: environments/dev.yaml:" in result.stdout
    assert "expired on 2020-01-31: OWN-1 for diabetes (ml@example.com: old)" in result.stdout
    assert result.stdout.endswith("0 unknown until an up; 1 covered by exceptions\n")
    printed = json.loads(run("check", "dev", "--json").stdout)
    keys = [(item["rule"], item["resource"]) for item in printed["findings"]]
    assert len(set(keys)) == len(keys)
    assert {"EXC-01", "EXC-02"} <= {rule for rule, _ in keys}
    assert [len(item["findings"]) for item in printed["exceptions"]] == [1]


def test_an_exception_of_no_rule(repository: Path, run: Run) -> None:
    agreed = "{rule: POD-1, part: a, reason: b, owner: c, until: 2999-01-31}"
    environment(repository, f"policies:\n  exceptions:\n    - {agreed}\n")
    line = (repository / "environments" / "dev.yaml").read_text().splitlines().index(f"    - {agreed}") + 1
    result = run("check", "dev", "--json")
    assert result.exit_code == 2
    assert (
        f"environments/dev.yaml:{line}: policies.exceptions.0.rule: there is no such rule (found POD-1, did you mean "
    ) in result.stderr
    assert result.stdout == ""


def test_an_environment_judges_a_preview(repository: Path, run: Run) -> None:
    (repository / "policies" / "rules").mkdir(parents=True)
    (repository / "policies" / "rules" / "acme.py").write_text(RULES)
    file = preview(shed={})
    assert found(run("check", "prod", "--preview", file, "--json")) == [("ACME-2", "shed", "violation", "mandatory")]
    assert found(run("check", "dev", "--preview", file, "--json")) == [("ACME-2", "shed", "violation", "advisory")]


def test_rules_are_listed(folder: Path, run: Run) -> None:
    result = run("rules")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "ACME-1 critical mandatory Nothing is open acme:*" in lines
    assert "POD-01 critical mandatory No privileged container kubernetes" in lines
    result = run("rules", "--target", "kubernetes")
    assert "cannot be decided on kubernetes:" in result.stdout
    assert run("rules", "--target", "mars").exit_code == 2


def test_a_check_imports_neither_pulumi_nor_rich(folder: Path) -> None:
    code = (
        "import sys; sys.argv = ['mlinfra', 'check', '--preview', 'preview.json', '--json']\n"
        "from mlinfra_cli.app import main\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(name for name in {SLOW!r} if name in sys.modules))"
    )
    preview(shed={"name": "a"})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
