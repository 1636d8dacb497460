"""What docs/policies.md shows is executed, and what the rules' pages need is there."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlinfra.environment import parse_environment
from mlinfra.policy.profiles import profiles
from mlinfra.policy.settings import Settings
from mlinfra.testing.policy import resource, verdicts
from mlinfra.yaml_file import read_yaml
from mlinfra_cli.commands import app
from mlinfra_policies.catalogue import rules
from mlinfra_policies.examples import examples
from mlinfra_policies.reference import pages

DOCUMENT = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(?:python )?(\S+)\n(.*?)```", DOCUMENT, re.DOTALL))
RULE, TEST = "policies/rules/buckets.py", "tests/test_buckets.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the rule and its test."""
    for name in (RULE, TEST):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(BLOCKS[name])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_test() -> None:
    names: dict[str, object] = {}
    exec(compile(Path(TEST).read_text(), TEST, "exec"), names)
    test = names["test_buckets_keep_versions"]
    assert callable(test)
    test()


def test_the_rule_has_fifteen_lines_and_passes_its_test(folder: Path) -> None:
    assert len(BLOCKS[RULE].splitlines()) <= 15
    run_test()


def test_the_test_of_the_rule_sees_a_wrong_rule(folder: Path) -> None:
    rule = folder / RULE
    rule.write_text(rule.read_text().replace("not enabled.value", "enabled.value"))
    with pytest.raises(AssertionError):
        run_test()


def test_the_rule_is_found_by_check(folder: Path) -> None:
    urn = "urn:pulumi:dev::shop::aws:s3/bucket:Bucket::models"
    step = {"op": "create", "urn": urn, "newState": {"urn": urn, "type": "aws:s3/bucket:Bucket"}}
    Path("preview.json").write_text(json.dumps({"steps": [step]}))
    result = CliRunner().invoke(app, ["check", "--preview", "preview.json", "--json"])
    assert result.exit_code == 3
    [found] = [item for item in json.loads(result.stdout)["findings"] if item["rule"] == "ACME-01"]
    assert (found["path"], found["remedy"]) == ("versioning.enabled", 'versioning={"enabled": True}')


def test_what_a_rule_raises_comes_through_in_its_test(folder: Path) -> None:
    rule = folder / RULE
    rule.write_text(rule.read_text().replace('"versioning.enabled"', '"versioning..enabled"'))
    with pytest.raises(ValueError, match="is no path"):
        verdicts(RULE, resource("aws:s3/bucket:Bucket"))


def test_what_comes_from_another_resource_is_unknown_with_its_source() -> None:
    key = resource("aws:kms/key:Key", "key")
    made = resource("aws:s3/bucket:Bucket", comes_from={"kmsKeyArn": [key]})
    assert made.inputs["kmsKeyArn"] != ""
    assert made.property_dependencies == {"kmsKeyArn": [key.urn]}


def test_the_environment_that_is_shown_is_one() -> None:
    text = f"target: local\nstacks: [a]\n{BLOCKS['yaml']}"
    environment, problems = parse_environment(read_yaml(text, "environments/prod.yaml"), "prod")
    assert not problems
    assert environment is not None
    assert environment.policies.exceptions[0].rule in {rule.id for rule in rules()}


def test_every_profile_is_described() -> None:
    assert re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE) == list(profiles())


def test_every_rule_says_why_it_is_there() -> None:
    said = tomllib.loads(files("mlinfra_policies").joinpath("rationale.toml").read_text(encoding="utf-8"))
    assert list(said) == [rule.id for rule in rules()]
    assert all(reason.endswith(".") for reason in said.values())


def test_every_rule_has_its_place_in_the_pages_and_the_links_lead_there() -> None:
    made = pages()
    for rule in rules():
        page = made[f"rules/{rule.family}.md"]
        section = page.split(f"\n## {rule.id}\n")[1].split("\n## ")[0]
        assert rule.title in section
        assert rule.violation in section
        for verdict, said in (("violation", "A violation"), ("ok", "Fine"), ("unknown", "Unknown")):
            shown = re.search(rf"^{said}.* \(\w+\):$", section, re.MULTILINE) is not None
            assert shown == any(example.verdict == verdict for example in examples(rule.id)), (rule.id, verdict)
    for name, text in made.items():
        for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            target = (Path("docs") / name).parent / path if path else Path("docs") / name
            found = made.get(str(target.resolve().relative_to(Path("docs").resolve())), DOCUMENT)
            headings = {heading.lower() for heading in re.findall(r"^## (\S+)$", found, re.MULTILINE)}
            assert not anchor or anchor in headings, (name, path, anchor)


def test_every_page_is_of_a_family() -> None:
    documents = Path(__file__).parents[2] / "docs"
    assert {f"rules/{path.name}" for path in (documents / "rules").iterdir()} == set(pages()) - {"rules.md"}


def test_every_setting_is_listed() -> None:
    for name in Settings.model_fields:
        assert f"\n| `{name}` | " in pages()["rules.md"]
