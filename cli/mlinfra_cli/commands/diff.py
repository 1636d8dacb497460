"""mlinfra diff: what tells two releases apart."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra diff 91d04e77 3f9c2ab1", "metrics, specification, features, versions, digests, and a month of each"),
    ("mlinfra diff 91d04e77 3f9c2ab1 --json | jq .inputs.retyped", "inputs of another type, for programs"),
)


_HELP = "A digest, or 8 or more of its first digits."


def command(
    before: Annotated[str, typer.Argument(metavar="A", help=_HELP)],
    after: Annotated[str, typer.Argument(metavar="B", help=_HELP)],
    as_json: AsJson = False,
) -> None:
    """Show what tells two releases apart; offline.

    It goes from A to B. The specification is that before overrides. What a month costs is that of the endpoint, in
    every environment that declares it, with the environment's overrides and usage.
    """
    from mlinfra.operations.release_difference import compare
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    difference = compare(Repository.find(), before, after)
    if as_json:
        write_json(difference.to_json())
    else:
        from mlinfra_cli.release_view import show_difference

        show_difference(difference)
