"""A broken mandatory rule: an `up` changes nothing at all, asked of the target; and says what mends it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.repository import Platform

pytestmark = [pytest.mark.engine, pytest.mark.local]

ROOT = Path(__file__).parents[2]
RULES = Path("policies") / "rules"
DEV = "environments/dev.yaml"
RESOURCE_RULE = """\
from mlinfra.policy import rule, violation


@rule("OURS-01", "mlinfra:local:Traffic", title="No endpoint", level="mandatory", remedy="declare none")
def no_endpoint(resource, inspection):
    yield violation("endpoint", f"{resource.name} is an endpoint")
"""
STACK_RULE = """\
from mlinfra.policy import rule, violation
from mlinfra.resources import STACK_TYPE


@rule("OURS-02", STACK_TYPE, title="A stack is small", level="mandatory", remedy="declare fewer parts")
def small(stack, inspection):
    if len(inspection.resources.declared()) > 1:
        yield violation("", f"{len(inspection.resources.declared())} resources, at most 1")
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform.create(tmp_path / "platform", tmp_path / "state")
    shutil.copytree(ROOT / "policies", made.folder / "policies", ignore=shutil.ignore_patterns("mlinfra_policies"))
    (made.folder / RULES).mkdir(exist_ok=True)
    yield made
    made.end()


@pytest.mark.parametrize("rule", [RESOURCE_RULE, STACK_RULE], ids=["of a resource", "of the stack"])
def test_nothing_is_changed(platform: Platform, rule: str) -> None:
    (platform.folder / RULES / "ours.py").write_text(rule)
    name = "OURS-01" if rule is RESOURCE_RULE else "OURS-02"
    told = platform.mlinfra("up", "dev", code=3).stderr
    assert name in told
    assert "nothing was changed" in told
    told = platform.pulumi("dev", "up", "--yes", "--policy-pack", "policies", code=1).stdout
    assert f"[mandatory] [severity: medium]  {name}" in told
    assert ("5 resources, at most 1" in told) is (rule is STACK_RULE)
    assert platform.remains() == []
    assert platform.runs() == []
    assert not platform.layout().features.exists()
    assert platform.resources() == {}
    for plan in (["plan", "dev"], ["plan", "dev", "--engine"]):
        assert platform.read(*plan, code=3)["findings"][0]["rule"] == name


def test_an_exception_lets_it_be(platform: Platform) -> None:
    (platform.folder / RULES / "ours.py").write_text(RESOURCE_RULE)
    agreed = "{rule: OURS-01, part: endpoints.crowds, reason: a test, owner: me@example.com, until: 2099-01-01}"
    platform.edit("releases: latest", f"releases: latest\npolicies: {{exceptions: [{agreed}]}}", DEV)
    assert platform.read("plan", "dev")["findings"] == []
    platform.pulumi("dev", "preview", "--policy-pack", "policies")
    agreed_no_more = agreed.replace("2099", "2020")
    platform.edit(agreed, agreed_no_more, DEV)
    assert "expired on 2020-01-01" in platform.mlinfra("check", "dev", code=3).stdout
    assert "OURS-01" in platform.pulumi("dev", "preview", "--policy-pack", "policies", code=1).stdout


def test_what_only_the_engine_shows_is_judged_before_anything_changes(platform: Platform) -> None:
    """The offline check knows no provider, so only the pack of the engine's preview can refuse one."""
    rule = RESOURCE_RULE.replace("mlinfra:local:Traffic", "pulumi:providers:*")
    (platform.folder / RULES / "ours.py").write_text(rule)
    assert platform.read("check", "dev")["findings"] == []
    told = platform.mlinfra("up", "dev", code=3).stderr
    assert "OURS-01 default: endpoint: default is an endpoint → declare none" in told
    assert "nothing was changed" in told
    assert platform.remains() == []
