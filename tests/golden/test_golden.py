"""What both reference stacks register on each target, all of it. UPDATE_GOLDEN=1 writes it again."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from tests.reference import Reference, example_of, reference_of

HERE = Path(__file__).parent


@cache
def reference(target: str) -> Reference:
    return reference_of(example_of(target))


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("target", ["sagemaker", "vertex", "azureml", "kubernetes"])
def test_the_reference_stacks_register_what_they_did(target: str, released: int) -> None:
    found = reference(target)(released)
    written = json.dumps([resource.to_json() for resource in found.all], indent=2, sort_keys=True) + "\n"
    golden = HERE / f"reference_on_{target}_{released}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(written)
    assert json.loads(written) == json.loads(golden.read_text()), "UPDATE_GOLDEN=1 writes it again; read the difference"
