"""mlinfra show: everything about one release."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra show 3f9c2ab1", "what the release is, how it was made, where it is pinned, and its artifact"),
    ("mlinfra show 3f9c2ab1 --json | jq .identity.spec", "its specification before overrides, for programs"),
)


def command(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A digest, or 8 or more of its first digits.")],
    as_json: AsJson = False,
) -> None:
    """Show everything about one release.

    Exit code 1 when an environment that pins or follows it lacks its artifact or its baseline.
    """
    from mlinfra.operations.releases import Catalogue
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    catalogue = Catalogue.read(Repository.find())
    known = catalogue.details(catalogue.find(release))
    if as_json:
        write_json(known.details())
    else:
        from mlinfra_cli.release_view import show_release

        show_release(known)
    if not known.sound:
        raise typer.Exit(1)
