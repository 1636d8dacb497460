"""mlinfra rollback: back to what was verified before."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("mlinfra rollback prod --reason 'answers are slow'", "to the release before; the lock by a pull request"),
    ("mlinfra rollback prod flight-delay --to 91d04e77 --direct", "to a certain one; the lock by a commit"),
    ("mlinfra rollback prod --dry-run", "from what, to what, and whether it is warm"),
)


def command(
    environment: EnvironmentName,
    stack: Annotated[
        str | None, typer.Argument(metavar="[STACK]", help="The endpoints of one stack; all without.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="RELEASE", help="Not the one before, but this.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the lock.")] = "rolled back by hand",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    direct: Annotated[bool, typer.Option("--direct", help="Commit the lock, without a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give all requests to a release that served before.

    A warm one gets them at once, and everything else follows: configuration, drift baseline, alarms, the lock. One that
    is not deployed any more is deployed beside first. The environment is held afterwards: mlinfra resume ends that.
    """
    from mlinfra.operations.rollback import Wish, rollback
    from mlinfra.repository import Repository
    from mlinfra_cli.people import who
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.results import write_json

    repository = Repository.find()
    wish = Wish(who(repository.root), reason, stack=stack, to=to, dry_run=dry_run, direct=direct)
    with LiveProgress() as progress:
        done = rollback(repository, environment, wish, progress)
    if as_json:
        write_json(done.to_json())
    else:
        from mlinfra_cli.rollback_view import show_rollback

        show_rollback(done)
    if done.not_done:
        raise typer.Exit(1)
