"""The Pulumi program of `mlinfra bootstrap`: declares what is not there yet of an environment's foundation."""

from __future__ import annotations

import os

import pulumi

from mlinfra.foundation_stack import THINGS
from mlinfra.operations.bootstrap import foundation_of
from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository


def main() -> None:
    """Declare what the variable names.

    Raises:
        pulumi.RunError: with every problem of the environment's file; nothing was registered.
    """
    try:
        _, foundation = foundation_of(Repository.find(), pulumi.get_stack())
        foundation.declare(os.environ[THINGS].split())
    except MlinfraError as error:
        raise pulumi.RunError(f"{error.message}\n{error.remedy}".strip()) from None
