"""mlinfra rollout pause|resume|finish: what a person decides of a rollout that is under way."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import EnvironmentName

EXAMPLES = (
    ("mlinfra rollout pause prod --reason 'looking at it'", "stays at its step, and goes back at a deadline"),
    ("mlinfra rollout resume prod", "the step is watched for its whole time again"),
    ("mlinfra rollout finish prod --reason 'checked by hand'", "gives the new release everything now"),
)


def _decide(environment: str, decision: str, reason: str) -> None:
    from mlinfra.operations.pausing import Decision, decide
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.people import who
    from mlinfra_cli.render import text

    repository = Repository.find()
    for line in decide(repository, environment, Decision(decision), reason=reason, owner=who(repository.root)):
        render.show(text(line))


def pause(
    environment: EnvironmentName,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the rollout.")],
) -> None:
    """Keep the share as it is; at the deadline it goes back by itself."""
    _decide(environment, "pause", reason)


def resume(environment: EnvironmentName) -> None:
    """Go on with a paused step: it is watched for its whole time again."""
    _decide(environment, "resume", "")


def approve(
    environment: EnvironmentName,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the rollout.")],
) -> None:
    """Say yes where a gate asks for a person's approval."""
    _decide(environment, "approve", reason)


def finish(
    environment: EnvironmentName,
    reason: Annotated[str, typer.Option("--reason", help="Why the gates are not waited for; kept with the rollout.")],
) -> None:
    """Give the new release everything now, without waiting for gates."""
    _decide(environment, "finish", reason)
