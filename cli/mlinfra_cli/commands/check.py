"""mlinfra check: what breaks the policy rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.completion import environment_names
from mlinfra_cli.options import AsJson

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.operations.check import Checked, Given

EXAMPLES = (
    ("mlinfra check prod", "judge what prod declares, and show the line that mends each finding"),
    ("pulumi preview --json | mlinfra check --preview -", "judge any Pulumi program"),
    ("mlinfra check --state state.json --profile regulated", "judge what pulumi stack export wrote, strictly"),
    ("mlinfra check --preview preview.json --sarif > findings.sarif", "for the code scanning of a forge"),
    ("mlinfra check prod --json | jq '.findings[] | select(.level == \"mandatory\")'", "for programs"),
)


def command(
    environment: Annotated[
        str | None,
        typer.Argument(metavar="ENV", help="The environment's name.", autocompletion=environment_names),
    ] = None,
    preview: Annotated[
        str | None, typer.Option(metavar="FILE", help="Judge what pulumi preview --json printed (- is stdin).")
    ] = None,
    state: Annotated[
        str | None, typer.Option(metavar="FILE", help="Judge what pulumi stack export wrote (- is stdin).")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(metavar="FILE", help="Settings of the rules, as JSON or YAML; they come first.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="How strict: baseline, production, regulated.")
    ] = None,
    as_json: AsJson = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="SARIF 2.1.0 alone on stdout, for code scanning.")] = False,
) -> None:
    """Show what breaks the policy rules, worst first; offline.

    Judges what ENV declares, or with --preview and --state what any Pulumi program would leave or has left behind.
    A team's own rules are in policies/rules/. Without a profile, a stack that is called prod, production, prd or live
    is judged as production. Exit code 3 when a mandatory rule is broken.
    """
    from mlinfra.operations.check import Given
    from mlinfra.problems import WrongUse
    from mlinfra_cli.results import write_json

    if preview is not None and state is not None:
        raise WrongUse("--preview and --state exclude each other", remedy="judge one after the other")
    if as_json and as_sarif:
        raise WrongUse("--json and --sarif exclude each other")
    if [preview, state, settings].count("-") > 1:
        raise WrongUse("only one file can come from stdin")
    checked = _checked(environment, Given(preview, state, settings, profile))
    if as_json:
        write_json(checked.to_json())
    elif as_sarif:
        from mlinfra.operations.sarif import sarif

        write_json(sarif(checked))
    else:
        from mlinfra_cli.check_view import show_checked

        show_checked(checked)
    if checked.refused:
        raise typer.Exit(3)


def _checked(environment: str | None, given: Given) -> Checked:
    from mlinfra.operations.check import check_environment, check_file
    from mlinfra.problems import WrongUse
    from mlinfra.repository import Repository

    if environment is not None:
        return check_environment(Repository.find(), environment, given)
    if given.preview is None and given.state is None:
        raise WrongUse("there is nothing to check", remedy="name an environment, or --preview FILE, or --state FILE")
    return check_file(given, root_of_rules())


def root_of_rules() -> Path:
    """Return the folder whose policies/rules/ counts: the repository's, or else the current one."""
    from pathlib import Path

    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

    try:
        return Repository.find().root
    except MlinfraError:
        return Path.cwd()
