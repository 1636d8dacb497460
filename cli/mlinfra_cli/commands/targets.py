"""mlinfra targets: which targets are installed, and what each can do."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra targets", "the installed targets, what each was proved against, and what each can do"),
    ("mlinfra targets sagemaker", "what one does with each field, why, and what to do instead"),
    ("mlinfra targets --json", "for programs"),
)


def command(
    target: Annotated[str | None, typer.Argument(help="One target; unset: all of them.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show the installed targets and what each can do.

    The table is made by the contract that every target passes: each field of each part is changed in turn, and the
    target honours that or refuses it with a reason. Of a target that mlinfra does not ship, this is done now.
    """
    from mlinfra.adapters import adapter_names, load_adapter
    from mlinfra.testing.features import feature_table, known_table
    from mlinfra_cli.results import write_json

    adapters = [load_adapter(name) for name in ([target] if target else adapter_names())]
    names = [item.name for item in adapters]
    if as_json:
        targets = [
            {"target": item.name, "proved_against": item.proved_against, "shared": item.shared} for item in adapters
        ]
        write_json({"version": 1, "targets": targets, "features": feature_table(names)})
        return

    from mlinfra_cli import render
    from mlinfra_cli.render import Cell, text

    proved: list[tuple[Cell, ...]] = [((item.name, "name"), item.proved_against) for item in adapters]
    render.show(render.table(("target", "proved against"), proved), text())
    table = known_table(names)
    if target:
        rows: list[tuple[Cell, ...]] = [(row.field, _cell(row.support[target].text())) for row in table.rows]
        render.show(render.table(("feature", target), rows))
    else:
        rows = [(row.field, *(_cell(row.support[name].answer) for name in names)) for row in table.rows]
        render.show(render.table(("feature", *names), rows), text(), text(("mlinfra targets TARGET says why", "quiet")))


def _cell(answer: str) -> tuple[str, str]:
    return answer, "good" if answer == "yes" else "attention"
