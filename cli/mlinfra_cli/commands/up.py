"""mlinfra up: make what is declared true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.options import EnvironmentName

if TYPE_CHECKING:
    from mlinfra.operations.example import Example
    from mlinfra.operations.up import Summary

EXAMPLES = (
    ("mlinfra up dev", "declare, train where the inputs are new, serve; a second one changes nothing"),
    ("mlinfra up dev --retrain", "train once more on the same inputs"),
    ("mlinfra up prod --plan plan.json", "only if nothing changed since mlinfra plan prod --out plan.json"),
    ("mlinfra up prod --retry", "roll a release out once more that a gate stopped"),
    ("mlinfra up prod --refresh", "ask first what is really there, and mend what is not as declared"),
)


def command(
    environment: EnvironmentName,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train even where the inputs are the same.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the target first what is really there.")] = False,
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Do this plan, or nothing.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try a release again that failed its rollout.")] = False,
    supersede: Annotated[bool, typer.Option("--supersede", help="Replace a rollout that is under way.")] = False,
) -> None:
    """Make what is declared true.

    Previews with the policies first, then applies. Ctrl-C ends it after what has begun; the next up goes on from
    there. Progress goes to stderr, the summary to stdout. A new release takes the traffic by its declared steps: exit
    code 4 while one is watched (mlinfra tick goes on), 1 when a gate failed and the share went back.
    """
    from mlinfra.operations.rollout import Asked
    from mlinfra.operations.up import up
    from mlinfra.problems import Waiting
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.views import show_summary

    repository = Repository.find()
    with LiveProgress() as progress:
        asked = Asked(retry=retry, supersede=supersede)
        summary = up(repository, environment, progress, again=retrain, refresh=refresh, plan_file=plan, asked=asked)
    same = len(progress.same - progress.touched)
    show_summary(summary, environment, changed=len(progress.touched), same=same, examples=_examples(summary))
    for problem in summary.problems:
        render.error(f"{problem.path}: {problem.message}", problem.remedy)
    if summary.problems or any(standing.stopped for standing in summary.standings):
        raise typer.Exit(1)
    if any(standing.waits for standing in summary.standings):
        raise typer.Exit(Waiting.exit_code)
    if not all(item.as_wanted for item in summary.status.endpoints):
        raise typer.Exit(1)


def _examples(summary: Summary) -> dict[str, Example]:
    from mlinfra.operations.example import write_example

    return {
        item.part.part.name: write_example(summary.status.session, item.part.part.name, item.wanted)
        for item in summary.status.endpoints
        if item.wanted is not None and item.serving.url is not None
    }
