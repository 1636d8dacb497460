"""Rollouts from the records that are kept of them: the newest of each, and what later ones remember of earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mlinfra.declarations.check import Answer
from mlinfra.history.events import Outcome
from mlinfra.history.rollouts import Kept, records_in, rollouts
from mlinfra.rollout.record import Failure, GateResult, Phase, RolloutRecord, shown, stamp

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def at(minutes: float) -> str:
    return stamp(START + timedelta(minutes=minutes))


def kept(release: str, phase: Phase, started: float, **known: Any) -> Kept:
    record = RolloutRecord(release=release, phase=phase, started=at(started), since=at(started), **known)
    return Kept("api", record, "target")


def test_a_rollout_that_served() -> None:
    gate = GateResult(gate="p95_ms <= 50", answer=Answer.PASS, measured=12.0, samples=400)
    [event] = rollouts([kept("b", Phase.SERVED, 0, previous="a", verified=at(15), gates=[gate])])
    assert (event.outcome, event.release, event.previous) == (Outcome.SERVED, "b", "a")
    assert (event.seconds, event.detected, event.gates) == (900, None, (gate,))


def test_the_newest_record_of_a_rollout_counts() -> None:
    going_on = kept("b", Phase.STEP, 0, previous="a", until=at(5))
    assert [event.why for event in rollouts([going_on])] == [f"step 1, watched until {shown(at(5))}"]
    [event] = rollouts([going_on, kept("b", Phase.SERVED, 0, previous="a", verified=at(15))])
    assert (event.outcome, event.why) == (Outcome.SERVED, "")


def test_a_gate_that_failed() -> None:
    failure = Failure(release="b", at=at(7), reason="failed p95_ms <= 50: 80")
    [event] = rollouts([kept("b", Phase.FAILED, 0, previous="a", failures=[failure])])
    assert (event.outcome, event.seconds, event.why) == (Outcome.FAILED, 420, "failed p95_ms <= 50: 80")
    assert event.detected == event.ended == START + timedelta(minutes=7)


def test_a_failed_one_without_a_remembered_reason_is_told_by_its_gates() -> None:
    bad = GateResult(gate="errors", answer=Answer.FAIL, message="3 % of answers were errors")
    good = GateResult(gate="p95", answer=Answer.PASS, message="fine")
    [event] = rollouts([kept("b", Phase.FAILED, 0, gates=[good, bad])])
    assert (event.outcome, event.why) == (Outcome.FAILED, "3 % of answers were errors")


def test_a_failure_of_which_nothing_else_is_left_has_no_beginning() -> None:
    failure = Failure(release="b", at=at(7), reason="failed errors")
    found = rollouts([kept("c", Phase.SERVED, 60, previous="a", verified=at(70), failures=[failure])])
    assert [(event.release, event.outcome, event.seconds) for event in found] == [
        ("b", Outcome.FAILED, None),
        ("c", Outcome.SERVED, 600),
    ]


def test_a_release_that_served_and_was_rolled_back_is_one_rollout() -> None:
    served = kept("b", Phase.SERVED, 0, previous="a", verified=at(15))
    failure = Failure(release="b", at=at(45), reason="was rolled back by ann: too slow")
    again = kept("a", Phase.SERVED, 46, verified=at(46), failures=[failure])
    [event] = rollouts([served, again])
    assert (event.release, event.outcome, event.seconds) == ("b", Outcome.ROLLED_BACK, 45 * 60)
    assert event.why == "was rolled back by ann: too slow"
    assert event.verified == START + timedelta(minutes=15)


def test_when_it_was_verified_is_known_after_it_was_rolled_back() -> None:
    served = kept("b", Phase.SERVED, 0, previous="a", verified=at(15))
    failure = Failure(release="b", at=at(45), reason="was rolled back by ann: too slow")
    [event] = rollouts([served, kept("b", Phase.ROLLED_BACK, 0, previous="a", failures=[failure])])
    assert (event.outcome, event.verified) == (Outcome.ROLLED_BACK, START + timedelta(minutes=15))


def test_what_only_says_that_the_one_before_serves_again_is_none() -> None:
    first = kept("a", Phase.SERVED, 0, verified=at(0))
    assert [event.release for event in rollouts([first])] == ["a"]
    failure = Failure(release="b", at=at(45), reason="failed errors")
    back = kept("b", Phase.FAILED, 40, previous="a", failures=[failure])
    again = kept("a", Phase.SERVED, 50, verified=at(50), failures=[failure])
    assert [event.release for event in rollouts([first, back, again])] == ["a", "b"]


def test_one_whose_end_nobody_saw() -> None:
    going_on = kept("b", Phase.STEP, 0, previous="a")
    [first, _] = rollouts([going_on, kept("c", Phase.SERVED, 60, previous="b", verified=at(70))])
    assert (first.outcome, first.ended) == (Outcome.SERVED, None)
    [first, _] = rollouts([going_on, kept("c", Phase.SERVED, 60, previous="a", verified=at(70))])
    assert (first.outcome, first.ended) == (Outcome.UNKNOWN, None)
    failure = Failure(release="b", at=at(5), reason="was superseded by c")
    [first, _] = rollouts([going_on, kept("c", Phase.SERVED, 60, previous="a", verified=at(70), failures=[failure])])
    assert (first.outcome, first.seconds, first.detected) == (Outcome.SUPERSEDED, 300, None)


def test_a_retry_is_a_rollout_of_its_own() -> None:
    failure = Failure(release="b", at=at(5), reason="failed errors")
    failed = kept("b", Phase.FAILED, 0, previous="a", failures=[failure])
    found = rollouts([failed, kept("b", Phase.SERVED, 60, previous="a", verified=at(75))])
    assert [event.outcome for event in found] == [Outcome.FAILED, Outcome.SERVED]


def test_a_time_that_is_none_is_unknown() -> None:
    record = RolloutRecord(release="b", phase=Phase.SERVED, started="yesterday", verified="2026-11-01T12:00:00")
    [event] = rollouts([Kept("api", record, "target")])
    assert (event.started, event.seconds) == (None, None)
    assert event.ended == START


def test_records_in_a_state() -> None:
    record = kept("b", Phase.SERVED, 0).record
    traffic = {"type": "acme:Traffic", "inputs": {"endpoint": "api", "rollout": {"steps": [100]}}}
    state = {
        "checkpoint": {"latest": {"resources": [
            {**traffic, "outputs": {"record": record.to_json()}},
            {**traffic, "outputs": {"record": None}},
            {**traffic, "outputs": {"record": {"release": "b", "phase": "of another version"}}},
            {"type": "acme:Other", "outputs": {"record": record.to_json()}},
            {"type": "acme:Traffic"},
        ]}}
    }  # fmt: skip
    [found] = records_in(state, "pulumi")
    assert (found.endpoint, found.record.to_json(), found.source) == ("api", record.to_json(), "pulumi")
    assert list(records_in({"checkpoint": {"latest": None}}, "pulumi")) == []
