"""What is shown of releases, of what tells two apart, and of a verification; how it looks is decided in render."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.digests import PREFIX, short
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, dollars, text

if TYPE_CHECKING:
    from mlinfra.diff import PropertyChange
    from mlinfra.operations.release_difference import Columns, Costs, Difference
    from mlinfra.operations.releases import Copy, Known, Listing, Place
    from mlinfra.operations.verify import Verification
    from mlinfra.prices.estimate import Estimate

_CONDITIONS = {"whole": "good", "there": "good", "changed": "bad", "missing": "bad"}
_METRICS = 3


def show_releases(listing: Listing) -> None:
    """Show a line for each release, newest first, and what could not be read."""
    rows = [
        (
            (known.release.short, "name"),
            known.release.endpoint,
            known.release.provenance.run,
            _time(known.release.provenance.created),
            _metrics(known.release.provenance.metrics),
            _places(known.places),
            _copies(known.artifact),
        )
        for known in listing.releases
    ]
    if rows:
        heads = ("release", "endpoint", "run", "made", "metrics", "wanted in", "artifact")
        render.show(render.table(heads, rows))
    else:
        render.show(text("there is no release yet: mlinfra train makes one of each accepted run"))
    for problem in listing.unread:
        first, *rest = str(problem).splitlines()
        render.show(text(("cannot be read: ", "bad"), first), *(text(line) for line in rest))


def show_release(known: Known) -> None:
    """Show one release: what it is, how it came to be, and where it is."""
    release = known.release
    identity, made = release.identity, release.provenance
    render.show(text((release.digest, "name"), f", a release of {release.endpoint} in {release.stack}"))
    rows: list[Sequence[Cell]] = [
        ("artifact", identity.artifact, _copies(known.artifact)),
        ("baseline", identity.baseline, _copies(known.baseline)),
        ("runtime", f"{identity.runtime.name} {identity.runtime.version}", ""),
    ]
    rows += [(f"spec.{path}", value, "") for path, value in _flat(identity.spec)]
    rows += [
        (f"{side}.{column['name']}", _column(column), "") for side, columns in identity.signature.items()
        for column in columns
    ]  # fmt: skip
    _section("what it is: these make its digest", rows)
    rows = [
        ("run", made.run),
        ("made", f"{_time(made.created)} UTC"),
        ("author", made.author),
        ("commit", made.commit or "-"),
        ("code", made.code or "-"),
    ]
    rows += [(f"data.{name}", digest) for name, digest in sorted(made.data.items())]
    rows += [(f"metrics.{name}", f"{value:.6g}") for name, value in sorted(made.metrics.items())]
    _section("how it came to be", rows)
    _section("where it is", [("wanted in", _places(known.places)), ("file", known.file or "in a store only")])


def show_difference(difference: Difference) -> None:
    """Show what tells two releases apart; of what is the same, nothing but metrics."""
    before, after = difference.before, difference.after
    render.show(text("from ", (before.short, "name"), f" ({before.endpoint}) to ", (after.short, "name"),
                     f" ({after.endpoint})", ": the same release" if difference.same else ""))  # fmt: skip
    if difference.metrics:
        rows: list[Sequence[Cell]] = [
            (item.name, _number(item.before), _number(item.after), _grown(item.before, item.after))
            for item in difference.metrics
        ]
        render.show(
            text(), render.table(("metric", "before", "after", "change"), rows, right=("before", "after", "change"))
        )
    _show_changes("specification, before overrides", difference.spec)
    _show_columns("inputs", difference.inputs)
    _show_columns("outputs", difference.outputs)
    _show_changes("runtime and digests", difference.identity)
    _show_changes("how it came to be", difference.provenance)
    if difference.costs:
        rows = [_cost_row(costs) for costs in difference.costs]
        heads = ("a month in", "on", "before", "after", "")
        render.show(text(), render.table(heads, rows, right=("before", "after")))


def show_verification(found: Verification) -> None:
    """Show one line for each difference, or that there is none."""
    environment = found.session.environment
    if not found.differences:
        what = f"{counted(len(found.endpoints), 'endpoint')}, {counted(found.resources, 'resource')}"
        render.show(
            text((environment.name, "name"), f": {found.wants}, state and truth ", ("agree", "good"), f": {what}")
        )
        return
    render.show(text((environment.name, "name"), ": ", (counted(len(found.differences), "difference"), "bad")))
    for item in found.differences:
        render.show(text((item.subject, "name"), f": {item} ", ("→ ", "attention"), item.remedy))


def _section(title: str, rows: Sequence[Sequence[Cell]]) -> None:
    render.show(text(), text((title, "attention")), render.table([""] * len(rows[0]), rows, indent=2))


def _show_changes(title: str, changes: Sequence[PropertyChange]) -> None:
    if changes:
        rows = [(item.path, _value(item.before), "→", _value(item.after)) for item in changes]
        _section(title, rows)


def _show_columns(title: str, columns: Columns) -> None:
    if columns.same:
        return
    rows: list[Sequence[Cell]] = [(("+", "new"), column["name"], _column(column)) for column in columns.added]
    rows += [(("-", "gone"), column["name"], _column(column)) for column in columns.removed]
    rows += [
        (("~", "changed"), old["name"], f"{_column(old)} → {_column(new)}") for old, new in columns.retyped
    ]  # fmt: skip
    if columns.reordered:
        rows.append((("~", "changed"), "order", "the same columns are in another order"))
    _section(title, rows)


def _cost_row(costs: Costs) -> Sequence[Cell]:
    return (costs.environment, costs.target or "-", _month(costs.before), _month(costs.after), costs.reason)


def _month(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return "-"
    if estimate.monthly is None:
        return ("no price", "attention")
    amount = dollars(estimate.monthly.likely)
    return (f"{amount} and more", "attention") if estimate.monthly_gaps else amount


def _places(places: Sequence[Place]) -> str:
    return ", ".join(f"{place.environment} ({place.line})" for place in places) or "-"


def _copies(copies: Sequence[Copy]) -> Cell:
    """Return one word where all stores agree, else what is in the store of which environments."""
    conditions = {copy.condition.value for copy in copies}
    if not conditions:
        return ("no store", "attention")
    if len(conditions) == 1:
        [only] = conditions
        return only, _CONDITIONS[only]
    return ", ".join(f"{copy.condition.value} ({', '.join(copy.environments)})" for copy in copies), "attention"


def _metrics(metrics: Mapping[str, float]) -> str:
    shown = [f"{name} {value:.4g}" for name, value in sorted(metrics.items())]
    more = f" and {len(shown) - _METRICS} more" if len(shown) > _METRICS else ""
    return (", ".join(shown[:_METRICS]) + more) or "-"


def _column(column: Mapping[str, Any]) -> str:
    """Return a column's type, and whatever else is said of it."""
    rest = {name: value for name, value in column.items() if name not in ("name", "type", "required")}
    optional = ["may be null"] if column.get("required") is False else []
    return ", ".join([str(column.get("type", "?")), *optional, *(f"{name} {value}" for name, value in rest.items())])


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, item in sorted(value.items()):
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _value(item)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return short(value) if value.startswith(PREFIX) else value
    return json.dumps(value, ensure_ascii=False)


def _time(created: str) -> str:
    return created[:16].replace("T", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _grown(before: float | None, after: float | None) -> str:
    return "-" if before is None or after is None else f"{after - before:+.4g}"
