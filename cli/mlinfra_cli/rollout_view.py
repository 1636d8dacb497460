"""What is shown of rollouts: how far each endpoint is, what its gates say, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlinfra.rollout.reconcile import Stop, Wait
from mlinfra.rollout.record import GateResult, Phase, RolloutRecord, shown, stamp
from mlinfra_cli import render
from mlinfra_cli.render import Cell, text

if TYPE_CHECKING:
    from mlinfra.operations.rollout import Standing
    from mlinfra.operations.tick import Ticked

_ANSWERS = {"pass": "good", "fail": "bad", "no data": "attention"}


def show_ticked(found: Iterable[Ticked]) -> None:
    """Show each environment's rollouts."""
    for item in found:
        if item.idle:
            render.show(text((item.environment, "name"), (f": {item.idle}", "quiet")))
        else:
            render.show(text((item.environment, "name")))
        show_standings(item.standings)


def show_standings(standings: Sequence[Standing]) -> None:
    """Show how far each endpoint is."""
    for standing in standings:
        name, found = standing.part.part.name, standing.due
        if isinstance(found, Wait):
            render.show(
                text((name, "name"), ": ", ("waiting", "attention"), f": {found.says}{_until(found)}", indent=2)
            )
        elif isinstance(found, Stop):
            render.show(
                text(
                    (name, "name"),
                    ": ",
                    ("stopped", "bad" if found.failed else "attention"),
                    f": {found.says}",
                    indent=2,
                )
            )
            if found.remedy:
                render.show(text(("→ ", "attention"), found.remedy, indent=4))
        else:
            render.show(text((name, "name"), ": ", ("as wanted", "good"), indent=2))


def rollout_lines(record: RolloutRecord, every: str) -> list[list[Cell]]:
    """Return the lines of a rollout in `status`: its step, its gates, and until when."""
    if record.phase is Phase.SERVED:
        return []
    lines: list[list[Cell]] = [[("rollout ", "quiet"), (record.release, "name"), f" {record.phase.value}"]]
    if record.phase in (Phase.STEP, Phase.SHADOW):
        lines[0].append(f" {record.step + 1} since {shown(record.since)}, watched until {shown(record.until)}")
        bound = f"goes back by itself without data at {shown(record.deadline)}; somebody looks every {every}"
        lines.append([(bound, "quiet")])
    if record.paused:
        lines.append([("paused: ", "attention"), record.paused])
    for failure in record.failures:
        lines.append([("failed ", "bad"), f"{failure.release} {failure.reason} ({shown(failure.at)})"])
    lines += [_gate(gate) for gate in record.gates]
    return lines


def _gate(gate: GateResult) -> list[Cell]:
    number = "" if gate.measured is None else f": {gate.measured:.6g}"
    against = "" if gate.against is None else f" beside {gate.against:.6g}"
    message = f" ({gate.message})" if gate.message else ""
    return [
        (gate.answer.value, _ANSWERS[gate.answer.value]),
        f" {gate.gate}{number}{against}, {gate.samples} samples{message}",
    ]


def _until(wait: Wait) -> str:
    return f", until {shown(stamp(wait.until))}" if wait.until else ""
