"""mlinfra evidence: all that is known of a release in an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlinfra_cli.completion import environment_names

EXAMPLES = (
    ("mlinfra evidence 3f9c2ab1 --to prod", "writes evidence/prod-3f9c2ab1…/ with evidence.json and index.html"),
    ("mlinfra evidence 3f9c2ab1 --to prod --out audit/2026-11", "to another folder"),
)


def command(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A digest, or 8 or more of its first digits.")],
    to: Annotated[str, typer.Option("--to", metavar="ENV", help="The environment.", autocompletion=environment_names)],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write it.")] = None,
) -> None:
    """Write down what is known of a release.

    One folder: evidence.json, and index.html for people. It has the digests, the lineage, the model card, the gates
    and their numbers, approvals, findings, cost, signature and history. What is not known is named. The digest of
    evidence.json is printed, and is on the page.
    """
    from mlinfra.operations.evidence import DOCUMENT, PAGE, evidence
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.render import text

    written = evidence(Repository.find(), release, to, out)
    render.show(text(str(written.folder / PAGE)), text(f"{written.digest}  {written.folder / DOCUMENT}"))
    for fact, reason in written.unknown:
        render.show(text(("unknown: ", "attention"), (fact, "name"), f": {reason}"))
