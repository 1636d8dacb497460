"""At the last step nothing is beside the new release: gates compare it with what the one before did earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlinfra import Compute, Dataset, Endpoint, ModelRegistry, Rollout, TrainingJob, p95_ms, serving
from mlinfra.declarations.check import Answer
from mlinfra.operations.rollout import measured
from mlinfra.rollout.record import Phase, RolloutRecord, stamp
from mlinfra.rollout.samples import ReleaseSamples, Samples

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST_STEP, NOW = BEGUN + timedelta(minutes=10), BEGUN + timedelta(minutes=15)
NEW, OLD = "1" * 12, "2" * 12


def _part() -> Any:
    train = TrainingJob("train", code="train.py", inputs={"rows": Dataset("data.py:rows")})
    rollout = Rollout(steps=[50, 100], gates=[p95_ms() <= 2 * serving()])
    endpoint = Endpoint(
        "flights",
        model=ModelRegistry("flights", trained_by=train),
        runtime="sklearn",
        compute=Compute(),
        rollout=rollout,
    )
    return SimpleNamespace(part=endpoint, deployments=[SimpleNamespace(release=SimpleNamespace(short=NEW))])


def _session(before_ms: float) -> Any:
    def samples(_: object, since: datetime, until: datetime) -> Samples:
        spans = {(LAST_STEP, NOW): {NEW: _answers(30.0)}, (BEGUN, LAST_STEP): {OLD: _answers(before_ms)}}
        return Samples(since, until, spans[since, until])

    return SimpleNamespace(service=SimpleNamespace(samples=samples), repository=SimpleNamespace(root=Path()))


def _answers(latency: float) -> ReleaseSamples:
    return ReleaseSamples(requests=200, latencies_ms=[latency] * 200)


def test_the_last_step_is_compared_with_the_earlier_ones() -> None:
    record = RolloutRecord(release=NEW, previous=OLD, phase=Phase.STEP, step=1, started=stamp(BEGUN))
    for before_ms, answer in ((20.0, Answer.PASS), (10.0, Answer.FAIL)):
        [result] = measured(_session(before_ms), _part(), LAST_STEP, NOW, record)
        assert (result.answer, result.measured, result.against) == (answer, 30.0, before_ms)


def test_a_window_of_less_than_a_second_is_not_asked_about() -> None:
    """CloudWatch takes whole seconds, and refuses a window that ends when it begins."""
    record = RolloutRecord(release=NEW, previous=OLD, phase=Phase.STEP, step=0, started=stamp(BEGUN))
    [result] = measured(_session(20.0), _part(), BEGUN, BEGUN + timedelta(seconds=0.9), record)
    assert result.answer is Answer.NO_DATA
    assert "less than a second ago" in result.message
