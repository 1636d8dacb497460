"""The measures: hand-computed ones, and what holds of any events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.history.events import Event, Kind, Outcome
from mlinfra.history.measures import Measure, deployments, measures

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=10)
NAMES = (
    "deployment frequency",
    "lead time for changes",
    "change failure rate",
    "failed deployment recovery time",
    "time to detect",
)


def hour(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def rollout(release: str, outcome: Outcome, started: float | None, ended: float | None, **known: Any) -> Event:
    return Event(
        Kind.ROLLOUT, outcome, "target", endpoint="api", release=release,
        started=None if started is None else hour(started), ended=None if ended is None else hour(ended),
        verified=hour(ended) if outcome is Outcome.SERVED and ended is not None else None, **known,
    )  # fmt: skip


def moved(kind: Kind, release: str, previous: str | None, at: float) -> Event:
    return Event(kind, Outcome.DONE, "git", endpoint="api", release=release, previous=previous, ended=hour(at))


def measured(*events: Event, complete: bool = True, **committed: datetime) -> dict[str, Measure]:
    found = measures(events, START, END, complete=complete, committed=committed)
    assert tuple(measure.name for measure in found) == NAMES
    return {measure.name: measure for measure in found}


def values(*events: Event, **more: Any) -> list[float | None]:
    return [measure.value for measure in measured(*events, **more).values()]


def test_by_hand() -> None:
    events = [
        moved(Kind.PROMOTION, "a", None, 1),
        rollout("a", Outcome.SERVED, 2, 3),
        moved(Kind.PROMOTION, "b", "a", 20),
        rollout("b", Outcome.FAILED, 21, 23, detected=hour(22)),
        moved(Kind.PROMOTION, "c", "a", 30),
        rollout("c", Outcome.ROLLED_BACK, 31, 37, detected=hour(36)),
        rollout("d", Outcome.SERVED, 50, 51),
    ]
    assert values(*events, a=hour(-1), d=hour(40)) == [0.4, 7.5 * 3600, 0.5, 4 * 3600, 3 * 3600]


def test_nothing_happened() -> None:
    assert values() == [0.0, None, None, None, None]
    assert values(complete=False) == [None] * 5
    reasons = [measure.reason for measure in measured(complete=False).values()]
    assert reasons == [
        "not every source could be read",
        "there was none",
        "there was none",
        *["there was none"] * 2,
    ]


def test_a_promotion_that_nothing_else_tells_of_is_left_out() -> None:
    found = measured(moved(Kind.PROMOTION, "a", None, 1))
    assert [measure.value for measure in found.values()] == [None] * 5
    assert found["change failure rate"].left_out == 1
    for name in ("deployment frequency", "change failure rate", "time to detect"):
        assert found[name].reason == "nothing remembers how a deployment went"
    found = measured(moved(Kind.PROMOTION, "a", None, 1), rollout("b", Outcome.SERVED, 5, 6))
    assert (found["change failure rate"].value, found["change failure rate"].left_out) == (0.0, 1)


def test_a_promotion_and_its_rollout_are_one_deployment() -> None:
    events = [moved(Kind.PROMOTION, "sha256:abc", None, 1), rollout("abc", Outcome.SERVED, 2, 3)]
    assert [item.outcome for item in deployments(events)] == [Outcome.SERVED]
    waiting = [moved(Kind.PROMOTION, "abc", None, 1), rollout("abc", Outcome.WAITING, 2, None)]
    assert deployments(waiting) == []


def test_a_rollback_is_no_deployment_and_makes_one_a_failure() -> None:
    events = [
        moved(Kind.PROMOTION, "b", "a", 1),
        rollout("b", Outcome.SERVED, 2, 3),
        moved(Kind.ROLLBACK, "a", "b", 9),
    ]
    [found] = deployments(events)
    assert (found.outcome, found.ended) == (Outcome.ROLLED_BACK, None)
    assert values(*events)[2:] == [1.0, None, None]
    assert [item.outcome for item in deployments([events[0], events[2]])] == [Outcome.ROLLED_BACK]


def test_what_is_taken_back_is_the_last_rollout_before_it() -> None:
    back = moved(Kind.ROLLBACK, "a", "b", 9)
    found = deployments([rollout("b", Outcome.SERVED, 2, 3), rollout("b", Outcome.FAILED, 5, 6), back])
    assert [item.outcome for item in found] == [Outcome.SERVED, Outcome.FAILED]


def test_another_endpoint_is_another_matter() -> None:
    back = replace(moved(Kind.ROLLBACK, "a", "b", 9), endpoint="web")
    [found] = deployments([rollout("b", Outcome.SERVED, 2, 3), back])
    assert found.outcome is Outcome.SERVED


def test_one_that_was_superseded_counts_in_nothing() -> None:
    assert deployments([rollout("b", Outcome.SUPERSEDED, 2, 3)]) == []


def test_what_is_outside_of_the_time_does_not_count() -> None:
    assert values(rollout("a", Outcome.FAILED, -2, -1, detected=hour(-1)))[2] is None


def test_less_than_a_day_says_nothing_of_a_frequency() -> None:
    events = [rollout("a", Outcome.SERVED, 1, 2)]
    found = measures(events, None, hour(20), complete=True, committed={})
    assert (found[0].value, found[0].reason) == (None, "less than a day is looked at")
    assert measures(events, None, hour(25), complete=True, committed={})[0].value == 1.0


@pytest.mark.parametrize("committed", [{}, {"a": hour(5)}])
def test_a_lead_time_without_a_commit_or_with_a_clock_that_is_wrong_is_unknown(committed: dict[str, datetime]) -> None:
    events = [rollout("a", Outcome.SERVED, 1, 2)]
    found = measures(events, START, END, complete=True, committed=committed)[1]
    assert (found.value, found.of, found.left_out) == (None, 0, 1)


TIMES = st.integers(0, 239)
OUTCOMES = st.sampled_from([Outcome.SERVED, Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.WAITING, Outcome.UNKNOWN])


@st.composite
def rollout_events(draw: st.DrawFn) -> Event:
    outcome = draw(OUTCOMES)
    start = draw(st.none() | TIMES)
    length, part = draw(st.integers(0, 100)), draw(st.floats(0, 1))
    begun = 0 if start is None else start
    event = rollout(draw(st.sampled_from("abcd")), outcome, start, begun + length)
    bad = outcome in (Outcome.FAILED, Outcome.ROLLED_BACK)
    return replace(event, detected=hour(begun + length * part) if bad else None)


@st.composite
def lock_events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from([Kind.PROMOTION, Kind.ROLLBACK]))
    return moved(kind, draw(st.sampled_from("abcd")), draw(st.sampled_from("abcd")), draw(TIMES))


EVENTS = st.lists(rollout_events() | lock_events(), max_size=12)
ROLLOUTS = st.lists(rollout_events(), max_size=12)


@given(EVENTS, st.booleans())
def test_what_is_told_fits_together(events: list[Event], complete: bool) -> None:
    found = measured(*events, complete=complete, a=hour(-5), b=hour(-1))
    for measure in found.values():
        assert (measure.value is None) == bool(measure.reason)
        assert measure.value is None or measure.value >= 0
        assert measure.of or measure.value in (None, 0.0)
        assert min(measure.of, measure.left_out) >= 0
        assert measure.of + measure.left_out <= len(events)
    rate = found["change failure rate"]
    assert rate.value is None or 0 <= rate.value <= 1
    if not rate.of:
        assert rate.value is None


@given(EVENTS, st.randoms())
def test_the_order_in_which_events_are_read_does_not_count(events: list[Event], random: Any) -> None:
    times = [event.at for event in events]
    shuffled = list(events)
    random.shuffle(shuffled)
    if len(set(times)) == len(times):
        assert measured(*events) == measured(*shuffled)


@given(ROLLOUTS)
def test_found_bad_before_it_was_mended(events: list[Event]) -> None:
    for item in deployments(events):
        if item.detected is not None:
            assert item.ended is not None
            assert item.detected <= item.ended
    found = measured(*events)
    detect, recover = found["time to detect"], found["failed deployment recovery time"]
    if detect.value is not None and recover.value is not None and detect.of == recover.of:
        assert detect.value <= recover.value


@given(ROLLOUTS)
def test_one_more_of_unknown_end_changes_nothing_but_what_is_left_out(events: list[Event]) -> None:
    before = measured(*events)
    after = measured(*events, rollout("e", Outcome.UNKNOWN, 3, None))
    rate = "change failure rate"
    assert after[rate].value == before[rate].value
    assert after[rate].left_out == before[rate].left_out + 1


@given(ROLLOUTS, st.integers(-1000, 1000))
def test_what_is_measured_does_not_depend_on_the_day(events: list[Event], days: int) -> None:
    shift = timedelta(days=days)

    def later(time: datetime | None) -> datetime | None:
        return time + shift if time else None

    moved_on = [
        replace(
            event,
            started=later(event.started),
            ended=later(event.ended),
            detected=later(event.detected),
            verified=later(event.verified),
        )
        for event in events
    ]
    found = measures(moved_on, START + shift, END + shift, complete=True, committed={})
    assert found == list(measured(*events).values())


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 100)), min_size=1, max_size=9))
def test_medians_lie_among_what_they_are_of(spans: list[tuple[int, int]]) -> None:
    events = [
        rollout(f"r{number}", Outcome.FAILED, start, start + length, detected=hour(start))
        for number, (start, length) in enumerate(spans)
    ]
    found = measured(*events)
    lengths = [length * 3600 for _, length in spans]
    recovery = found["failed deployment recovery time"].value
    assert recovery is not None
    assert min(lengths) <= recovery <= max(lengths)
    assert found["time to detect"].value == 0
    assert found["deployment frequency"].value == len(spans) / 10
