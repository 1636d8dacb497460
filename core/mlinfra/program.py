"""The Pulumi program: what `stacks/__main__.py` runs, under `pulumi up`, `mlinfra up`, and the offline plan."""

from __future__ import annotations

import runpy
import traceback
from contextvars import ContextVar
from pathlib import Path

import pulumi

from mlinfra.adapters import Adapter, Links, load_adapter
from mlinfra.problems import MlinfraError, Problem, Problems
from mlinfra.realize import realize
from mlinfra.record import record
from mlinfra.repository import Repository
from mlinfra.resolve import Resolved, resolve
from mlinfra.resources import Resources

PROGRAM = Path("stacks") / "__main__.py"
_resolved: ContextVar[tuple[Resolved, Adapter] | None] = ContextVar("resolved", default=None)


def main() -> Links:
    """Declare everything of the environment that the Pulumi stack is named after; return what the parts gave.

    Raises:
        pulumi.RunError: with every problem of every file; nothing was registered.
    """
    try:
        resolved, adapter = _resolved.get() or _load()
        links = realize(resolved, adapter)
    except MlinfraError as error:
        raise pulumi.RunError(f"{error.message}\n{error.remedy}".strip()) from None
    for key, given in links.given.items():
        if "url" in given:
            pulumi.export(f"{key}.url", given["url"])
    return links


def record_program(root: Path, resolved: Resolved, adapter: Adapter, *, project: str) -> Resources:
    """Record what the repository's own program declares for what is resolved already, raw resources included.

    Raises:
        Problems: the program raised; with its file and line.
    """
    path = root / PROGRAM
    token = _resolved.set((resolved, adapter))
    try:
        return record(
            lambda: runpy.run_path(str(path), run_name="__main__"), project=project, stack=resolved.environment.name
        )
    except MlinfraError:
        raise
    except Exception as error:  # a user's file may raise anything, and its line is what helps
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = (frames[-1].lineno or 0) if frames else 0
        raise Problems([Problem(PROGRAM.as_posix(), line, "", f"{type(error).__name__}: {error}")]) from error
    finally:
        _resolved.reset(token)


def _load() -> tuple[Resolved, Adapter]:
    declared = Repository.find().load(pulumi.get_stack())
    adapter = load_adapter(declared.environment.target)
    return resolve(declared, adapter), adapter
