"""What became of the releases, as the client and the gates saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlinfra.declarations.check import Answer
from mlinfra.repository import Repository
from mlinfra.rollout.record import GateResult, Phase, RolloutRecord, moment
from mlinfra_cli import render
from mlinfra_cli.render import Cell
from tests.demo.flights import Flights
from tests.demo.load import Load
from tests.demo.place import say, show

STEPS = (10, 50, 100)
CHANCE = 5
"""So many standard deviations above its step would be no chance any more."""


@dataclass(frozen=True)
class Tried:
    """A release that was rolled out since `began`: how that ended, and the shares that it was seen to have."""

    name: str
    release: str
    record: RolloutRecord
    shares: Sequence[int]
    began: float
    load: Load
    found: Sequence[tuple[bool, str]] = field(default=())

    @property
    def failed(self) -> GateResult | None:
        """The gate that failed, or None."""
        return next((gate for gate in self.record.gates if gate.answer is Answer.FAIL), None)

    @property
    def span(self) -> tuple[float, float]:
        """When the first request was sent that it answered, and when the last one was answered, since 1970."""
        told = self.load.of(self.release, self.began)
        return (told[0].sent, max(each.ended for each in told)) if told else (self.began, self.began)

    @property
    def back(self) -> float:
        """The seconds from the decision to take it back until its last answer."""
        return max(self.span[1] - moment(self.record.since).timestamp(), 0.0)

    @property
    def exposure(self) -> tuple[int, int]:
        """How many requests it answered, of how many that were sent in that time."""
        first, last = self.span
        during = [each for each in list(self.load.told) if first <= each.sent <= last]
        return sum(each.release == self.release for each in during), len(during)

    def stopped_by(self, metric: str) -> bool:
        """Whether this gate stopped it at its first step, and it never had more."""
        answered, sent = self.exposure
        share = STEPS[0] / 100
        most = sent * share + CHANCE * (sent * share * (1 - share)) ** 0.5
        gate = self.failed
        return (
            self.record.phase is Phase.FAILED
            and gate is not None
            and gate.gate.startswith(metric)
            and max(self.shares, default=0) <= STEPS[0]
            and answered <= most
        )

    def told(self) -> str:
        """Say in a line how it ended."""
        gate, (first, last) = self.failed, self.span
        if self.record.phase is Phase.SERVED:
            return f"serves everything {last - first:.0f} s after its first answer"
        by = f"{gate.gate}, {_number(gate)}" if gate else "nothing"
        return f"{self.record.phase.value} at {STEPS[self.record.step]} %, stopped by {by}"


def show_table(load: Load, first: str, tried: Sequence[Tried], back: float) -> None:
    """Show requests, answers, exposure, seconds to shift back, and what each gate saw."""
    lost = sum(not each.good for each in load.told)
    say("counted", f"{len(load.told):,} requests sent, {lost} answered by anything but 2xx or not in time")
    rows: list[list[Cell]] = [
        [("first", "name"), first, f"{len(load.of(first)):,}", "", "", "", ("served before", "quiet")]
    ]
    for each in tried:
        answered, sent = each.exposure
        start, last = each.span
        gone = back if each.record.phase is Phase.SERVED else each.back
        for number, gate in enumerate(each.record.gates):
            state = "good" if gate.answer is Answer.PASS else "bad" if gate.answer is Answer.FAIL else "quiet"
            saw = (f"{gate.gate}: {_number(gate)}", state)
            start_of_row: list[Cell] = [""] * 6
            if number == 0:
                share = f"{answered / sent:.1%}" if sent else "0 %"
                start_of_row = [
                    (each.name, "name"),
                    each.release,
                    f"{len(load.of(each.release, each.began)):,}",
                    share,
                    f"{last - start:.0f} s",
                    f"{gone:.1f} s",
                ]
            rows.append([*start_of_row, saw])
    columns = ["model", "release", "answered", "exposure", "for", "back in", "what the gates saw"]
    render.show(render.table(columns, rows, right=columns[2:6], indent=2))
    show("exposure: its share of the requests from its first answer to its last; back: from the decision", indent=2)


def _number(gate: GateResult) -> str:
    if gate.measured is None:
        return gate.answer.value
    against = "" if gate.against is None else f" beside {_short(gate.against)}"
    return f"{_short(gate.measured)}{against}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def equal_to_model(
    repository: Repository, environment: str, endpoint: str, release: str, load: Load, flights: Flights, count: int
) -> int:
    """Return how many of a release's first `count` answers are what the model itself says."""
    import pandas as pd

    from mlinfra_serving.artifacts import load_model

    known = next(item for item in repository.load(environment).releases.values() if item.short == release)
    folder = repository.data / environment / "endpoints" / endpoint / "models" / release
    model = load_model(folder, known.identity.artifact, known.identity.runtime.name)
    names = [column["name"] for column in known.identity.signature["inputs"]]
    told = load.of(release)[:count]
    rows = [{item["name"]: item["data"][0] for item in flights.april[each.flight]["inputs"]} for each in told]
    direct = model.predict(pd.DataFrame(rows)[names])
    return sum(
        each.prediction is not None and abs(each.prediction - value) < 1e-12
        for each, value in zip(told, direct, strict=True)
    )
