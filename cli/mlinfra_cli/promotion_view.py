"""What is shown of a promotion; how it looks is decided in render."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlinfra.promotion.preconditions import Verdict
from mlinfra.promotion.summary import duration, headline, rows, state
from mlinfra_cli import render
from mlinfra_cli.render import Cell, text

if TYPE_CHECKING:
    from mlinfra.operations.promote import Promoted
    from mlinfra.promotion.delivery import Delivered
    from mlinfra.promotion.difference import Promotion
    from mlinfra.promotion.preconditions import Precondition

_SIGNS: dict[Verdict, Cell] = {
    Verdict.MET: ("✓", "good"),
    Verdict.UNMET: ("✗", "bad"),
    Verdict.UNKNOWN: ("?", "attention"),
}


def show_promotion(done: Promoted, *, dry_run: bool) -> None:
    """Show what moves, what differs, what must hold, and what git has of it."""
    promotion = done.promotion
    source, target = promotion.source.environment.name, promotion.target.environment.name
    if not promotion.moves:
        render.show(text((promotion.stack, "name"), f": {target} pins what {source} serves: nothing to promote"))
        return
    render.show(
        text((headline(promotion), "name"), "   ", (state(promotion), "bad" if promotion.open else "good")),
        render.table(("", ""), [(label, line) for label, line in rows(promotion) if label != "open"]),
        text(),
        text(("what must hold", "attention")),
        render.table(("", "", "", ""), [_row(item) for item in promotion.preconditions], indent=2),
        text(),
        *(_delivered(promotion, done.delivered) if done.delivered else ()),
        *(_held_up(promotion, dry_run=dry_run) if promotion.refused or not done.delivered else ()),
    )


def _row(item: Precondition) -> tuple[Cell, ...]:
    left = "" if item.seconds_left is None else f": {duration(item.seconds_left)} left"
    way_out = f" → {item.remedy}" if item.remedy and not item.met else ""
    return _SIGNS[item.verdict], item.name, item.endpoint or "", f"{item.detail}{left}{way_out}"


def _held_up(promotion: Promotion, *, dry_run: bool) -> Iterator[Any]:
    if promotion.refused:
        yield text(("this is refused", "danger"), ": nothing was promoted")
    elif promotion.open:
        yield text(("this waits", "attention"), ": nothing was promoted")
    elif dry_run:
        command = f"mlinfra promote {promotion.stack} --from {promotion.source.environment.name} --to"
        yield text(("this can be promoted", "good"), f": {command} {promotion.target.environment.name}")


def _delivered(promotion: Promotion, delivered: Delivered) -> Iterator[Any]:
    request = delivered.pull_request
    if request is not None:
        how = "opened" if request.created else f"adopted, it is {request.state}"
        yield text((f"pull request {request.number} {how}", "good"), f": {request.url}")
    else:
        how = "is there already" if delivered.adopted else "committed"
        yield text((how, "good"), f": {delivered.commit[:12]} on {delivered.branch}")
    for line in delivered.notes:
        yield text((line, "attention"), indent=2)
    commands = promotion.commands.items()
    yield render.table(("", ""), [(f"to {what}", line) for what, line in commands], indent=2)
