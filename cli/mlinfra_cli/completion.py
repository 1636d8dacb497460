"""What a shell completes: names of environments, and of the parts that live in one. Silent about all errors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import typer


def environment_names(incomplete: str) -> list[str]:
    """Return the names of the environments that begin like this."""
    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

    try:
        names = Repository.find().environments()
    except MlinfraError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def part_keys(context: typer.Context, incomplete: str) -> list[str]:
    """Return the keys of the environment's parts that begin like this: endpoints.flight-delay."""
    return [key for key in _keys(context) if key.startswith(incomplete)]


def part_names(plural: str) -> Callable[[typer.Context, str], list[str]]:
    """Return a completion with the names of the environment's parts of one kind."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        names = [key.removeprefix(f"{plural}.") for key in _keys(context) if key.startswith(f"{plural}.")]
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _keys(context: typer.Context) -> list[str]:
    from mlinfra.operations.session import Session
    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

    # behind an option that still waits for its value, arguments are not yet given their names
    environment = context.params.get("environment") or next(iter(context.args), None)
    if not environment:
        return []
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            session = Session.open(Repository.find(), environment)
    except MlinfraError:
        return []
    return [part.key for part in session.resolved.parts]
