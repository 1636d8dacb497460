"""Vertex AI's target: the reference stacks before there is any release, by the real engine; and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.gcp.target import VertexTarget, running
from tests.lab.project import ROOT, Project
from tests.lab.target import Fault, Target

pytestmark = pytest.mark.engine

PROGRAM = """
import sys
sys.path.insert(0, ROOT)

from dataclasses import replace
from pathlib import Path

from mlinfra.adapters import load_adapter
from mlinfra.digests import digest_json
from mlinfra.environment import Environment
from mlinfra.realize import realize
from mlinfra.repository import Repository
from mlinfra.resolve import resolve

environment = Environment.model_validate({
    "name": "lab", "target": "vertex", "stacks": ["flight_delay", "diabetes_progression"],
    "budget": {"monthly_usd": 1500}, **PLACE,
})
local = Repository(Path(ROOT)).load("prod")
stacks = [replace(item, code=digest_json(["code", item.folder])) for item in local.stacks]
adapter = load_adapter("vertex")
realize(resolve(replace(local, environment=environment, stacks=stacks, lock={}, releases={}), adapter), adapter)
"""


@pytest.fixture
def target() -> Iterator[VertexTarget]:
    with running() as made:
        yield made


def test_everything_that_needs_no_release_is_made_once(target: VertexTarget, tmp_path: Path) -> None:
    a_target: Target = target
    assert set(a_target.lacks) == {Fault.SILENT_ROLLBACK}
    environment = {name: value for name, value in target.environment.items() if name != "PULUMI_HOME"}
    project = Project(tmp_path, {**environment, "MLINFRA_REPOSITORY": str(ROOT)})
    project.write(f"ROOT, PLACE = {str(ROOT)!r}, {dict(target.place)!r}\n{PROGRAM}")
    planned = project.preview()
    assert target.there() == []
    assert sorted(project.up().changes) == sorted(planned.changes)
    assert project.preview().changes == []
    assert project.refresh().changes == []
    assert project.preview().changes == []
    kinds = {line.partition(" ")[0] for line in target.there()}
    assert {"Endpoint", "Bucket", "CryptoKey", "Table", "AiFeatureGroup", "Network", "Budget"} <= kinds
    target.empty()
    assert target.there() == []
