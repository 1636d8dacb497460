"""mlinfra targets: which targets are installed, and what each can do."""

from __future__ import annotations

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra targets", "the installed targets, what each was proved against, and what each can do"),
    ("mlinfra targets --json", "for programs"),
)


def command(as_json: AsJson = False) -> None:
    """Show the installed targets and what each can do.

    The table is made by the contract that every target passes: each field of each part is changed in turn, and the
    target honours that or refuses it with a reason. Takes about two seconds for each target.
    """
    from mlinfra.adapters import adapter_names, load_adapter
    from mlinfra.testing.features import feature_table
    from mlinfra_cli.results import write_json

    adapters = [load_adapter(name) for name in adapter_names()]
    features = feature_table()
    if as_json:
        targets = [
            {"target": item.name, "proved_against": item.proved_against, "shared": item.shared} for item in adapters
        ]
        write_json({"version": 1, "targets": targets, "features": features})
        return

    from mlinfra_cli import render
    from mlinfra_cli.render import Cell, text

    rows: list[tuple[Cell, ...]] = [((item.name, "name"), item.proved_against) for item in adapters]
    render.show(render.table(("target", "proved against"), rows))
    names = [item.name for item in adapters]
    answers: list[tuple[Cell, ...]] = [(row["feature"], *(_cell(row[name]) for name in names)) for row in features]
    render.show(text(), render.table(("feature", *names), answers))


def _cell(answer: str) -> tuple[str, str]:
    return answer, "good" if answer == "yes" else "attention"
