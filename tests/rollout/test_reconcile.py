"""A whole rollout at a target made of numbers: what is due next, whoever asks, however often, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.adapters import ServedRelease, Serving
from mlinfra.declarations.check import Answer, Check
from mlinfra.declarations.endpoint import Rollout
from mlinfra.releases import Hold
from mlinfra.rollout.reconcile import ALL, Done, Due, Shift, Situation, Stop, Wait, due
from mlinfra.rollout.record import GateResult, Phase, RolloutRecord

OLD, NEW, NEWER = "old0", "new1", "newer2"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
STEPS = Rollout(steps=[10, 50, 100], bake="5m", patience="10m", gates=[Check("error_rate", "<=", 0.01)])
BAKE, PATIENCE = timedelta(minutes=5), timedelta(minutes=10)


@dataclass
class Target:
    """What serves, with a clock and gates that say what they are told."""

    declared: Rollout = STEPS
    weights: dict[str, int] = field(default_factory=lambda: {OLD: ALL})
    deployed: Sequence[str] = (OLD, NEW)
    sick: frozenset[str] = frozenset()
    rollout: RolloutRecord | None = None
    generation: int = 1
    now: datetime = START
    answer: Answer = Answer.PASS
    mirror: Mapping[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def situation(self, wanted: str = NEW, **more: object) -> Situation:
        releases = [
            ServedRelease(name, self.weights.get(name, 0), healthy=name not in self.sick) for name in self.deployed
        ]
        serving = Serving("api", "http://127.0.0.1", releases, self.generation, self.rollout)
        made = Situation(wanted, serving, self.declared, self.now, lambda since: self._gates())
        return replace(made, **more)  # type: ignore[arg-type]

    def _gates(self) -> list[GateResult]:
        return [GateResult(gate=str(gate), answer=self.answer, samples=100) for gate in self.declared.gates]

    def tick(self, wanted: str = NEW, **more: object) -> Due:
        """Do all that is due now; what is left is what `tick` would show."""
        for _ in range(10):
            found = due(self.situation(wanted, **more))
            if isinstance(found, Shift):
                self.take(found)
                continue
            if isinstance(found, Wait) and found.record is not None:
                self.rollout = found.record
            return found
        raise AssertionError(f"it shifts for ever: {self.said[-4:]}")

    def take(self, shift: Shift) -> None:
        self.weights = {name: share for name, share in shift.weights.items() if share}
        self.rollout, self.mirror = shift.record, shift.mirror
        self.generation += 1
        self.said.append(shift.says)

    def later(self, time: timedelta = BAKE) -> None:
        self.now += time


def test_a_first_release_gets_everything() -> None:
    target = Target(weights={}, deployed=(NEW,))
    assert isinstance(target.tick(), Done)
    assert target.weights == {NEW: ALL}


def test_a_release_climbs_by_its_steps_and_is_verified() -> None:
    target = Target()
    seen = []
    for _ in range(3):
        assert isinstance(target.tick(), Wait)
        seen.append(target.weights.get(NEW, 0))
        target.later()
    assert isinstance(target.tick(), Done)
    assert seen == [10, 50, 100]
    assert target.rollout is not None
    assert (target.rollout.phase, target.rollout.previous) == (Phase.SERVED, OLD)
    assert target.rollout.verified == "2026-11-22T12:15:00.000+00:00"
    assert target.rollout.warm_until == "2026-11-23T12:15:00.000+00:00"
    assert due(target.situation()) == Done()


def test_with_nothing_to_ask_and_everything_to_get_nothing_is_waited_for() -> None:
    target = Target(declared=Rollout())
    assert isinstance(target.tick(), Done)
    assert target.weights == {NEW: ALL}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_failed_gate_takes_it_back_at_once_and_is_remembered(step: int) -> None:
    target = Target()
    for _ in range(step + 1):
        target.tick()
        target.later()
    target.now -= BAKE  # in the middle of the step
    target.answer = Answer.FAIL
    found = target.tick()
    assert isinstance(found, Stop)
    assert found.failed
    assert target.weights == {OLD: ALL}
    assert target.rollout is not None
    assert target.rollout.phase is Phase.FAILED
    assert [gate.answer for gate in target.rollout.gates] == [Answer.FAIL], "the evidence is kept"
    target.answer = Answer.PASS
    target.later(timedelta(days=1))
    assert isinstance(target.tick(), Stop), "not tried again by itself"
    assert isinstance(target.tick(retry=True), Wait)
    assert target.weights == {NEW: 10, OLD: 90}


def test_no_data_pauses_and_goes_back_at_the_deadline() -> None:
    target = Target(answer=Answer.NO_DATA)
    target.tick()
    target.later()
    found = target.tick()
    assert isinstance(found, Wait)
    assert "no data" in found.says
    assert found.until == START + BAKE + PATIENCE
    assert target.weights == {NEW: 10, OLD: 90}
    target.later(PATIENCE)
    assert isinstance(target.tick(), Stop)
    assert target.weights == {OLD: ALL}


def test_a_shadow_gets_copies_and_no_answers() -> None:
    target = Target(declared=replace(STEPS, shadow="1m"), answer=Answer.NO_DATA)
    assert isinstance(target.tick(), Wait)
    assert (target.weights, target.mirror) == ({OLD: ALL}, {NEW: ALL})
    target.later(timedelta(minutes=1))
    target.tick()
    assert (target.weights, target.mirror) == ({NEW: 10, OLD: 90}, {})


def test_a_release_that_does_not_answer_for_long_goes_back() -> None:
    target = Target()
    target.tick()
    target.sick = frozenset({NEW})
    assert isinstance(target.tick(), Wait)
    assert isinstance(target.tick(), Wait), "a server that was killed is there again soon"
    target.later(timedelta(seconds=61))
    assert isinstance(target.tick(), Stop)
    assert target.weights == {OLD: ALL}


def test_a_release_that_failed_and_got_requests_by_hand_is_put_right() -> None:
    target = Target(answer=Answer.FAIL)
    target.tick()
    target.weights = {NEW: 1, OLD: 99}
    target.tick()
    assert target.weights == {OLD: ALL}


def test_one_that_is_not_healthy_gets_nothing() -> None:
    target = Target(sick=frozenset({NEW}))
    assert isinstance(target.tick(), Stop)
    assert target.weights == {OLD: ALL}


def test_a_newer_release_replaces_a_rollout_only_when_asked() -> None:
    target = Target(deployed=(OLD, NEW, NEWER))
    target.tick()
    found = target.tick(NEWER)
    assert isinstance(found, Stop)
    assert found.remedy
    assert target.weights == {NEW: 10, OLD: 90}
    assert isinstance(target.tick(NEWER, supersede=True), Wait)
    assert target.weights == {NEWER: 10, OLD: 90}


def test_a_hold_stops_everything_but_what_serves_goes_on() -> None:
    hold = Hold(reason="a sale", owner="me@example.com", since="2026-11-22T10:00:00+00:00")
    target = Target()
    found = target.tick(hold=hold)
    assert isinstance(found, Stop)
    assert not found.failed
    assert target.weights == {OLD: ALL}
    target.tick()
    assert isinstance(target.tick(hold=hold), Stop)
    assert target.weights == {NEW: 10, OLD: 90}


def test_more_than_the_step_is_put_right_and_less_is_somebodys_wish() -> None:
    target = Target()
    target.tick()
    target.weights = {NEW: 60, OLD: 40}
    target.tick()
    assert target.weights == {NEW: 10, OLD: 90}
    target.weights = {OLD: ALL}
    found = target.tick()
    assert isinstance(found, Wait)
    assert target.weights == {OLD: ALL}
    assert "by hand" in found.says


def test_everything_back_by_hand_is_never_undone_and_a_part_is_put_right() -> None:
    target = Target(declared=Rollout())
    target.tick()
    target.weights = {OLD: ALL}
    found = target.tick()
    assert isinstance(found, Stop)
    assert "by hand" in found.says
    assert target.weights == {OLD: ALL}
    assert isinstance(target.tick(retry=True), Done)
    target.weights = {OLD: 30, NEW: 70}
    assert isinstance(target.tick(), Done)
    assert target.weights == {NEW: ALL}


def test_a_clock_that_goes_back_starts_the_step_anew() -> None:
    target = Target()
    target.tick()
    target.now -= timedelta(hours=1)
    found = target.tick()
    assert isinstance(found, Wait)
    assert found.until == target.now + BAKE


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("later"), st.integers(0, 40)),
        st.tuples(st.just("answer"), st.sampled_from(list(Answer))),
        st.tuples(st.just("sick"), st.sampled_from([frozenset(), frozenset({NEW}), frozenset({OLD})])),
        st.tuples(st.just("hand"), st.integers(0, 100)),
        st.tuples(st.just("tick"), st.just(0)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(EVENTS, st.sampled_from([STEPS, replace(STEPS, shadow="1m"), replace(STEPS, steps=(1, 100)), Rollout()]))
def test_never_more_than_the_step_and_an_end_of_all(events: list[tuple[str, object]], declared: Rollout) -> None:
    target = Target(declared=declared)
    for kind, value in events:
        if kind == "later":
            target.later(timedelta(minutes=value))  # type: ignore[arg-type]
        elif kind == "answer":
            target.answer = value  # type: ignore[assignment]
        elif kind == "sick":
            target.sick = value  # type: ignore[assignment]
        elif kind == "hand":
            target.weights = {NEW: value, OLD: ALL - value} if value not in (0, ALL) else {OLD: ALL}  # type: ignore[dict-item, operator]
        else:
            found = target.tick()
            again = due(target.situation())
            assert type(again) is type(found), "asked once more, nothing else is due"
        record = target.rollout
        if kind == "tick" and record is not None and record.is_under_way and not record.paused:
            most = 0 if record.phase is Phase.SHADOW else declared.steps[record.step]
            assert target.weights.get(NEW, 0) <= most
        assert sum(target.weights.values()) == ALL
    target.answer, target.sick = Answer.PASS, frozenset()
    for _ in range(10):
        target.tick()
        target.later(BAKE + PATIENCE + PATIENCE + PATIENCE)
    assert isinstance(due(target.situation()), Done | Stop), "it ends, served or back"
    assert target.weights in ({NEW: ALL}, {OLD: ALL})
