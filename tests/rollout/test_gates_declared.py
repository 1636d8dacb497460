"""Gates as they are declared: what they say, what is refused, and that older specifications keep their digests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlinfra import (
    Check,
    DriftMonitor,
    Endpoint,
    ModelRegistry,
    Rollout,
    TrainingJob,
    accuracy,
    approval,
    auc,
    brier,
    command,
    drift,
    error_rate,
    js_divergence,
    linf,
    p95_ms,
    prometheus,
    rmse,
    saturation,
    serving,
)
from mlinfra.declarations.part import from_spec
from mlinfra.problems import Problems
from mlinfra.testing.specimens import ENDPOINT, JOB, MODEL


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (p95_ms() <= 50, "p95_ms <= 50"),
        (p95_ms() <= 1.1 * serving(), "p95_ms <= 1.1 * serving"),
        (p95_ms() <= serving() * 1.1 * 2, "p95_ms <= 2.2 * serving"),
        (error_rate() <= serving(), "error_rate <= serving"),
        (auc() >= 0.98 * serving(), "auc >= 0.98 * serving"),
        (prometheus("up") <= 0.01, "prometheus 'up' <= 0.01"),
        (command("./check.sh --fast"), "command './check.sh --fast'"),
        (approval("team lead"), "approval 'team lead'"),
        (drift(), "drifted_columns <= 0"),
    ],
)
def test_a_gate_says_what_it_asks(gate: Check, said: str) -> None:
    assert str(gate) == said


def test_every_gate_is_taken() -> None:
    gates = [
        p95_ms() <= 50, error_rate() <= 1.1 * serving(), saturation() <= 0.8, drift(), auc() >= 0.9 * serving(),
        accuracy() >= 0.9, rmse() <= 1.1 * serving(), brier() <= 0.2, prometheus("up", url="https://p:9090/x") >= 1,
        command("./check.sh"), approval("team lead"),
    ]  # fmt: skip
    assert list(Rollout(gates=gates, label_delay="20s").gates) == gates


def test_what_older_releases_say_of_a_rollout_stays_byte_for_byte() -> None:
    assert Rollout(steps=[10, 100], gates=[p95_ms() <= 50, drift()]).spec() == {
        "steps": [10, 100],
        "bake": "5m",
        "gates": [
            {"metric": "p95_ms", "operator": "<=", "value": 50.0},
            {"metric": "drifted_columns", "operator": "<=", "value": 0.0},
        ],
    }


@pytest.mark.parametrize(
    "rollout",
    [
        Rollout(steps=[10, 100], gates=[p95_ms() <= 50]),
        Rollout(min_samples=7, patience="1h", shadow="2m", keep_warm="3h", label_delay="1m"),
        Rollout(gates=[prometheus("up", url="http://p") <= 1, error_rate() <= 2 * serving(), approval("lead")]),
    ],
)
def test_specification_and_back(rollout: Rollout) -> None:
    endpoint = Endpoint("api", model=MODEL, runtime="sklearn", rollout=rollout)
    again = from_spec(Endpoint, endpoint.spec(), {MODEL.key: MODEL})
    assert again == endpoint
    assert again.spec() == endpoint.spec()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Rollout(gates=[auc() >= 0.6]), "say by label_delay how long after a request they arrive"),
        (
            lambda: Rollout(bake="30s", gates=[auc() >= 0.6], label_delay="1m"),
            "bake (30s) is shorter than label_delay (1m)",
        ),
        (lambda: Rollout(gates=[p95_ms() >= 50]), "p95_ms >= 50 would pass what is worse: p95_ms <= …"),
        (lambda: Rollout(gates=[auc() <= serving()], label_delay="1m"), "auc <= serving would pass what is worse"),
        (lambda: Rollout(gates=[prometheus("up") <= serving()]), "can be compared with serving()"),
        (lambda: Rollout(gates=[prometheus(" ") <= 1]), 'says nothing to ask: prometheus("…")'),
        (lambda: Rollout(gates=[prometheus("up", url="file:///etc") <= 1]), "no http or https URL"),
        (lambda: Rollout(gates=[prometheus("up", url="http://[x") <= 1]), "no http or https URL"),
        (lambda: Rollout(gates=[Check("drifted_columns", "<=", 1, relative=True)]), "compare it with a number"),
        (lambda: Rollout(gates=[Check("p95_ms", "<=", 1, argument="x")]), "p95_ms takes no argument, and has 'x'"),
        (lambda: Rollout(gates=[Check("p95_ms", "<=", 1, address="http://x")]), "is asked at no address"),
        (lambda: Rollout(gates=[Check("command", "<=", 0)]), "says nothing to ask"),
        (lambda: Rollout(gates=[Check("satuation", "<=", 1)]), "did you mean saturation?"),
        (lambda: Rollout(min_samples=0), "greater than or equal to 1"),
        (lambda: Rollout(patience="soon"), "a duration is a whole number"),
        (lambda: TrainingJob("a", code="a.py", accept=[auc() >= serving()]), "only a gate of a rollout can ask"),
        (lambda: TrainingJob("a", code="a.py", accept=[approval("lead")]), "only a gate of a rollout can ask"),
        (
            lambda: DriftMonitor(
                "d", endpoint=ENDPOINT, baseline=JOB, every="1h", thresholds={"x": linf() <= serving()}
            ),
            "thresholds.x: only a gate of a rollout can ask",
        ),
    ],
)
def test_what_nothing_could_answer_is_refused(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(Problems) as caught:
        make()
    assert text in str(caught.value)


def test_a_secret_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(Problems) as caught:
        Rollout(gates=[prometheus("up", url="https://me:hush@prometheus") <= 1])
    assert "set PROMETHEUS_URL instead" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_other_checks_stay_as_they_were() -> None:
    assert (js_divergence() <= 0.1).spec() == {"metric": "js_divergence", "operator": "<=", "value": 0.1}
    job = TrainingJob("a", code="a.py", accept=[auc() >= 0.6])
    assert from_spec(TrainingJob, job.spec(), {}) == job
    assert ModelRegistry("m", trained_by=job).spec()["trained_by"] == job.key
