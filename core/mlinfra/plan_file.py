"""A plan kept in a file: `up --plan` does what was read and approved, or refuses because something changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.digests import digest_json
from mlinfra.files import write_json
from mlinfra.problems import MlinfraError, Refused

if TYPE_CHECKING:
    from mlinfra.operations.plan import Plan

_MEANING = {
    "environment": "the environment's file or its lock",
    "program": "what the stacks declare",
    "state": "the state: somebody ran an up, a refresh or a rollback",
}


def fingerprints(plan: Plan) -> dict[str, str]:
    """Return a digest each of the environment with its lock, of what is declared, and of the state."""
    declared = plan.session.declared
    lock = {endpoint: pin.model_dump(mode="json") for endpoint, pin in sorted(declared.lock.items())}
    return {
        "environment": digest_json([declared.environment.model_dump(mode="json"), lock]),
        "program": digest_json([resource.to_json() for resource in plan.resources.all]),
        "state": digest_json([resource.to_json() for resource in plan.state.all]),
    }


def write_plan(path: Path, plan: Plan) -> None:
    """Write what `plan --json` prints, with the fingerprints of what it was made of.

    Raises:
        MlinfraError: the file cannot be written.
    """
    try:
        write_json(path, {**plan.to_json(), "made_of": fingerprints(plan)})
    except OSError as error:
        raise MlinfraError(f"{path} cannot be written: {error.strerror}") from error


def read_plan(path: Path) -> Mapping[str, Any]:
    """Return a plan that `mlinfra plan --out` wrote.

    Raises:
        MlinfraError: it is not there, or no such plan.
    """
    remedy = f"write one: mlinfra plan ENV --out {path}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MlinfraError(f"{path} cannot be read: {error.strerror}", remedy=remedy) from None
    except (ValueError, RecursionError):
        raise MlinfraError(f"{path} is no JSON document", remedy=remedy) from None
    made_of = found.get("made_of") if isinstance(found, dict) else None
    if not isinstance(made_of, dict) or set(made_of) != set(_MEANING) or found.get("version") != 1:
        raise MlinfraError(f"{path} was not written by `mlinfra plan --out` of this version", remedy=remedy)
    kept: dict[str, Any] = found
    return kept


def refuse_if_changed(kept: Mapping[str, Any], plan: Plan, path: Path) -> None:
    """Refuse a plan that was made of something else than what is there now.

    Raises:
        Refused: naming what changed since.
    """
    name = plan.session.environment.name
    if kept["environment"] != name:
        raise Refused(f"{path} is a plan for {kept['environment']}, not for {name}")
    now = fingerprints(plan)
    changed = [meaning for key, meaning in _MEANING.items() if kept["made_of"][key] != now[key]]
    if changed:
        raise Refused(
            "\n".join([f"since {path} was written, this changed; nothing was done", *changed]),
            remedy=f"look at the new plan: mlinfra plan {name} --out {path}",
        )
