"""What is shown of a plan, a status, a finished `up` and a drift measurement; how it looks is decided in render."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.diff import Change, ResourceChange
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, text

if TYPE_CHECKING:
    from mlinfra.operations.plan import Plan
    from mlinfra.operations.status import EndpointStatus, Status
    from mlinfra.operations.up import Summary

_SIGNS: Mapping[Change, tuple[str, str]] = {
    Change.CREATE: ("+", "new"),
    Change.UPDATE: ("~", "changed"),
    Change.REPLACE: ("±", "changed"),
    Change.MAY_REPLACE: ("±", "changed"),
    Change.DELETE: ("-", "gone"),
}
_VERDICTS = {"ok": "good", "drift": "bad", "no data": "attention"}
_RANKS = ("drift", "no data", "ok", None)


def show_plan(plan: Plan, *, details: bool) -> None:
    """Show what an `up` would do, part by part."""
    environment = plan.session.environment
    render.show(text(("plan for ", ""), (environment.name, "name"), f" on {environment.target}"))
    keys = list(dict.fromkeys([*(part.key for part in plan.session.resolved.parts), *_others(plan)]))
    touched = [change for change in plan.changes if change.change is not Change.SAME]
    widths = [max((len(_row(change)[column][0]) for change in touched), default=0) for column in range(3)]
    for key in keys:
        changes = [change for change in touched if (change.part or _RAW) == key]
        if changes:
            render.show(text((key, "name")))
        for change in changes:
            *cells, reason = _row(change)
            padded = [(cell.ljust(width) + "  ", style) for (cell, style), width in zip(cells, widths, strict=True)]
            render.show(text(*padded, reason, indent=2))
            if details:
                render.show(*_details(change))
    render.show(text(), _totals(plan))


_RAW = "resources of your own (stacks/__main__.py)"


def _others(plan: Plan) -> list[str]:
    return sorted({change.part or _RAW for change in plan.changes}, key=lambda key: (key == _RAW, key))


def _row(change: ResourceChange) -> list[tuple[str, str]]:
    """Return what happens, the kind, the name and the reason."""
    sign, style = _SIGNS[change.change]
    kind = change.resource.type.rsplit(":", 1)[-1]
    reason = (f"DESTROYS DATA: {_why(change)}", "danger") if change.destroys_data else (_why(change), "")
    return [(f"{sign} {change.change}", style), (kind, ""), (change.resource.name, ""), reason]


def _why(change: ResourceChange) -> str:
    if change.change is Change.CREATE:
        return "not there yet"
    if change.change is Change.DELETE:
        return "no longer declared"
    names = [item.path for item in change.properties]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} changed"


def _details(change: ResourceChange) -> Iterator[Any]:
    if change.change is Change.CREATE:
        for name, value in sorted(change.resource.inputs.items()):
            yield text((f"{name}: ", "quiet"), _value(value)[0], indent=6)
    for item in change.properties:
        yield text((f"{item.path}: ", "quiet"), _value(item.before, "gone"), " → ", _value(item.after, "new"), indent=6)


def _value(value: Any, style: str = "") -> tuple[str, str]:
    if value is None:
        return "not there", "quiet"
    return json.dumps(value, ensure_ascii=False, sort_keys=True), style


def _totals(plan: Plan) -> Any:
    counts = dict.fromkeys(Change, 0)
    for item in plan.changes:
        counts[item.change] += 1
    name = plan.session.environment.name
    if not plan.changed:
        return text(f"nothing changes: {counted(counts[Change.SAME], 'resource')} as at the last up")
    done = [f"{counts[change]} to {change}" for change in Change if change is not Change.SAME and counts[change]]
    same = f"; {counts[Change.SAME]} stay as they are" if counts[Change.SAME] else ""
    destroyed = sum(change.destroys_data for change in plan.changes)
    if destroyed:
        return text(f"{', '.join(done)}{same}; ", (f"{destroyed} would DESTROY DATA: up refuses this", "danger"))
    return text(f"{', '.join(done)}{same}: mlinfra up {name} does it")


def show_summary(
    summary: Summary, environment: str, *, changed: int, same: int, examples: Mapping[str, Mapping[str, Any]]
) -> None:
    """Show what an `up` did and what serves: numbers of resources, and a row for each endpoint that answers."""
    for trained in summary.trained:
        show_run(trained.part.part.name, trained.run, [release.short for release in trained.releases])
    what = f"{counted(changed, 'resource')} changed" if changed else "nothing changed"
    render.show(
        text((f"{environment} is up", "good"), f": {what}, {same} as before, {render.seconds(summary.seconds)}"),
        text(),
    )
    show_status(summary.status)
    for item in summary.status.endpoints:
        if item.serving.url is not None and item.wanted is not None and item.part.part.name in examples:
            row = examples[item.part.part.name]
            render.show(text(), text((f"ask {item.part.part.name}", "name")), text(_curl(item, row), indent=2))
            several = f" --endpoint {item.part.part.name}" if len(summary.status.endpoints) > 1 else ""
            asked = json.dumps(row, ensure_ascii=False)
            render.show(text(f"mlinfra predict {environment}{several} {shlex.quote(asked)}", indent=2))


def show_run(name: str, run: Any, releases: Sequence[str]) -> None:
    """Show how a training run ended."""
    how = "the same inputs as before, adopted" if run.adopted else f"trained in {render.seconds(run.seconds)}"
    metrics = ", ".join(f"{metric} {value:.4g}" for metric, value in sorted(run.metrics.items()))
    style = "good" if run.outcome == "accepted" else "bad"
    render.show(text(f"{name}: run {run.id} ", (run.outcome, style), f", {how}; {metrics or 'no metrics'}"))
    for check in run.checks:
        if check.get("answer") != "pass":
            wanted = f"{check.get('metric')} {check.get('operator')} {check.get('value')}"
            render.show(text(("not accepted: ", "bad"), f"{wanted}: {check.get('answer')}", indent=2))
    for release in releases:
        render.show(text(f"made release {release}", indent=2))


def _curl(item: EndpointStatus, row: Mapping[str, Any]) -> str:
    from mlinfra.operations.predict import v2_request

    assert item.wanted is not None
    body = json.dumps(v2_request([row], item.wanted.identity.signature), ensure_ascii=False, separators=(",", ":"))
    model = item.part.part.renamed_from or item.part.part.name
    return (
        f"curl -s {item.serving.url}/v2/models/{model}/infer -H 'content-type: application/json' -d {shlex.quote(body)}"
    )


def show_status(status: Status) -> None:
    """Show what serves where, and whether it is what is wanted."""
    rows: list[tuple[Cell, ...]] = []
    for item in status.endpoints:
        rows.extend(_status_rows(item))
    if not rows:
        render.show(text("no endpoint is declared"))
        return
    render.show(render.table(("endpoint", "release", "share", "state", "url"), rows, right=("share",)))
    for item in status.endpoints:
        if item.wanted is not None:
            made = item.wanted.provenance
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(made.metrics.items()))
            line = f"{item.wanted.short}: run {made.run}, {made.created[:16].replace('T', ' ')}; {metrics}"
            render.show(text((line, "quiet")))
        for served in item.serving.releases:
            if served.last_failure:
                render.show(text((f"{served.release}: {served.last_failure}", "bad")))


def _status_rows(item: EndpointStatus) -> Iterator[tuple[Cell, ...]]:
    name, url = item.part.part.name, item.serving.url or "-"
    wanted = item.wanted.short if item.wanted else None
    if not item.serving.releases:
        state = ("is wanted, and not there", "bad") if wanted else ("no release yet", "attention")
        yield name, wanted or "-", "-", state, url
        return
    for served in item.serving.releases:
        state = ("healthy", "good") if served.healthy else ("not healthy", "bad")
        if served.release != wanted and served.weight:
            state = (f"{state[0]}, but {wanted or 'none'} is wanted", "bad")
        yield name, served.release, f"{served.weight} %", state, url
    if wanted and wanted not in [served.release for served in item.serving.releases]:
        yield name, wanted, "-", ("is wanted, and not there", "bad"), url


def show_drift(result: Mapping[str, Any]) -> None:
    """Show a drift measurement, what decides first."""
    columns = sorted(result["columns"], key=lambda column: (_RANKS.index(column["verdict"]), -(column["value"] or 0.0)))
    verdict = str(result["verdict"])
    window = result["window"]
    span = f"{_moment(window['start'], 'the beginning')} to {_moment(window['end'], 'now')}"
    render.show(
        text((result["endpoint"], "name"), ": ", (verdict, _VERDICTS[verdict])),
        text(
            f"release {result['release']}, {counted(result['rows'], 'row')} from {span}, "
            f"against {counted(result['baseline_rows'], 'row')} of training",
        ),
        text(),
    )
    heads = ("column", "measure", "value", "floor", "limit", "verdict", "rows")
    rows = [_drift_row(column) for column in columns]
    render.show(render.table(heads, rows, right=("value", "floor", "rows")))
    for column in columns:
        if column["verdict"] and column["note"]:
            render.show(text((f"{column['column']}: ", "name"), column["note"]))


def _moment(iso: str | None, unlimited: str) -> str:
    return iso[:19].replace("T", " ") + " UTC" if iso else unlimited


def _drift_row(column: Mapping[str, Any]) -> tuple[Cell, ...]:
    limit, verdict = column["threshold"], column["verdict"]
    return (
        column["column"],
        column["measure"],
        _number(column["value"]),
        _number(column["floor"]),
        f"{limit['operator']} {limit['value']:g}" if limit else "-",
        (verdict, _VERDICTS[verdict]) if verdict else "-",
        str(column["rows"]),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
