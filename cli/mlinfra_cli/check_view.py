"""What is shown of a check, and of the rules; how it looks is decided in render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.policy.rule import Level, Rule, Severity, Verdict
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, text

if TYPE_CHECKING:
    from mlinfra.operations.check import Checked
    from mlinfra.operations.rules import Listed
    from mlinfra.policy.check import Finding

_STYLES = {Severity.CRITICAL: "danger", Severity.HIGH: "bad", Severity.MEDIUM: "attention", Severity.LOW: "quiet"}
_LEAST_WIDTH = 12


def show_checked(checked: Checked) -> None:
    """Show the findings, worst first: where, what was found, and the line that mends it; then what is covered."""
    inspection = checked.inspection
    render.show(
        text(
            (checked.environment or inspection.stack_name, "name"),
            f": {counted(len(inspection.resources.all), 'resource')} judged by {counted(len(checked.rules), 'rule')}, "
            f"profile {checked.profile.name}",
        )
    )
    render.show(*_findings(checked.findings), *_covered(checked), text(), *_totals(checked))


def _findings(findings: Sequence[Finding]) -> Iterator[Any]:
    if not findings:
        return
    heads = [_head(finding) for finding in findings]
    widths = [max(_LEAST_WIDTH // 2, *(len(head[column][0]) for head in heads)) for column in range(4)]
    names = ("", "severity", "rule", "resource")
    yield text()
    yield text(("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)), "quiet"))
    for finding, head in zip(findings, heads, strict=True):
        cells = [(cell.ljust(width) + "  ", style) for (cell, style), width in zip(head, widths, strict=True)]
        yield text(*cells, (finding.rule.title, "quiet"))
        answer = finding.answer
        where = f"{answer.path}: " if answer.path else ""
        yield text((where, "name"), answer.message, indent=4)
        for number, line in enumerate(finding.remedy.splitlines()):
            yield text(("→ ", "attention") if number == 0 else "  ", line, indent=4)


def _head(finding: Finding) -> list[tuple[str, str]]:
    severity = finding.rule.severity
    violated = finding.answer.verdict is Verdict.VIOLATION
    level = finding.rule.level.value if violated else "unknown"
    kind = finding.resource.type.rsplit(":", 1)[-1]
    return [
        (level, "danger" if finding.mandatory else "attention" if violated else "quiet"),
        (severity.value, _STYLES[severity]),
        (finding.rule.id, "name"),
        (f"{kind} {finding.resource.name}".strip(), ""),
    ]


def _covered(checked: Checked) -> Iterator[Any]:
    if not checked.covered:
        return
    yield text()
    yield text("covered by exceptions:")
    for item in checked.covered:
        agreed = item.exception
        yield text(
            (agreed.rule, "name"),
            f" for {agreed.subject} until {agreed.until} ({counted(len(item.findings), 'finding')}): ",
            (f"{agreed.reason} ({agreed.owner})", "quiet"),
            indent=2,
        )


def _totals(checked: Checked) -> Iterator[Any]:
    counts, left_out = checked.counts, checked.inspection.resources.left_out
    if left_out:
        yield text(
            f"{counted(left_out, 'resource')} that would not change {'is' if left_out == 1 else 'are'} not in this "
            "preview (--show-sames prints them): whether one of them mends something is unknown"
        )
    covered = f"; {counts['covered']} covered by exceptions" if counts["covered"] else ""
    advisory = f"{counted(counts['advisory'], 'violation')} of advisory rules"
    others = f"{advisory}, {counts['unknown']} unknown until an up{covered}"
    if counts["mandatory"]:
        yield text(
            (f"refused: {counted(counts['mandatory'], 'violation')} of mandatory rules", "danger"), f"; {others}"
        )
    elif checked.findings:
        yield text(("no mandatory rule is broken", "good"), f"; {others}")
    else:
        yield text(("nothing was found", "good"), covered)


def show_rules(listed: Listed) -> None:
    """Show the rules, in their own order; of a target, what cannot be decided there and why."""
    rules = listed.rules
    heads = ("rule", "severity", "level", "title", "decided on")
    render.show(render.table(heads, [_row(rule) for rule in rules]))
    if listed.undecidable:
        rows = [((rule.id, "name"), rule.title, listed.reason(rule)) for rule in listed.undecidable]
        render.show(
            text(), text(f"cannot be decided on {listed.target}:"), render.table(("rule", "title", "why"), rows)
        )
    mandatory = sum(rule.level is Level.MANDATORY for rule in rules)
    render.show(text(), text(f"{counted(len(rules), 'rule')}, {mandatory} of them mandatory in every profile"))


def _row(rule: Rule) -> tuple[Cell, ...]:
    targets = [name for name, said in rule.targets.items() if said.get("decidable")]
    types = [type_ for decision in rule.decisions for type_ in decision.types]
    return (
        (rule.id, "name"),
        (rule.severity.value, _STYLES[rule.severity]),
        (rule.level.value, "" if rule.level is Level.MANDATORY else "quiet"),
        rule.title,
        ", ".join(targets or types),
    )
