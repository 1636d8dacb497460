"""What is shown of an estimate, and of targets side by side; how it looks is decided in render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlinfra.prices.budget import Standing
from mlinfra.prices.estimate import Dollars, Estimate, Item, Unpriced
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, text

if TYPE_CHECKING:
    from mlinfra.operations.cost import Alternative, Comparison, Cost

OTHERS = "resources of your own"
_STANDINGS = {
    Standing.OVER: "danger",
    Standing.MAY_BE_OVER: "attention",
    Standing.UNKNOWN: "attention",
    Standing.WITHIN: "good",
}
_AMOUNTS = ("low", "likely", "high")


def show_cost(cost: Cost) -> None:
    """Show the total, the parts with their items, what is paid once, what was assumed, and what has no price."""
    estimate = cost.estimate
    where = f" on {cost.target}" if cost.target else ""
    render.show(text((cost.title, "name"), f"{where}: ", *_total(estimate)))
    _show_items([item for item in estimate.items if not item.one_off], "a month")
    _show_items([item for item in estimate.items if item.one_off], "once")
    _show_notes(
        "assumed",
        [f"{_name(item)}: {item.assumed}" for item in estimate.items if item.assumed],
    )
    _show_notes("not priced, and in no total", [_gap(gap) for gap in estimate.unpriced])
    _show_notes("stated, and nothing here is billed by it", cost.unused)
    _show_notes("priced as with a first release, which is not there yet", cost.supposed)
    render.show(text(), *_last(cost))


def show_comparison(comparison: Comparison) -> None:
    """Show the likely cost of each part on each target, the totals, and what each target refuses."""
    alternatives = comparison.alternatives
    render.show(text((comparison.title, "name"), ": a month on each installed target, at the likely load"))
    rows: list[Sequence[Cell]] = [
        (part, *(_of_part(alternative, part) for alternative in alternatives)) for part in comparison.parts
    ]
    for name in _AMOUNTS:
        rows.append(((name, "name"), *(_of_all(alternative, name) for alternative in alternatives)))
    rows.append((("idle", "name"), *(_idle(alternative) for alternative in alternatives)))
    targets = [alternative.target for alternative in alternatives]
    render.show(text(), render.table(("part", *targets), rows, right=targets))
    for alternative in alternatives:
        lines = [line for problem in alternative.refusals for line in str(problem).splitlines()]
        _show_notes(f"{alternative.target} refuses", lines)
        supposed = [f"{name}: {value}" for name, value in alternative.supposed.items()]
        _show_notes(f"supposed on {alternative.target}", supposed)
        if alternative.estimate is not None:
            _show_notes(f"not priced on {alternative.target}", [_gap(gap) for gap in alternative.estimate.unpriced])


def _total(estimate: Estimate) -> Iterator[Cell]:
    monthly, once = estimate.monthly, estimate.one_off
    if monthly is None:
        yield "nothing has a price", "attention"
    else:
        yield f"{_usd(monthly.likely)} a month", "name"
        if monthly.low != monthly.high:
            yield f" ({_usd(monthly.low)} to {_usd(monthly.high)})"
        yield f", {_usd(estimate.idle)} of it at zero traffic"
    if once is not None and once.likely:
        yield f"; {_usd(once.likely)} once"


def _show_items(items: Sequence[Item], title: str) -> None:
    shown = [item for item in items if item.quantity.high]
    if not shown:
        return
    rows: list[Sequence[Cell]] = []
    parts = sorted(dict.fromkeys(item.part for item in shown), key=lambda part: part is None)
    for part in parts:
        inside = [item for item in shown if item.part == part]
        if parts != [None]:
            total = sum((item.dollars for item in inside), Dollars())
            rows.append(((part or OTHERS, "name"), "", "", *((_usd(amount), "name") for amount in _three(total))))
        rows += [_row(item, indent="  " if parts != [None] else "") for item in inside]
    columns = (title, "quantity", "price", *_AMOUNTS, "")
    render.show(text(), render.table(columns, rows, right=("quantity", "price", *_AMOUNTS)))


def _row(item: Item, *, indent: str) -> Sequence[Cell]:
    price = f"{item.usd:f}" if item.factor == 1 else f"{item.usd:f} × {item.factor:f}"
    quantity = f"{item.quantity.likely:,.4g}" if item.quantity.likely < 1 else f"{item.quantity.likely:,.0f}"
    return (
        f"{indent}{_name(item)}",
        f"{quantity} {item.price.key.unit}",
        price,
        *(_usd(amount) for amount in _three(item.dollars)),
        ("assumed", "attention") if item.assumed else "",
    )


def _name(item: Item) -> str:
    return f"{item.resource.name}: {item.name}"


def _gap(gap: Unpriced) -> str:
    return f"{gap.resource.name}: {gap.item}: {gap.reason}{'; none is stated' if gap.unused else ''}"


def _show_notes(title: str, lines: Sequence[str]) -> None:
    if lines:
        render.show(text(), text((title, "attention")), *(text(line, indent=2) for line in lines))


def _last(cost: Cost) -> Iterator[Any]:
    if cost.growth is not None:
        grown = cost.growth.likely
        yield text(f"a month {'falls' if grown < 0 else 'grows'} by {_usd(abs(grown))}")
    if cost.standing is not None and cost.budget is not None:
        yield text("budget ", (cost.standing.value, _STANDINGS[cost.standing]), f": {cost.budget:,.2f} a month")
    if cost.estimate.left_out:
        left_out = counted(cost.estimate.left_out, "resource")
        yield text(
            (f"{left_out} that nothing changes in are not in this preview: --show-sames prints them", "attention")
        )
    free = len({resource.urn for resource, _ in cost.estimate.free})
    dated = f"list prices as of {cost.estimate.prices_as_of}" if cost.estimate.prices_as_of else ""
    gratis = f"{counted(free, 'resource')} free of charge" if free else ""
    if dated or gratis:
        yield text(("; ".join(filter(None, [dated, gratis])), "quiet"))


def _of_part(alternative: Alternative, part: str) -> Cell:
    estimate = alternative.estimate
    if estimate is None:
        refused = any(problem.path.startswith(part) for problem in alternative.refusals)
        return ("refused", "bad") if refused else ("-", "quiet")
    total = sum((item.dollars for item in estimate.items if item.part == part and not item.one_off), Dollars())
    missing = any(gap.part == part for gap in estimate.monthly_gaps)
    return (f"{_usd(total.likely)} and more", "attention") if missing else _usd(total.likely)


def _of_all(alternative: Alternative, name: str) -> Cell:
    if alternative.estimate is None:
        return ("refused", "bad")
    monthly = alternative.estimate.monthly
    return ("no price", "attention") if monthly is None else (_usd(getattr(monthly, name)), "name")


def _idle(alternative: Alternative) -> Cell:
    return ("refused", "bad") if alternative.estimate is None else _usd(alternative.estimate.idle)


def _three(dollars: Dollars) -> tuple[Decimal, Decimal, Decimal]:
    return dollars.low, dollars.likely, dollars.high


def _usd(amount: Decimal) -> str:
    return f"${amount:,.2f}"
