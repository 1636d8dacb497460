"""What both reference stacks register on SageMaker, all of it. UPDATE_GOLDEN=1 writes it again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlinfra.resources import Resources

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("released", [0, 1, 2])
def test_the_reference_stacks_register_what_they_did(reference: Callable[..., Resources], released: int) -> None:
    found = reference(released)
    written = json.dumps([resource.to_json() for resource in found.all], indent=2, sort_keys=True) + "\n"
    golden = GOLDEN / f"reference_on_sagemaker_{released}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(written)
    assert json.loads(written) == json.loads(golden.read_text()), "UPDATE_GOLDEN=1 writes it again; read the difference"
