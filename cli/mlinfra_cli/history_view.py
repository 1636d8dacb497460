"""What is shown of an environment's history; how it looks is decided in render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.digests import short
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, text

if TYPE_CHECKING:
    from mlinfra.history.events import Event
    from mlinfra.history.measures import Measure
    from mlinfra.operations.history import History

_STYLES = {"served": "good", "succeeded": "good", "failed": "bad", "rolled back": "bad", "waiting": "attention"}
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}


def show_history(history: History) -> None:
    """Show a line for each event, newest first; the measures; and what could not be read.

    Who looks at what is there, as each `tick` does, and finds it as it was, is counted, and has no line.
    """
    shown = [event for event in history.events if not _only_looked(event)]
    if shown:
        heads = ("when (UTC)", "what", "endpoint", "release", "outcome", "took", "who", "why")
        rows = [_row(event) for event in reversed(shown)]
        render.show(render.table(heads, rows, right=("took",)))
    else:
        render.show(text((history.environment, "name"), ": nothing is known to have happened"))
    if looked := len(history.events) - len(shown):
        render.show(text((f"{counted(looked, 'refresh', 'refreshes')} changed nothing; --json has them", "quiet")))
    rows = [_measure(measure) for measure in history.measures]
    render.show(text(), render.table(("measure", "", "of"), rows, right=("",)))
    for source in history.sources:
        for note in source.notes:
            render.show(text((f"{source.name}: ", "attention"), note))


def _only_looked(event: Event) -> bool:
    return (event.kind.value, event.outcome.value, event.changed) == ("refresh", "succeeded", 0)


def _row(event: Event) -> tuple[Cell, ...]:
    outcome = event.outcome.value
    return (
        f"{event.at:%Y-%m-%d %H:%M}" if event.at else "unknown",
        (event.kind.value, "name"),
        event.endpoint or "-",
        _moved(event),
        (outcome, _STYLES[outcome]) if outcome in _STYLES else "-" if outcome == "done" else outcome,
        _took(event.seconds),
        _who(event),
        "; ".join(filter(None, (event.why, event.note))) or "-",
    )


def _moved(event: Event) -> str:
    if event.changed is not None:
        return f"{counted(event.changed, 'resource')} changed"
    if event.release is None:
        return "-"
    return f"{short(event.previous)} → {short(event.release)}" if event.previous else short(event.release)


def _who(event: Event) -> str:
    by = event.who or "unknown"
    if event.merged_by and event.merged_by != event.who:
        by = f"{by}, merged by {event.merged_by}"
    return f"{by} ({event.pull_request})" if event.pull_request else by


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return render.seconds(seconds) if seconds < _UNITS["hours"] else _number(seconds, "seconds")


def _measure(measure: Measure) -> tuple[Cell, ...]:
    of = counted(measure.of, "deployment")
    left_out = (
        f"{measure.left_out} left out: what is known of {'it' if measure.left_out == 1 else 'them'} is too little"
    )
    if measure.value is None:
        return measure.name, ("unknown", "attention"), measure.reason
    return measure.name, _number(measure.value, measure.unit), f"{of}; {left_out}" if measure.left_out else of


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.0%}"
    if unit != "seconds":
        return f"{value:.3g} {unit}"
    name, size = next((item for item in reversed(_UNITS.items()) if value >= item[1]), ("seconds", 1))
    return f"{value / size:.3g} {name}"
