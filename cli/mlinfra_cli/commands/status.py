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

    Exit code 1 when an endpoint does not serve what is wanted, 4 when that is being rolled out.
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
    missing = [item for item in found.endpoints if not item.as_wanted]
    if missing:
        raise typer.Exit(4 if all(item.on_its_way for item in missing) else 1)
