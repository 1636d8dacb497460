"""mlinfra doctor: what is missing on this machine, or at the target of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.completion import environment_names
from mlinfra_cli.options import AsJson

if TYPE_CHECKING:
    from mlinfra.repository import Repository

EXAMPLES = (
    ("mlinfra doctor", "which engine is in use, what each target needs, and the command that mends it"),
    ("mlinfra doctor prod", "asks the target: credentials, region, stores, permissions, quotas for two fleets"),
    ("mlinfra doctor --json", "for programs"),
)
_MARKS = {True: ("good", "good"), False: ("bad", "bad"), None: ("unknown", "attention")}


def command(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV]", help="The environment whose target is asked.", autocompletion=environment_names
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is missing here, and the command that mends it.

    Looks at the engine, the secrets, every environment's files, and what each installed target needs. With ENV it asks
    that environment's target instead: whose credentials these are, whether the region, the state and the models are
    reached, what is permitted, and whether quotas have room for two fleets of each endpoint. Changes nothing. What
    cannot be told is unknown, never good. Exit code 1 when something is bad.
    """
    from dataclasses import asdict

    from mlinfra.operations.doctor import doctor, examine
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.render import text
    from mlinfra_cli.results import write_json

    findings = doctor(_repository()) if environment is None else examine(Repository.find(), environment)
    good = all(finding.good is not False for finding in findings)
    if as_json:
        shown = [{**asdict(finding), "remedy": finding.remedy or None} for finding in findings]
        write_json({"version": 1, "good": good, "findings": shown})
    else:
        for finding in findings:
            word, style = _MARKS[finding.good]
            first, *rest = finding.detail.splitlines()
            render.show(text((f"{word:7}", style), "  ", (finding.subject, "name"), f": {first}"))
            render.show(*(text(line, indent=9) for line in rest))
            if finding.remedy:
                render.show(text(("→ ", "attention"), finding.remedy, indent=9))
    raise typer.Exit(0 if good else 1)


def _repository() -> Repository | None:
    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

    try:
        return Repository.find()
    except MlinfraError:
        return None
