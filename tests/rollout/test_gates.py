"""What gates say of samples: of few and of many, of equal and of worse, and that silence is never yes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra import (
    Check,
    accuracy,
    approval,
    auc,
    brier,
    command,
    drift,
    error_rate,
    p50_ms,
    p95_ms,
    p99_ms,
    prometheus,
    rmse,
    saturation,
    serving,
)
from mlinfra.declarations.check import Answer
from mlinfra.rollout.asking import Asked, Asking
from mlinfra.rollout.gates import evaluate
from mlinfra.rollout.record import GateResult
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples

NEW, OLD = "3f9c2ab1d07e", "91d04e77aa10"
THEN = datetime(2026, 11, 2, tzinfo=UTC)
PASS, FAIL, NO_DATA = Answer.PASS, Answer.FAIL, Answer.NO_DATA
NO_SAMPLES = ReleaseSamples()


class Answers(Asking):
    """Answers everything by one number."""

    def __init__(self, value: float | None = None) -> None:
        super().__init__(Path(), variables={} if value is None else {"value": str(value)})

    def prometheus(self, query: str, address: str | None) -> Asked:
        return Asked(float(self.variables["value"]) if self.variables else None, "said")

    def command(self, line: str) -> Asked:
        return self.prometheus(line, None)

    def approval(self, who: str) -> Asked:
        return self.prometheus(who, None)


def samples(new: ReleaseSamples, old: ReleaseSamples = NO_SAMPLES) -> Samples:
    return Samples(THEN, THEN, {NEW: new, OLD: old})


def ask(
    gate: Check, new: ReleaseSamples, old: ReleaseSamples = NO_SAMPLES, *, least: int = 100, **more: Any
) -> GateResult:
    [result] = evaluate([gate], samples(new, old), NEW, OLD, min_samples=least, ask=Answers(), **more)
    return result


def timed(latencies: Sequence[float], errors: int = 0) -> ReleaseSamples:
    return ReleaseSamples(requests=len(latencies) + errors, errors=errors, latencies_ms=latencies)


def counted(errors: int, requests: int) -> ReleaseSamples:
    return ReleaseSamples(requests=requests, errors=errors)


def labelled(predictions: Sequence[float], labels: Sequence[float]) -> ReleaseSamples:
    return ReleaseSamples(requests=len(labels), predictions=predictions, labels=labels, labelled_of=len(labels))


def classified(count: int, noise: float, seed: int) -> ReleaseSamples:
    """Return labels and probabilities that know them the better the less noise there is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype(float)
    scores = 1 / (1 + np.exp(-(2 * labels - 1 + noise * random.normal(size=count))))
    return labelled(scores, labels)  # type: ignore[arg-type]


def drawn(count: int, median_ms: float, seed: int) -> np.ndarray[Any, Any]:
    return median_ms * np.random.default_rng(seed).lognormal(0, 0.4, count)


# absolute


@pytest.mark.parametrize(("limit", "answer"), [(49.9, FAIL), (50, PASS), (50.1, PASS)])
def test_a_latency_is_compared_and_equal_is_good(limit: float, answer: Answer) -> None:
    result = ask(p50_ms() <= limit, timed([50.0] * 100))
    assert (result.answer, result.measured, result.samples, result.against) == (answer, 50, 100, None)


def test_percentiles_are_values_that_were_measured() -> None:
    latencies = [float(value) for value in range(1, 101)]
    found = [ask(metric() <= 1000, timed(latencies)).measured for metric in (p50_ms, p95_ms, p99_ms)]
    assert found == [50, 95, 99]


def test_percentiles_of_a_target_that_keeps_no_latencies() -> None:
    told = ReleaseSamples(requests=500, percentiles_ms={"p95_ms": 40.0})
    assert ask(p95_ms() <= 50, told).answer is PASS
    assert ask(p95_ms() <= 30, told).answer is FAIL
    assert ask(p99_ms() <= 50, told).answer is NO_DATA
    assert ask(p95_ms() <= 50, replace(told, requests=99)).answer is NO_DATA


def test_too_few_samples_are_no_data_and_are_counted() -> None:
    result = ask(p95_ms() <= 50, timed([1.0] * 99))
    assert (result.answer, result.message) == (NO_DATA, "99 of 100 answers")
    assert ask(error_rate() <= 0.5, counted(0, 99)).message == "99 of 100 requests"
    few = ReleaseSamples(requests=900, predictions=[1.0] * 7, labels=[1.0] * 7, labelled_of=850)
    result = ask(accuracy() >= 0.5, few)
    assert result.answer is NO_DATA
    assert result.message == "7 of 100 labelled requests (a label could arrive for 850)"


def test_latencies_of_answers_count_not_requests() -> None:
    silent = ReleaseSamples(requests=1000, errors=1000, latencies_ms=[])
    assert ask(p95_ms() <= 50, silent).message == "0 of 100 answers"
    assert ask(error_rate() <= 0.5, silent).answer is FAIL


@pytest.mark.parametrize(
    ("errors", "requests", "answer"),
    [(0, 99, NO_DATA), (1, 20, NO_DATA), (2, 20, NO_DATA), (3, 5, FAIL), (2, 2, FAIL), (1, 100, PASS), (2, 100, FAIL)],
)
def test_errors_that_are_certain_fail_early(errors: int, requests: int, answer: Answer) -> None:
    assert ask(error_rate() <= 0.01, counted(errors, requests)).answer is answer


def test_an_early_failure_says_why() -> None:
    message = ask(error_rate() <= 0.01, counted(3, 5)).message
    assert message == "3 errors in 5 requests: too many already, before there are 100"


def test_drift_and_saturation() -> None:
    assert ask(drift(), ReleaseSamples(drifted_columns=0)).answer is PASS
    assert ask(drift(), ReleaseSamples(drifted_columns=2)).answer is FAIL
    assert ask(drift(), ReleaseSamples(requests=1000)).answer is NO_DATA
    assert ask(saturation() <= 0.8, ReleaseSamples(requests=100, saturation=0.8)).answer is PASS
    assert ask(saturation() <= 0.8, ReleaseSamples(requests=100, saturation=0.9)).answer is FAIL
    assert ask(saturation() <= 0.8, ReleaseSamples(requests=100)).answer is NO_DATA


def test_quality_is_measured_as_its_name_says() -> None:
    predictions, labels = [0.9, 0.6, 0.4, 0.1] * 50, [1.0, 0.0, 1.0, 0.0] * 50
    found = labelled(predictions, labels)
    assert ask(accuracy() >= 0.5, found).measured == 0.5
    assert ask(brier() <= 1, found).measured == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert ask(rmse() <= 1, found).measured == pytest.approx(math.sqrt(0.185))
    assert ask(auc() >= 0.5, found).measured == pytest.approx(0.75)


def test_accuracy_of_classes_is_equality() -> None:
    assert ask(accuracy() >= 0.5, labelled([0.0, 1.0, 2.0, 2.0] * 30, [0.0, 1.0, 2.0, 1.0] * 30)).measured == 0.75


@pytest.mark.parametrize(
    ("gate", "found", "why"),
    [
        (auc() >= 0.5, labelled([0.5] * 100, [1.0] * 95 + [0.0] * 5), "5 of 10 outcomes are 0"),
        (auc() >= 0.5, labelled([0.5] * 100, [1.0, 2.0] * 50), "auc needs labels that are 0 or 1"),
        (brier() <= 0.5, labelled([3.0] * 100, [1.0] * 100), "brier needs predictions that are probabilities"),
        (rmse() <= 1, labelled([math.nan] + [0.0] * 99, [1.0] * 100), "1 prediction is not a number"),
        (rmse() <= 1, labelled([0.0] * 100, [math.nan, math.inf] + [1.0] * 98), "2 labels are not numbers"),
        (rmse() <= 1, labelled([0.0] * 99, [0.0] * 100), "100 labels for 99 predictions"),
        (rmse() <= 1, labelled([1e200] * 100, [0.0] * 100), "the errors are too large to be a number"),
        (p95_ms() <= 50, timed([math.nan] + [1.0] * 99), "a latency is not a number"),
        (error_rate() <= 0.5, counted(200, 100), "200 errors of 100 requests"),
    ],
)
def test_what_cannot_be_told_is_no_data(gate: Check, found: ReleaseSamples, why: str) -> None:
    result = ask(gate, found)
    assert (result.answer, result.measured) == (NO_DATA, None)
    assert why in result.message


# relative


def test_equal_is_never_worse() -> None:
    same = replace(classified(2000, 1.0, 1), latencies_ms=drawn(2000, 10, 2), errors=20)  # type: ignore[arg-type]
    gates = [
        p50_ms() <= serving(), p95_ms() <= serving(), p99_ms() <= serving(), error_rate() <= serving(),
        auc() >= serving(), accuracy() >= serving(), rmse() <= serving(), brier() <= serving(),
        saturation() <= serving(),
    ]  # fmt: skip
    same = replace(same, saturation=0.3)
    results = evaluate(gates, samples(same, same), NEW, OLD, min_samples=100, ask=Answers())
    assert [result.answer for result in results] == [PASS] * len(gates)
    assert all(result.measured == result.against for result in results)


@pytest.mark.parametrize("gate", [p50_ms() <= 1.1 * serving(), p95_ms() <= 1.1 * serving()])
def test_a_slower_release_fails_and_one_within_the_factor_does_not(gate: Check) -> None:
    old = timed(drawn(5000, 10, 1))  # type: ignore[arg-type]
    for median, answer in ((9, PASS), (10.5, PASS), (13, FAIL)):
        result = ask(gate, timed(drawn(1000, median, 2)), old)  # type: ignore[arg-type]
        assert result.answer is answer, median


def test_constant_latencies_need_no_chance() -> None:
    assert ask(p95_ms() <= 1.1 * serving(), timed([11.0] * 100), timed([10.0] * 100)).answer is PASS
    assert ask(p95_ms() <= 1.1 * serving(), timed([11.1] * 100), timed([10.0] * 100)).answer is FAIL


def test_what_never_varies_needs_no_chance() -> None:
    perfect, constant = labelled([0.0, 1.0] * 100, [0.0, 1.0] * 100), labelled([0.5, 0.5] * 100, [0.0, 1.0] * 100)
    for gate in (auc() >= serving(), accuracy() >= serving(), rmse() <= serving(), brier() <= serving()):
        answers = [ask(gate, new, old).answer for new in (perfect, constant) for old in (perfect, constant)]
        assert answers == [PASS, PASS, FAIL, PASS], str(gate)


def test_a_rare_percentile_needs_more_of_both() -> None:
    many, few = timed([10.0] * 299), timed([10.0] * 298)
    assert ask(p99_ms() <= serving(), many, many).answer is PASS
    said = "298 of the 299 answers that a comparison of p99_ms needs"
    assert (ask(p99_ms() <= serving(), few, many)).message == said
    assert (ask(p99_ms() <= serving(), many, few)).message == f"the release that serves: {said}"


@pytest.mark.parametrize(
    ("errors", "factor", "answer"), [(10, 1, PASS), (14, 1, PASS), (30, 1, FAIL), (30, 3, PASS), (60, 3, FAIL)]
)
def test_error_rates_are_compared_beyond_chance(errors: int, factor: float, answer: Answer) -> None:
    result = ask(error_rate() <= factor * serving(), counted(errors, 1000), counted(90, 9000))
    assert (result.answer, result.measured, result.against) == (answer, errors / 1000, 0.01)


def test_a_release_that_only_fails_is_taken_back_early() -> None:
    assert ask(error_rate() <= serving(), counted(6, 6), counted(1, 900)).answer is FAIL
    assert ask(error_rate() <= serving(), counted(1, 6), counted(1, 900)).answer is NO_DATA
    assert ask(error_rate() <= serving(), counted(6, 6), counted(0, 0)).answer is NO_DATA


@pytest.mark.parametrize(
    "gate", [auc() >= serving(), accuracy() >= serving(), brier() <= serving(), rmse() <= serving()]
)
def test_a_model_that_knows_less_fails(gate: Check) -> None:
    old = classified(4000, 0.8, 3)
    assert ask(gate, classified(2000, 0.8, 4), old).answer is PASS
    assert ask(gate, classified(2000, 2.0, 5), old).answer is FAIL
    assert ask(gate, classified(2000, 0.4, 6), old).answer is PASS


def test_the_factor_is_room() -> None:
    old, worse = classified(4000, 0.8, 3), classified(2000, 1.1, 5)
    for gate, wide in (
        (auc() >= serving(), auc() >= 0.8 * serving()),
        (accuracy() >= serving(), accuracy() >= 0.8 * serving()),
        (brier() <= serving(), brier() <= 2 * serving()),
        (rmse() <= serving(), rmse() <= 2 * serving()),
    ):
        assert [ask(gate, worse, old).answer, ask(wide, worse, old).answer] == [FAIL, PASS]


def test_both_need_samples() -> None:
    result = ask(p95_ms() <= serving(), timed([1.0] * 100), timed([1.0] * 99))
    assert (result.answer, result.message) == (NO_DATA, "the release that serves: 99 of 100 answers")
    none = evaluate([p95_ms() <= serving()], samples(timed([1.0] * 100)), NEW, None, min_samples=1, ask=Answers())
    assert none[0].answer is NO_DATA
    assert none[0].measured == 1


def test_what_serves_nothing_any_more_is_known_from_before() -> None:
    calls = []

    def before() -> Samples:
        calls.append(1)
        return samples(NO_SAMPLES, timed([10.0] * 100, errors=1))

    gates = [p95_ms() <= serving(), p50_ms() <= serving(), error_rate() <= serving(), p95_ms() <= 5]
    found = samples(timed([20.0] * 100), NO_SAMPLES)
    results = evaluate(gates, found, NEW, OLD, min_samples=100, ask=Answers(), before=before)
    assert [result.answer for result in results] == [FAIL, FAIL, PASS, FAIL]
    assert len(calls) == 1
    [late] = evaluate(gates[:1], found, NEW, OLD, min_samples=100, ask=Answers(), before=lambda: NoData("gone"))
    assert late.message == "the release that serves: 0 of 100 answers"


def test_percentiles_alone_are_compared_and_it_is_said() -> None:
    new, old = (ReleaseSamples(requests=500, percentiles_ms={"p95_ms": value}) for value in (11.0, 10.0))
    assert ask(p95_ms() <= 1.1 * serving(), new, old).answer is PASS
    result = ask(p95_ms() <= serving(), new, old)
    assert (result.answer, result.message) == (FAIL, "compared without a test: single samples are not known")


def test_equal_releases_rarely_fail() -> None:
    """The tests keep what they promise: of equal releases about one in twenty is called worse."""
    failed = dict.fromkeys(("p95", "errors", "auc", "rmse"), 0)
    random = np.random.default_rng(7)
    for seed in range(400):
        new, old = timed(drawn(300, 10, seed)), timed(drawn(900, 10, 10_000 + seed))  # type: ignore[arg-type]
        failed["p95"] += ask(p95_ms() <= serving(), new, old).answer is FAIL
        rates = (counted(int(random.binomial(500, 0.05)), 500), counted(int(random.binomial(900, 0.05)), 900))
        failed["errors"] += ask(error_rate() <= serving(), *rates).answer is FAIL
        scored = (classified(200, 1.0, seed), classified(600, 1.0, 20_000 + seed))
        failed["auc"] += ask(auc() >= serving(), *scored).answer is FAIL
        failed["rmse"] += ask(rmse() <= serving(), *scored).answer is FAIL
    assert all(count <= 34 for count in failed.values()), failed  # 0.9999 quantile of Binomial(400, 0.05)


# what else is asked


def test_others_are_asked_even_without_samples() -> None:
    gates = [prometheus("up") <= 0.5, command("true"), approval("lead"), p95_ms() <= 50]
    for value, answers in ((0.0, [PASS, PASS, FAIL]), (1.0, [FAIL, FAIL, PASS]), (None, [NO_DATA] * 3)):
        results = evaluate(gates, NoData("nobody measures"), NEW, OLD, min_samples=1, ask=Answers(value))
        assert [result.answer for result in results] == [*answers, NO_DATA]
        assert [result.measured for result in results] == [value, None, None, None]
        assert [result.message for result in results] == ["said"] * 3 + ["nobody measures"]


# properties

latencies = st.lists(st.floats(0.01, 1e6), min_size=60, max_size=200)
factors = st.sampled_from([0.5, 1.0, 1.1, 2.0])
LATENCY = [p50_ms, p95_ms]


@given(latencies, latencies, factors, st.sampled_from([2.0, 0.25, 1024.0]))
def test_the_unit_does_not_matter(new: list[float], old: list[float], factor: float, unit: float) -> None:
    for metric in LATENCY:
        gate = metric() <= factor * serving()
        scaled = [timed([unit * value for value in values]) for values in (new, old)]
        assert ask(gate, timed(new), timed(old), least=1).answer is ask(gate, *scaled, least=1).answer


@given(latencies, latencies, st.randoms())
def test_the_order_does_not_matter(new: list[float], old: list[float], random: Any) -> None:
    shuffled = [random.sample(values, len(values)) for values in (new, old)]
    for metric in LATENCY:
        gate = metric() <= serving()
        before = ask(gate, timed(new), timed(old), least=1)
        assert ask(gate, timed(shuffled[0]), timed(shuffled[1]), least=1) == before


@given(latencies, latencies, factors, st.floats(0, 100), st.integers(0, 10**6))
def test_slower_never_helps(new: list[float], old: list[float], factor: float, more: float, seed: int) -> None:
    slower = [value + more if (seed >> (index % 20)) & 1 else value for index, value in enumerate(new)]
    for metric in LATENCY:
        gate = metric() <= factor * serving()
        if ask(gate, timed(new), timed(old), least=1).answer is FAIL:
            assert ask(gate, timed(slower), timed(old), least=1).answer is FAIL


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 900), st.integers(0, 900), factors)
def test_one_error_more_never_helps(requests: int, errors: int, many: int, old_errors: int, factor: float) -> None:
    errors, old = min(errors, requests - 1), counted(min(old_errors, many), many)
    for gate in (error_rate() <= factor * serving(), error_rate() <= 0.05):
        if ask(gate, counted(errors, requests), old).answer is FAIL:
            assert ask(gate, counted(errors + 1, requests), old).answer is FAIL


@given(latencies, latencies)
def test_the_same_samples_always_pass(values: list[float], more: list[float]) -> None:
    for metric in LATENCY:
        assert ask(metric() <= serving(), timed(values), timed(values), least=1).answer is PASS
        assert ask(metric() <= serving(), timed(values), timed(values + more), least=1).answer in (PASS, FAIL)


EVERY = [
    p50_ms() <= 1e9, p95_ms() <= 1e9, p99_ms() <= 1e9, error_rate() <= 1, saturation() <= 1e9, drift(),
    auc() >= 0, accuracy() >= 0, rmse() <= 1e9, brier() <= 1e9,
    p95_ms() <= 9 * serving(), error_rate() <= 9 * serving(), saturation() <= 9 * serving(),
    auc() >= 0.1 * serving(), accuracy() >= 0.1 * serving(), rmse() <= 9 * serving(), brier() <= 9 * serving(),
    prometheus("up") <= 1e9, command("true"), approval("lead"),
]  # fmt: skip
NUMBERLESS = st.sampled_from([None, [], [math.nan] * 200, [0.5] * 199 + [math.nan]])


@given(NUMBERLESS, NUMBERLESS, st.sampled_from([None, math.nan]), st.integers(0, 200))
def test_nothing_that_is_no_number_ever_passes(
    latencies_ms: list[float] | None, predictions: list[float] | None, number: float | None, requests: int
) -> None:
    percentiles = {} if number is None else dict.fromkeys(("p50_ms", "p95_ms", "p99_ms"), number)
    bad = ReleaseSamples(
        requests=0, latencies_ms=latencies_ms, percentiles_ms=percentiles, saturation=number,
        predictions=predictions, labels=None if predictions is None else [0.0, 1.0] * (len(predictions) // 2),
    )  # fmt: skip
    good = replace(classified(200, 1.0, 1), latencies_ms=[1.0] * 200, saturation=0.1)
    relative = [gate for gate in EVERY if gate.relative]
    several = (samples(bad, good), samples(bad, bad), Samples(THEN, THEN, {}), NoData("nothing"))
    for gates, pair in [*((EVERY, pair) for pair in several), (relative, samples(good, bad))]:
        for result in evaluate(gates, pair, NEW, OLD, min_samples=1, ask=Answers(number)):
            assert result.answer is not PASS, result.gate
