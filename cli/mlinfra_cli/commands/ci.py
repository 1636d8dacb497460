"""mlinfra ci: the pipelines of a git host."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = (
    ("mlinfra ci github", "the workflow for today's environments, on stdout"),
    ("mlinfra ci gitlab --write", "into .gitlab-ci.yml, or a file to include where that is not mlinfra's"),
    ("mlinfra ci gitea --check", "exit code 1 when the file is not that of today's environments"),
)


def command(
    host: Annotated[str, typer.Argument(metavar="HOST", help="github, gitlab or gitea (also Forgejo).")],
    write: Annotated[bool, typer.Option("--write", help="Write it into the repository.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say whether what is written is current.")] = False,
) -> None:
    """Print the pipelines of a git host for all environments.

    On a pull request plan, check and cost of the environments that it touches; after the merge up, in the order in
    which releases flow; on a schedule tick, and hourly verify and drift. docs/pipelines.md tells what the host must
    be told once.
    """
    from mlinfra.operations.pipelines import pipelines
    from mlinfra.problems import WrongUse
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.results import write_text

    if write and check:
        raise WrongUse("--write and --check exclude each other")
    wanted = pipelines(Repository.find(), host)
    if check:
        if not wanted.current:
            render.error(f"{wanted.path} is not that of today's environments", f"mlinfra ci {host} --write")
            raise typer.Exit(1)
        render.show(render.text((wanted.path, "name"), " is current"))
    elif write:
        wanted.write()
        render.show(render.text(("wrote ", "good"), wanted.path))
        if wanted.include:
            render.show(render.text(f"add to .gitlab-ci.yml: {wanted.include}", indent=2))
    else:
        write_text(wanted.text)
