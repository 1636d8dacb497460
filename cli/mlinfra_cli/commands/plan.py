"""mlinfra plan: what an `up` would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

if TYPE_CHECKING:
    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

EXAMPLES = (
    ("mlinfra plan dev", "what an up would create, update, replace or remove, part by part"),
    ("mlinfra plan prod --details", "and which values change, from what to what"),
    ("mlinfra plan prod --engine", "what the engine's own preview says"),
    ("mlinfra plan prod --out plan.json", "keep it, for mlinfra up prod --plan plan.json"),
    ("mlinfra plan prod --json | jq '.parts[].changes[] | select(.destroys_data)'", "for programs"),
)


def command(
    environment: EnvironmentName,
    details: Annotated[bool, typer.Option("--details", help="Show every resource and every value.")] = False,
    engine: Annotated[bool, typer.Option("--engine", help="Let the engine preview it.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Keep it for up --plan.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an up would do, offline.

    Compares what is declared with what was declared at the last up: no engine, no network, no credentials (where the
    state is kept in this repository). Changes nothing. Exit code 3 when an up would refuse it: data would be
    destroyed that the environment does not name, or a mandatory rule is broken.
    """
    from mlinfra.operations.plan import plan
    from mlinfra.plan_file import write_plan
    from mlinfra.problems import MlinfraError, Refused
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    repository = Repository.find()
    try:
        made = plan(repository, environment, engine=engine, say=lambda line: typer.echo(line, err=True))
    except MlinfraError as error:
        if as_json:
            write_json(_failed(repository, environment, error))
        raise
    if out is not None:
        write_plan(out, made)
    if as_json:
        write_json(made.to_json())
    else:
        from mlinfra_cli.plan_view import show_plan

        show_plan(made, details=details)
    if made.refused:
        raise typer.Exit(Refused.exit_code)


def _failed(repository: Repository, environment: str, error: MlinfraError) -> dict[str, Any]:
    from mlinfra.problems import Problem, Problems

    problems = error.problems if isinstance(error, Problems) else [Problem("", 0, "", error.message)]
    return {
        "version": 1,
        "environment": environment,
        "target": _target(repository, environment),
        "resources": [],
        "parts": [],
        "problems": [problem.to_json() for problem in problems],
    }


def _target(repository: Repository, environment: str) -> str | None:
    """Return what the environment's file says, as far as it can be read."""
    from mlinfra.yaml_file import read_yaml

    try:
        text = (repository.root / "environments" / f"{environment}.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    value = read_yaml(text, "").value
    target = value.get("target") if isinstance(value, dict) else None
    return target if isinstance(target, str) else None
