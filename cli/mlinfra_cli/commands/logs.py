"""mlinfra logs: what the parts wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.completion import part_keys
from mlinfra_cli.options import EnvironmentName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.adapters import ResolvedPart
    from mlinfra.operations.session import Session

EXAMPLES = (
    ("mlinfra logs dev", "the last lines of every part"),
    ("mlinfra logs dev endpoints.flight-delay --follow", "one part, and what it goes on to write"),
    ("mlinfra logs dev flight-delay --lines 1000", "every part of this name"),
)


def command(
    environment: EnvironmentName,
    part: Annotated[
        str | None, typer.Argument(metavar="PART", help="A part's key or name; else all.", autocompletion=part_keys)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of each file.")] = 50,
) -> None:
    """Show the logs of an environment's parts."""
    from functools import partial

    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.tail import Tail

    session = Session.open(Repository.find(), environment)
    parts = _parts(session, part)
    tail = Tail({found.key: partial(session.service.logs, found) for found in parts}, lines)
    if not tail.show() and not follow:
        render.note("nothing was written yet")
    if follow:
        tail.follow()


def _parts(session: Session, wanted: str | None) -> Sequence[ResolvedPart]:
    from mlinfra.problems import WrongUse, nearest

    parts = session.resolved.parts
    found = [part for part in parts if wanted in (None, part.key, part.part.name)]
    if found:
        return found
    near = nearest(wanted or "", [name for part in parts for name in (part.key, part.part.name)])
    hint = f" (did you mean {near!r}?)" if near else ""
    keys = ", ".join(part.key for part in parts)
    raise WrongUse(f"{session.environment.name} has no part {wanted!r}{hint}; there are: {keys}")
