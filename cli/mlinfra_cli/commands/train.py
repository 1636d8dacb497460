"""mlinfra train: run the training jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import part_names
from mlinfra_cli.options import EnvironmentName

EXAMPLES = (
    ("mlinfra train dev", "run every job whose inputs are new; adopt the runs of the others"),
    ("mlinfra train dev flight-delay --retrain", "run one job again on the same inputs"),
)


def command(
    environment: EnvironmentName,
    job: Annotated[
        str | None,
        typer.Argument(metavar="JOB", help="One job; else all.", autocompletion=part_names("training_jobs")),
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train even where the inputs are the same.")] = False,
) -> None:
    """Run training jobs; what is accepted becomes a release.

    Nothing is served by this: up does that. A run with the same code, data and parameters is never repeated, but
    adopted. Exit code 1 when a run was not accepted.
    """
    from mlinfra.operations.session import Session
    from mlinfra.operations.train import train
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.views import show_run

    session = Session.open(Repository.find(), environment)
    with LiveProgress() as progress:
        trained = train(session, progress, job=job and job.removeprefix("training_jobs."), again=retrain)
    if not trained:
        render.show(render.text(f"{environment} declares no training job"))
    for item in trained:
        show_run(item.part.part.name, item.run, [release.short for release in item.releases])
    if any(item.run.outcome != "accepted" for item in trained):
        raise typer.Exit(1)
