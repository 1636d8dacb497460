"""`make docs`: writes again what is derived from the code. tests/docs/test_generated.py fails when one is stale."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import typer

from mlinfra.adapters import load_adapter
from mlinfra.environment import environment_schema
from mlinfra.expectations import expected
from mlinfra.testing import features_document
from mlinfra.testing.features import SupportTable, shipped_targets, support_table
from mlinfra_cli.commands import app
from mlinfra_policies.catalogue import decisions
from mlinfra_policies.reference import pages
from mlinfra_providers.plugin import handler_class

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100


def schema() -> str:
    """Return the JSON Schema of environment files, as `mlinfra schema` prints it."""
    return json.dumps(environment_schema(), indent=2, ensure_ascii=False) + "\n"


@cache
def table() -> SupportTable:
    """Return what the shipped targets do with each field, derived from the contract."""
    return support_table(shipped_targets())


def support() -> str:
    """Return the table as `mlinfra targets` reads it."""
    return json.dumps(table().to_json(), indent=1, ensure_ascii=False) + "\n"


def targets() -> str:
    """Return the page of all targets."""
    return features_document.overview(table())


def target(name: str) -> str:
    """Return the page of one target."""
    return features_document.page(table(), name)


def plans() -> str:
    """Return what is known of changes of the types of installed adapters, as Markdown."""
    known = expected()
    lines = [
        "# What is known of changes",
        "",
        "<!-- Generated: make docs. A test fails when it is stale. -->",
        "",
        "What `mlinfra plan` knows offline of a change. A change of another input is in place; a type that is not here",
        "`may replace`. The seconds are kept in [expectations.json](../core/mlinfra/expectations.json); what replaces",
        "a resource of mlinfra's own types is decided by the handler that is named, which plan and engine both ask.",
        "",
        "| type | replaced by a change of | decided by | seconds | stops serving when | source of the seconds |",
        "|---|---|---|---|---|---|",
    ]
    for token, said in sorted(known.items()):
        adapter = load_adapter(token.split(":")[1])
        inputs = ", ".join(f"`{name}`" for name in sorted(adapter.replaced_by(token) or ()))
        seconds = "; ".join(f"{change} {low} to {high}" for change, (low, high) in said["seconds"].items())
        stops = ", ".join(said.get("stops_serving", ())) or "never"
        handler = Path(inspect.getfile(handler_class(token)))
        source = f"[{handler.name}](../{handler.relative_to(ROOT).as_posix()})"
        lines.append(f"| `{token}` | {inputs} | {source} | {seconds} | {stops} | {said['source']} |")
    return "\n".join([*lines, ""])


def commands() -> str:
    """Return the reference of the command line: the help of every command."""
    return "\n".join(_reference())


def _reference() -> Iterator[str]:
    command = typer.main.get_command(app)
    context = command.make_context("mlinfra", [], resilient_parsing=True, terminal_width=WIDTH)
    assert isinstance(command, typer.core.TyperGroup)
    yield "# Commands"
    yield ""
    yield "<!-- Generated: make docs. A test fails when it is stale. -->"
    yield ""
    yield "What `mlinfra COMMAND --help` says. [The shapes of `--json`](json.md) have a page of their own."
    yield ""
    yield from _block("mlinfra", command.get_help(context))
    yield from _commands_of(command, context)


def _commands_of(group: typer.core.TyperGroup, context: Any) -> Iterator[str]:
    for name, found in group.commands.items():
        inner = found.make_context(name, [], parent=context, resilient_parsing=True, terminal_width=WIDTH)
        yield from _block(inner.command_path, found.get_help(inner))
        if isinstance(found, typer.core.TyperGroup):
            yield from _commands_of(found, inner)


def _block(title: str, text: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "```text"
    yield from (line.rstrip() for line in inspect.cleandoc(text).splitlines())
    yield "```"
    yield ""


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "environments/environment.schema.json": schema,
    "core/mlinfra/testing/support.json": support,
    "docs/targets.md": targets,
    **{f"docs/targets/{name}.md": partial(target, name) for name in shipped_targets()},
    "docs/commands.md": commands,
    "docs/changes.md": plans,
    "policies/mlinfra_policies/decisions.json": decisions,
    **{f"docs/{name}": partial(pages().__getitem__, name) for name in pages()},
}
"""What is generated, by its path in the repository."""


def main() -> None:
    """Write every document, and say which ones were stale."""
    for name, made in DOCUMENTS.items():
        path, text = ROOT / name, made()
        stale = not path.exists() or path.read_text(encoding="utf-8") != text
        if stale:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{name}: {'written' if stale else 'as it was'}")


if __name__ == "__main__":
    main()
