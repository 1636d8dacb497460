"""mlinfra releases: what could be served."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra releases", "every release, newest first: where it is pinned, and whether its artifact is whole"),
    ("mlinfra releases flight-delay --json | jq -r '.releases[0].release'", "the newest of one stack, for programs"),
)


def command(
    stack: Annotated[str | None, typer.Argument(metavar="STACK", help="Only the releases of this stack.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show all releases, and where they are wanted.

    Looks into releases/ and into the artifact store of every environment. Artifacts in a folder are read whole.
    Exit code 1 when something cannot be read, or an environment lacks the artifact of a release that it pins or
    follows.
    """
    from mlinfra.operations.releases import Catalogue
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    listing = Catalogue.read(Repository.find()).listing(stack)
    if as_json:
        write_json(listing.to_json())
    else:
        from mlinfra_cli.release_view import show_releases

        show_releases(listing)
    if not listing.sound:
        raise typer.Exit(1)
