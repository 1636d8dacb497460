"""mlinfra down: end what runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mlinfra_cli.options import EnvironmentName

EXAMPLES = (
    ("mlinfra down dev", "ends every process; keeps what holds data, and says what and where"),
    ("mlinfra down dev --destroy-data", "removes that too, after you typed the environment's name"),
    ("mlinfra down dev --destroy-data --yes", "for scripts: nothing is asked"),
)


def command(
    environment: EnvironmentName,
    destroy_data: Annotated[bool, typer.Option("--destroy-data", help="Remove what holds data too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")] = False,
) -> None:
    """End what runs, and keep what holds data."""
    from mlinfra.operations.down import down
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.render import text

    repository = Repository.find()
    repository.check_name(environment)
    if destroy_data and not yes:
        _confirm(environment)
    with LiveProgress() as progress:
        removed = down(repository, environment, progress, destroy_data=destroy_data)
    render.show(
        text((f"{environment} is down", "good"), f": {render.counted(len(progress.touched), 'resource')} removed")
    )
    if removed.kept:
        here = f"{repository.root}/"
        render.show(text("kept:"), *(text(line.replace(here, ""), indent=2) for line in removed.kept))
        if not destroy_data:
            render.show(text((f"mlinfra down {environment} --destroy-data removes that too", "quiet")))


def _confirm(environment: str) -> None:
    """Have the environment's name typed.

    Raises:
        WrongUse: something else was typed, or nobody can be asked.
    """
    from mlinfra.problems import WrongUse

    if not sys.stdin.isatty():
        raise WrongUse(
            "destroying data is confirmed by a person, and there is no terminal here",
            remedy=f"mlinfra down {environment} --destroy-data --yes",
        )
    typed = typer.prompt(f"This destroys the data of {environment} for good. Type its name to go on", err=True)
    if typed != environment:
        raise WrongUse(f"{typed!r} is not {environment!r}; nothing was changed")
