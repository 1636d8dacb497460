"""The one comment of a promotion's pull request: a summary, the details folded, and the exact commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlinfra.diff import Change
from mlinfra.promotion.difference import Move, Promotion
from mlinfra.promotion.preconditions import Verdict
from mlinfra.promotion.summary import duration, headline, rows, state

KEY = "promotion"
_SIGNS = {Verdict.MET: "✓", Verdict.UNMET: "✗", Verdict.UNKNOWN: "?"}


def comment(promotion: Promotion) -> str:
    """Return the comment as Markdown."""
    width = max(len(label) for label, _ in rows(promotion)) + 3
    lines = ["```", f"{headline(promotion)}   {state(promotion)}"]
    lines += [f"{label:<{width}}{_plain(text)}" for label, text in rows(promotion)]
    lines += ["```", ""]
    lines += _folded("Preconditions", list(_preconditions(promotion)))
    for move in promotion.moves:
        lines += _folded(f"Model: {move.endpoint}", list(_model(move)))
    lines += _folded("Infrastructure plan", list(_plan(promotion)))
    lines += _folded("Policy findings", list(_findings(promotion)))
    return "\n".join([*lines, *_commands(promotion)]) + "\n"


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _preconditions(promotion: Promotion) -> Iterator[str]:
    yield from ("| | what | of | says | left |", "|---|---|---|---|---|")
    for item in promotion.preconditions:
        left = "" if item.seconds_left is None else duration(item.seconds_left)
        cells = (_SIGNS[item.verdict], item.name, item.endpoint or "", item.detail, left)
        yield f"| {' | '.join(map(_cell, cells))} |"


def _model(move: Move) -> Iterator[str]:
    difference = move.difference
    if difference is None:
        yield "The first release here."
        for name, value in sorted(move.release.provenance.metrics.items()):
            yield f"- {_cell(name)} {value:.6g}"
        return
    yield from ("| | before | after |", "|---|---|---|")
    for metric in difference.metrics:
        values = ("-" if value is None else f"{value:.6g}" for value in (metric.before, metric.after))
        yield f"| {' | '.join(map(_cell, (metric.name, *values)))} |"
    for change in (*difference.spec, *difference.identity):
        yield f"| {' | '.join(map(_cell, (change.path, str(change.before), str(change.after))))} |"
    for side, columns in (("input", difference.inputs), ("output", difference.outputs)):
        yield from (
            f"| {side} {_cell(column['name'])} | - | {_cell(str(column['type']))} |" for column in columns.added
        )
        yield from (
            f"| {side} {_cell(column['name'])} | {_cell(str(column['type']))} | - |" for column in columns.removed
        )
        for old, new in columns.retyped:
            yield f"| {side} {_cell(old['name'])} | {_cell(str(old['type']))} | {_cell(str(new['type']))} |"


def _plan(promotion: Promotion) -> Iterator[str]:
    if isinstance(promotion.plan, str):
        yield _cell(promotion.plan)
        return
    for change in promotion.plan.changes:
        if change.change is not Change.SAME:
            kind = change.resource.type.rsplit(":", 1)[-1]
            paths = ", ".join(item.path for item in change.properties)
            yield f"- {change.effect}: {kind} `{change.resource.name}`" + (f": {_cell(paths)}" if paths else "")


def _findings(promotion: Promotion) -> Iterator[str]:
    if isinstance(promotion.plan, str) or promotion.plan.review is None:
        return
    for finding in promotion.plan.review.checked.findings:
        where = finding.part or finding.resource.name
        yield f"- {finding.rule.id} {finding.answer.verdict.value} `{where}`: {_cell(finding.answer.message)}"


def _commands(promotion: Promotion) -> list[str]:
    return ["| to | run |", "|---|---|", *(f"| {what} | `{line}` |" for what, line in promotion.commands.items())]


def _plain(text: str) -> str:
    """Return a text that does not end the block that it is in."""
    return " ".join(text.split()).replace("`", "'")


def _cell(text: str) -> str:
    """Return a text that stays inside its cell and is nothing but text, whatever a name or a message holds."""
    kept = " ".join(text.split())
    for mark in "\\|<>*_`[]@#":
        kept = kept.replace(mark, f"\\{mark}" if mark not in "<>@#" else f"&#{ord(mark)};")
    return kept
