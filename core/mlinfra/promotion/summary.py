"""The few lines that say what a promotion is: the same on a terminal and in a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from mlinfra.operations.release_difference import Difference
from mlinfra.promotion.difference import Move, Promotion
from mlinfra.promotion.preconditions import Precondition, Verdict, counted
from mlinfra.releases import Release

_METRICS = 3


def headline(promotion: Promotion) -> str:
    """Return what moves where: `flight-delay → prod   91d04e77a1b2 → 3f9c2ab1c3d4`."""
    moved = ", ".join(_moved(move, named=len(promotion.moves) > 1) for move in promotion.moves)
    return f"{promotion.stack} → {promotion.target.environment.name}   {moved or 'nothing'}"


def state(promotion: Promotion) -> str:
    """Return how many preconditions are open, or that all are met."""
    count = len(promotion.open)
    return "✓ all met" if not count else f"✗ {count} open"


def rows(promotion: Promotion) -> list[tuple[str, str]]:
    """Return the lines below the headline: what they are about, and what they say."""
    made = [("model", _model(move, named=len(promotion.moves) > 1)) for move in promotion.moves]
    made += [("plan", _plan(promotion)), ("cost", _cost(promotion)), ("policy", _policy(promotion))]
    made += [("open", told(item)) for item in promotion.open]
    return made


def told(item: Precondition) -> str:
    """Return one precondition in a line, with the time left where there is one."""
    name = f"{item.endpoint}: {item.name}" if item.endpoint else item.name
    left = f": {duration(item.seconds_left)} left" if item.seconds_left is not None else ""
    unknown = " (unknown)" if item.verdict is Verdict.UNKNOWN else ""
    return f"{name}{unknown}: {item.detail}{left}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 2 d 3 h, 6 h 12 min, 40 s; never less than 1 s."""
    whole = max(1, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    largest = next(index for index, (_, length) in enumerate(units) if whole >= length)
    pieces = []
    for unit, length in units[largest : largest + 2]:
        count, whole = divmod(whole, length)
        if count:
            pieces.append(f"{count} {unit}")
    return " ".join(pieces)


def _moved(move: Move, *, named: bool) -> str:
    before = f"{move.previous.short} → " if move.previous else "first release "
    return f"{f'{move.endpoint} ' if named else ''}{before}{move.release.short}"


def _model(move: Move, *, named: bool) -> str:
    difference = move.difference
    if difference is None:
        pieces = [f"{name} {value:.4g}" for name, value in sorted(move.release.provenance.metrics.items())]
        pieces.append(counted(len(_inputs(move.release)), "input"))
    else:
        pieces = list(_changed(difference))
    return (f"{move.endpoint}: " if named else "") + (" · ".join(pieces) or "no metric and no input differs")


def _inputs(release: Release) -> Sequence[object]:
    inputs: Sequence[object] = release.identity.signature.get("inputs", ())
    return inputs


def _changed(difference: Difference) -> Iterator[str]:
    for metric in difference.metrics[:_METRICS]:
        before, after = (
            "-" if value is None else f"{value:.4g}" for value in (metric.before, metric.after)
        )  # fmt: skip
        yield f"{metric.name} {before} → {after}"
    if len(difference.metrics) > _METRICS:
        yield counted(len(difference.metrics) - _METRICS, "more metric")
    for word, columns in (("new", difference.inputs.added), ("removed", difference.inputs.removed)):
        if columns:
            yield counted(len(columns), f"{word} input")
    if difference.inputs.retyped:
        yield f"{counted(len(difference.inputs.retyped), 'input')} of another type"
    if difference.spec:
        yield f"{counted(len(difference.spec), 'change')} of the specification"


def _plan(promotion: Promotion) -> str:
    if isinstance(promotion.plan, str):
        return f"not known: {promotion.plan}"
    counts = promotion.counts
    changed = counts["update"] + counts["replace"] + counts["may replace"]
    lost = len(promotion.plan.forbidden)
    return f"{counts['create']} to add, {changed} to change, {counts['delete']} to remove, {lost} destroy data"


def _cost(promotion: Promotion) -> str:
    plan = promotion.plan
    if isinstance(plan, str) or plan.review is None:
        return "not known"
    review = plan.review
    now, then = (
        "no price" if each.monthly is None else _dollars(each.monthly.likely) for each in (review.now, review.then)
    )
    more = f", {counted(len(review.then.unpriced), 'item')} without a price" if review.then.unpriced else ""
    return f"{now} → {then} a month (idle {_dollars(review.then.idle)}){more}"


def _dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def _policy(promotion: Promotion) -> str:
    plan = promotion.plan
    if isinstance(plan, str) or plan.review is None:
        return "not known"
    checked = plan.review.checked
    counts = checked.counts
    named = ", ".join(sorted({finding.rule.id for finding in checked.findings}))
    line = f"{counted(counts['mandatory'] + counts['advisory'], 'violation')}, {counts['unknown']} unknown"
    return f"{line} ({named})" if named else line
