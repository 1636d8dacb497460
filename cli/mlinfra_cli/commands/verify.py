"""mlinfra verify: whether what is wanted, what is recorded and what is true are the same."""

from __future__ import annotations

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("mlinfra verify prod", "every difference between lock, state and truth, and the command that mends it"),
    ("mlinfra verify prod --json | jq -r '.differences[].remedy'", "for programs"),
)


def command(environment: EnvironmentName, as_json: AsJson = False) -> None:
    """Compare what is declared, recorded, and true.

    Declared is the lock (or the newest accepted release) and the stacks, recorded is Pulumi's state, true is what
    the target says now. Each difference is a line with what mends it; nothing is changed. Exit code 1 when there is
    one.
    """
    from mlinfra.operations.verify import verify
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    found = verify(Repository.find(), environment)
    if as_json:
        write_json(found.to_json())
    else:
        from mlinfra_cli.release_view import show_verification

        show_verification(found)
    if found.differences:
        raise typer.Exit(1)
