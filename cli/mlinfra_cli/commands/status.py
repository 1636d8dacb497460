"""mlinfra status: what really serves."""

from __future__ import annotations

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("mlinfra status dev", "which release answers where, and whether it is the one that is wanted"),
    ("mlinfra status prod --json | jq -r '.endpoints[].url'", "for programs"),
)


def command(environment: EnvironmentName, as_json: AsJson = False) -> None:
    """Show what really serves, asked of the target.

    Exit code 1 when an endpoint does not serve what is wanted.
    """
    from mlinfra.operations.status import status
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    found = status(Repository.find(), environment)
    if as_json:
        write_json(found.to_json())
    else:
        from mlinfra_cli.views import show_status

        show_status(found)
    if not all(item.as_wanted for item in found.endpoints):
        raise typer.Exit(1)
