"""What is shown of a plan: a line for each part that changes, and on request each resource and each value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.declarations.part import Part
from mlinfra.diff import Change, ResourceChange
from mlinfra.expectations import serving
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, dollars, text

if TYPE_CHECKING:
    from mlinfra.operations.plan import Plan

_SIGNS: Mapping[Change, tuple[str, str]] = {
    Change.CREATE: ("+", "new"),
    Change.UPDATE: ("~", "changed"),
    Change.REPLACE: ("±", "changed"),
    Change.MAY_REPLACE: ("±", "changed"),
    Change.DELETE: ("-", "gone"),
}
_WORST_FIRST = (Change.MAY_REPLACE, Change.REPLACE, Change.DELETE, Change.UPDATE, Change.CREATE)
_NOUNS = {"environments": "environment", **{kind.plural: kind.noun() for kind in Part.__subclasses__()}}
_SERVING = {"stops serving": "danger", "may be interrupted": "attention"}
_RAW = "resources of your own (stacks/__main__.py)"


def show_plan(plan: Plan, *, details: bool) -> None:
    """Show what an `up` would do, part by part."""
    environment = plan.session.environment
    how = "as the engine previews it" if plan.engine else "offline"
    render.show(text(("plan for ", ""), (environment.name, "name"), f" on {environment.target}, {how}"))
    if plan.unread:
        render.show(
            text((plan.unread, "attention")), text(("so everything is compared with nothing, and looks new", ""))
        )
    touched = {
        key: found
        for key, changes in plan.by_part().items()
        if (found := [change for change in changes if change.change is not Change.SAME])
    }
    if touched and not details:
        rows = [_part_row(plan, key, changes) for key, changes in touched.items()]
        render.show(text(), render.table(("", "kind", "name", "change", "how", "reason"), rows))
    for key, changes in touched.items() if details else ():
        render.show(text(), text((key or _RAW, "name")))
        for change in changes:
            sign, style = _SIGNS[change.change]
            kind = change.resource.type.rsplit(":", 1)[-1]
            render.show(text((f"{sign} ", style), f"{kind} {change.resource.name}: ", _how(change), indent=2))
            if change.loses:
                render.show(text((change.loses, "danger"), indent=6))
            render.show(*_values(change))
            if (reason := plan.permission(change)) and change.destroys_data:
                render.show(text((f"allowed: {reason}", "attention"), indent=6))
    for item in plan.unused_permissions:
        line = f"destroy_data: nothing of {item.resource} would be destroyed: remove the line"
        render.show(text((line, "attention")))
    for line in plan.not_yet:
        render.show(text((f"not carried out on {environment.target}: ", "attention"), line))
    render.show(*_endpoints(plan), *_cost(plan), *_policies(plan), text(), _totals(plan))


def _part_row(plan: Plan, key: str | None, changes: Sequence[ResourceChange]) -> tuple[Cell, ...]:
    kind, _, name = (key or f"raw.{_RAW}").partition(".")
    worst = min(changes, key=lambda change: (not change.destroys_data, _WORST_FIRST.index(change.change)))
    counts = {change: sum(item.change is change for item in changes) for change in _SIGNS}
    what = ", ".join(f"{count} to {change}" for change, count in counts.items() if count)
    return _SIGNS[worst.change], _NOUNS.get(kind, kind), (name, "name"), what, _how(worst), _why(plan, worst)


def _how(change: ResourceChange) -> tuple[str, str]:
    return change.effect, "danger" if change.destroys_data else ""


def _why(plan: Plan, change: ResourceChange) -> str:
    if change.destroys_data and (reason := plan.permission(change)):
        return f"allowed: {reason}"
    if change.loses:
        return change.loses
    if change.change is Change.CREATE:
        return "not there yet"
    if change.change is Change.DELETE:
        return "no longer declared"
    names = [item.path for item in change.properties]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} changed"


def _values(change: ResourceChange) -> Iterator[Any]:
    if change.change is Change.CREATE:
        for name, value in sorted(change.resource.inputs.items()):
            yield text((f"{name}: ", "quiet"), _value(value)[0], indent=6)
    for item in change.properties:
        yield text((f"{item.path}: ", "quiet"), _value(item.before, "gone"), " → ", _value(item.after, "new"), indent=6)


def _value(value: Any, style: str = "") -> tuple[str, str]:
    if value is None:
        return "not there", "quiet"
    return json.dumps(value, ensure_ascii=False, sort_keys=True), style


def _endpoints(plan: Plan) -> Iterator[Any]:
    seen = {key: serving(key, changes) for key, changes in plan.by_part().items() if key}
    for key, answer in seen.items():
        if answer not in (None, "as before", "new"):
            yield text()
            yield text((key.partition(".")[2], "name"), " ", (answer, _SERVING.get(answer, "")))


def _cost(plan: Plan) -> Iterator[Any]:
    if plan.review is None or not (plan.review.now.items or plan.review.then.items or plan.review.then.unpriced):
        return
    now, then = (estimate.monthly for estimate in (plan.review.now, plan.review.then))
    shown = " → ".join("no price" if each is None else dollars(each.likely) for each in (now, then))
    missing = len(plan.review.then.unpriced)
    yield text()
    yield text(
        f"cost    {shown} a month, {dollars(plan.review.then.idle)} of it at zero traffic",
        (f"; {counted(missing, 'item')} without a price" if missing else "", "attention"),
        f": mlinfra cost {plan.session.environment.name}",
    )


def _policies(plan: Plan) -> Iterator[Any]:
    if plan.review is None or not plan.review.checked.findings:
        return
    checked = plan.review.checked
    counts = checked.counts
    yield text()
    yield text(
        "policy  ",
        (f"{counts['mandatory']} mandatory", "danger" if counts["mandatory"] else ""),
        f" and {counted(counts['advisory'], 'advisory violation')}, {counts['unknown']} unknown: "
        f"mlinfra check {plan.session.environment.name}",
    )
    for finding in checked.findings:
        if finding.mandatory:
            where = finding.part or finding.resource.name
            yield text(
                (f"{finding.rule.id} {where}: ", "bad"), f"{finding.answer.message} → {finding.remedy}", indent=2
            )


def _totals(plan: Plan) -> Any:
    counts = dict.fromkeys(Change, 0)
    for item in plan.changes:
        counts[item.change] += 1
    name = plan.session.environment.name
    if not plan.changed:
        return text(f"nothing changes: {counted(counts[Change.SAME], 'resource')} as at the last up")
    done = [f"{counts[change]} to {change}" for change in Change if change is not Change.SAME and counts[change]]
    same = f"; {counts[Change.SAME]} stay as they are" if counts[Change.SAME] else ""
    if plan.forbidden:
        lost = f"{len(plan.forbidden)} would DESTROY DATA: up refuses this"
        return text(f"{', '.join(done)}{same}; ", (lost, "danger"))
    if plan.refused:
        return text(f"{', '.join(done)}{same}; ", ("mandatory rules are broken: up refuses this", "danger"))
    return text(f"{', '.join(done)}{same}: mlinfra up {name} does it in {_seconds(plan)}")


def _seconds(plan: Plan) -> str:
    expected = plan.duration
    if expected.unknown:
        return f"a time that nobody knows ({', '.join(expected.unknown)})"
    return f"{render.seconds(expected.low)} to {render.seconds(expected.high)}, training aside"
