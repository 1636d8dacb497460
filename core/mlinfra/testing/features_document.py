"""The table of targets and fields as Markdown: one page for all targets, and one for each with reasons and proofs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mlinfra.testing.features import Row, Support, SupportTable
from mlinfra.testing.specimens import BY_THE_CORE, DETERMINED

_GENERATED = "<!-- Generated: make docs. A test fails when it is stale. -->"


def overview(table: SupportTable) -> str:
    """Return what every target does with every field; the reasons are on the pages of the targets."""
    return "\n".join([*_overview(table), ""])


def page(table: SupportTable, target: str) -> str:
    """Return what one target does with every field, why, the way out, and what each answer was proved against."""
    return "\n".join([*_page(table, target), ""])


def _overview(table: SupportTable) -> Iterator[str]:
    yield "# Targets and what they do with each field"
    yield ""
    yield _GENERATED
    yield ""
    yield "Every field of every part is changed in turn, and the adapter's answer is read off: **yes**, it registers"
    yield "something else; **no** or **partly**, it refuses all or some values, or does a part only; **not yet**,"
    yield "it is registered but not carried out; **unseen**, no resource shows it, and the target's own tests do. No"
    yield "field is ever silently ignored. The page of a target says why, and what to do instead; `mlinfra plan` says"
    yield "what is declared and not carried out. On your machine, `mlinfra targets` shows this table for the targets"
    yield "that are installed, and `mlinfra targets TARGET` the reasons of one."
    yield ""
    yield "| target | proved against |"
    yield "|---|---|"
    for name, proved in table.targets.items():
        yield f"| [{name}](targets/{name}.md) | {proved} |"
    for kind, rows in groupby(table.rows, key=lambda row: row.kind):
        yield ""
        yield f"## {kind}"
        yield ""
        yield f"| field | {' | '.join(table.targets)} |"
        yield f"|---|{'---|' * len(table.targets)}"
        for row in rows:
            yield f"| `{row.path}` | {' | '.join(row.support[target].answer for target in table.targets)} |"
    yield ""
    yield "## Fields that no target decides"
    yield ""
    for name, reason in DETERMINED.items():
        yield f"- `{name}`: {reason}."
    for name, reason in BY_THE_CORE.items():
        yield f"- `Environment.{name}`: {reason}."


def _page(table: SupportTable, target: str) -> Iterator[str]:
    yield f"# {target}"
    yield ""
    yield _GENERATED
    yield ""
    yield f"Proved against: {table.targets[target]}. [All targets](../targets.md) side by side."
    for kind, rows in groupby(table.rows, key=lambda row: row.kind):
        yield ""
        yield f"## {kind}"
        yield ""
        yield "| field | answer | why, and what to do instead | proved against |"
        yield "|---|---|---|---|"
        for row in rows:
            yield _line(table, target, row)


def _line(table: SupportTable, target: str, row: Row) -> str:
    support = row.support[target]
    return f"| `{row.path}` | {support.answer} | {_why(support)} | {table.proved_against(target, row)} |"


def _why(support: Support) -> str:
    ways = dict.fromkeys(refusal.remedy for refusal in support.refusals if refusal.remedy)
    said = [*support.reasons(), *([support.note] if support.note else []), *(f"→ {way}" for way in ways)]
    return "; ".join(said).replace("|", "\\|").replace("\n", " ")
