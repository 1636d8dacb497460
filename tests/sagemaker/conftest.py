"""Both reference stacks on SageMaker."""

from __future__ import annotations

import pytest

from mlinfra.environment import Environment
from tests.reference import Reference, example_of, reference_of


@pytest.fixture(scope="session")
def example() -> Environment:
    """The example environment, called prod."""
    return example_of("sagemaker")


@pytest.fixture(scope="session")
def reference(example: Environment) -> Reference:
    """What the reference stacks register; `released`: how many releases each endpoint has."""
    return reference_of(example)
