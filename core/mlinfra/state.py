"""Where the state of an environment is, and what it holds; in a folder it is read without the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository
from mlinfra.resources import Resources

if TYPE_CHECKING:
    from mlinfra.pulumi_stack import PulumiStack

PROJECT = "mlinfra"


def backend_of(repository: Repository, environment: Environment) -> str:
    """Return the URL of the backend that keeps an environment's state."""
    return environment.state or f"file://{repository.data / 'state'}"


def checkpoint_of(repository: Repository, environment: Environment) -> Path | None:
    """Return the file that holds an environment's state, or None when the backend is not a folder."""
    backend = backend_of(repository, environment)
    if not backend.startswith("file://"):
        return None
    return Path(backend.removeprefix("file://")) / ".pulumi" / "stacks" / PROJECT / f"{environment.name}.json"


def read_state(repository: Repository, environment: Environment, stack: Callable[[], PulumiStack | None]) -> Resources:
    """Return the resources of the last `up`; a backend that is a folder is read without the engine.

    Raises:
        MlinfraError: the state cannot be read, or another backend needs an engine and there is none.
    """
    checkpoint = checkpoint_of(repository, environment)
    if checkpoint is not None:
        return Resources.from_state(read_checkpoint(checkpoint))
    engine = stack()
    if engine is None:
        raise MlinfraError(
            f"reading the state in {environment.state} needs the Pulumi engine", remedy="python -m mlinfra_engine"
        )
    return Resources.from_state(engine.export())


def was_cut_off(state: Mapping[str, Any]) -> bool:
    """Whether the run that left this state was killed while it changed something: it may not know what is there."""
    latest = state.get("deployment") or state.get("checkpoint", {}).get("latest") or {}
    return bool(latest.get("pending_operations"))


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Return what a backend that is a folder keeps; empty before the first `up`.

    Raises:
        MlinfraError: it is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise MlinfraError(
            f"the state in {path} is damaged: {error}",
            remedy=f"bring back the one before it: cp {path}.bak {path} && mlinfra up {path.stem} --refresh",
        ) from error
    return found
