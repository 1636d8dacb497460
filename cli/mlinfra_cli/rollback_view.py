"""What is shown of a rollback: from what to what, in how many seconds, and what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra_cli import render
from mlinfra_cli.render import Cell, text

if TYPE_CHECKING:
    from mlinfra.operations.rollback import RolledBack


def show_rollback(done: RolledBack) -> None:
    """Show a rollback, or what it would do."""
    rows: list[tuple[Cell, ...]] = []
    for item in done.endpoints:
        warm = ("warm: at once", "good") if item.warm else ("cold: deployed beside first", "attention")
        took = "-" if item.seconds is None else f"{item.seconds:.2f} s"
        rows.append((item.part.part.name, item.pinned.short, (item.to.short, "name"), warm, took))
    render.show(render.table(("endpoint", "from", "to", "how", "took"), rows, right=("took",)))
    if done.pinned is not None:
        where = f": {done.pinned.url or done.pinned.commit}" if done.pinned.url or done.pinned.commit else ""
        render.show(text(("lock ", "quiet"), f"{done.pinned.how}{where}"))
        render.show(
            text(f"{done.environment} is held; mlinfra resume {done.environment} lets promotions and rollouts go on")
        )
    for line in done.not_done:
        render.show(text(("not done ", "bad"), line))
