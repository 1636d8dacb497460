"""mlinfra history: what happened in an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

if TYPE_CHECKING:
    from datetime import timedelta

EXAMPLES = (
    ("mlinfra history prod", "who moved what when and why, how it ended, and the measures of DORA"),
    ("mlinfra history prod flight-delay --since 30d", "one stack, in the last 30 days"),
    ("mlinfra history prod --json | jq '.events[] | select(.outcome == \"failed\")'", "for programs"),
)


def command(
    environment: EnvironmentName,
    stack: Annotated[str | None, typer.Argument(metavar="STACK", help="Only this stack.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only what happened in this time: 12h, 30d.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened in an environment, newest first.

    Reads git (the lock), Pulumi's history, and what the target remembers of rollouts; a source that cannot be read is
    named. What cannot be computed is unknown, never 0; docs/history.md defines each measure.
    """
    from mlinfra.operations.history import history
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    found = history(Repository.find(), environment, stack=stack, window=_window(since))
    if as_json:
        write_json(found.to_json())
    else:
        from mlinfra_cli.history_view import show_history

        show_history(found)


def _window(since: str | None) -> timedelta | None:
    from datetime import timedelta

    from mlinfra.durations import seconds
    from mlinfra.problems import WrongUse

    if since is None:
        return None
    try:
        return timedelta(seconds=seconds(since.strip()))
    except (ValueError, OverflowError) as error:
        raise WrongUse(f"--since {since}: {error}", remedy="give a duration: 12h, 30d") from None
