"""mlinfra targets: which targets are installed, and what each can do."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra targets", "the installed targets, what each was proved against, and what each can do"),
    ("mlinfra targets --json", "for programs"),
)


def command(as_json: AsJson = False) -> None:
    """Show the installed targets and what each can do.

    The table of features comes from the contract that every target passes: each field of each part is honoured, or
    refused with a reason.
    """
    from mlinfra.adapters import adapter_names, load_adapter
    from mlinfra_cli import render
    from mlinfra_cli.render import Cell, text

    adapters = [load_adapter(name) for name in adapter_names()]
    features = _features()
    if as_json:
        targets = [
            {"target": item.name, "proved_against": item.proved_against, "shared": item.shared} for item in adapters
        ]
        render.write_json({"version": 1, "targets": targets, "features": features})
        return
    rows: list[tuple[Cell, ...]] = [((item.name, "name"), item.proved_against) for item in adapters]
    render.show(render.table(("target", "proved against"), rows))
    if features:
        names = [item.name for item in adapters]
        heads = ("feature", *names)
        render.show(
            text(), render.table(heads, [(row["feature"], *(_cell(row[name]) for name in names)) for row in features])
        )


def _cell(answer: str) -> tuple[str, str]:
    return answer, "good" if answer == "yes" else "attention"


def _features() -> list[dict[str, Any]]:
    if find_spec("mlinfra.testing") is None or find_spec("mlinfra.testing.features") is None:
        return []
    from mlinfra.testing.features import feature_table

    return list(feature_table())
