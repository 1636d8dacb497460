"""mlinfra promote: move what one environment serves to the next one."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import environment_names
from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra promote flight-delay --from staging --to prod --dry-run", "what differs, and what must hold before"),
    ("mlinfra promote flight-delay --from staging --to prod", "upload, push a branch, open a pull request"),
    ("mlinfra promote flight-delay --from dev --to staging --direct", "a commit, and no pull request"),
)


def command(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The stack's name.")],
    source: Annotated[
        str, typer.Option("--from", metavar="ENV", help="Where it serves.", autocompletion=environment_names)
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="ENV", help="Where it shall serve.", autocompletion=environment_names)
    ],
    release: Annotated[
        str | None, typer.Option("--release", metavar="R", help="This one, instead of what serves there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be; change nothing.")] = False,
    direct: Annotated[bool, typer.Option("--direct", help="Commit to the default branch; no pull request.")] = False,
    supersede: Annotated[bool, typer.Option("--supersede", help="Replace a rollout that is under way.")] = False,
    as_json: AsJson = False,
) -> None:
    """Promote releases by a pull request.

    Shows what differs and what must hold, uploads, makes one commit of the release and the lock on a branch of its own,
    and opens one pull request, or adopts the one that is there. Your work tree stays as it is; in a repository without
    a remote, --direct commits to the branch that is checked out. The same command again goes on from where it stopped.
    Exit codes: 3 when something refuses it, 4 when time or a review can still meet what is open.
    """
    from mlinfra.operations.promote import Promoted, Wish, prepare, promote
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    wish = Wish(stack, source, target, release, direct, supersede)
    repository = Repository.find()
    if dry_run:
        done = Promoted(prepare(repository, wish))
    else:
        done = promote(repository, wish, lambda line: typer.echo(line, err=True))
    if as_json:
        write_json(done.to_json())
    else:
        from mlinfra_cli.promotion_view import show_promotion

        show_promotion(done, dry_run=dry_run)
    if done.promotion.refused:
        raise typer.Exit(3)
    if done.promotion.open:
        raise typer.Exit(4)
