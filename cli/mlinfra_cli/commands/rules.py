"""mlinfra rules: what the policy rules demand."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra rules", "every rule that is installed here, and the team's own"),
    ("mlinfra rules --target kubernetes", "those that can be decided on a target, and why the others cannot"),
    ("mlinfra rules --json | jq -r '.rules[] | select(.severity == \"critical\") | .id'", "for programs"),
)


def command(
    target: Annotated[str | None, typer.Option(metavar="TARGET", help="Only what can be decided there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the policy rules that check judges by.

    Those of installed packages, and those in policies/rules/ of the repository that you are in. What each demands,
    with examples, is in docs/rules.
    """
    from mlinfra.operations.rules import list_rules
    from mlinfra_cli.commands.check import root_of_rules
    from mlinfra_cli.results import write_json

    listed = list_rules(root_of_rules(), target)
    if as_json:
        write_json(listed.to_json())
    else:
        from mlinfra_cli.check_view import show_rules

        show_rules(listed)
