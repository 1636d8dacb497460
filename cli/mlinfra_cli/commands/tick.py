"""mlinfra tick: go on with what is under way."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra tick prod", "the next step of a rollout, if it is due; exit code 4 while it is watched"),
    ("mlinfra tick", "all environments; what a schedule calls"),
)


def command(
    environment: Annotated[str | None, typer.Argument(metavar="[ENV]", help="One environment; all without.")] = None,
    as_json: AsJson = False,
) -> None:
    """Go on with the rollouts that are under way.

    Shifts the next share when its time is over and all gates pass, and takes it back when one fails. Then it reads
    feature stores again whose rows are older than they declare. It may be called as often as one likes, from any
    machine, also two at once.
    """
    from mlinfra.operations.tick import tick
    from mlinfra.problems import Waiting
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.results import write_json

    with LiveProgress() as progress:
        found = tick(Repository.find(), [environment] if environment else [], progress)
    if as_json:
        write_json({"version": 1, "environments": [item.to_json() for item in found]})
    else:
        from mlinfra_cli.rollout_view import show_ticked

        show_ticked(found)
    for item in found:
        for problem in item.problems:
            render.error(f"{problem.path}: {problem.message}", problem.remedy)
    if any(item.stopped for item in found):
        raise typer.Exit(1)
    if any(item.waits for item in found):
        raise typer.Exit(Waiting.exit_code)
