"""The reference stacks on SageMaker, by the real engine, before there is any release: all but what serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.aws.emulator import Emulator, running
from tests.lab.aws.leftovers import leftovers
from tests.lab.project import ROOT, Project

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

image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlinfra@sha256:" + "1" * 64
environment = Environment.model_validate({
    "name": "lab", "target": "sagemaker", "stacks": ["flight_delay", "diabetes_progression"],
    "account": "123456789012", "region": "eu-west-1", "state": "s3://lab-state", "artifacts": "s3://lab-artifacts",
    "images": {"serving": image, "training": image}, "budget": {"monthly_usd": 1500},
})
local = Repository(Path(ROOT)).load("prod")
stacks = [replace(item, code=digest_json(["code", item.folder])) for item in local.stacks]
adapter = load_adapter("sagemaker")
realize(resolve(replace(local, environment=environment, stacks=stacks, lock={}, releases={}), adapter), adapter)
"""


@pytest.fixture
def own_aws() -> Iterator[Emulator]:
    """An emulated AWS of its own: what is protected stays."""
    with running() as emulator:
        yield emulator


def test_everything_that_needs_no_release_is_made_once(own_aws: Emulator, tmp_path: Path) -> None:
    project = Project(tmp_path, {**own_aws.environment, "MLINFRA_REPOSITORY": str(ROOT)})
    project.write(f"ROOT = {str(ROOT)!r}\n{PROGRAM}")
    planned = project.preview()
    assert leftovers(own_aws) == []
    assert sorted(project.up().changes) == sorted(planned.changes)
    assert project.preview().changes == []
    assert project.refresh().changes == []
    assert project.preview().changes == []
    kinds = {line.partition(" ")[0] for line in leftovers(own_aws)}
    assert {"Pipeline", "Bucket", "Role", "Key", "Vpc", "LogGroup", "Topic"} <= kinds
