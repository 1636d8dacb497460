"""Declarations: what they take, what they say to what does not fit, and where."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from mlinfra import (
    Capture,
    Check,
    Compute,
    Dataset,
    DriftMonitor,
    Endpoint,
    Entity,
    Feature,
    FeatureStore,
    ModelRegistry,
    Rollout,
    Scale,
    Stack,
    TrainingJob,
    auc,
    drift,
    error_rate,
    js_divergence,
    metric,
    p95_ms,
)
from mlinfra.declarations.check import Answer
from mlinfra.declarations.part import collecting, from_spec
from mlinfra.problems import Problem, Problems


def store(name: str = "weather", **changes: Any) -> FeatureStore:
    fields: dict[str, Any] = {
        "entity": Entity("airport"),
        "event_time": "observed_at",
        "features": [Feature("wind")],
        "source": "features.py:weather",
    }
    return FeatureStore(name, **(fields | changes))


def endpoint(**changes: Any) -> Endpoint:
    model = ModelRegistry("model", trained_by=TrainingJob("job", code="train.py"))
    fields: dict[str, Any] = {"model": model, "runtime": "sklearn"}
    return Endpoint("api", **(fields | changes))


def wrong(make: Any) -> Any:
    """Return what the type checker must not look into: these calls are wrong on purpose."""
    return make


def problems(make: Callable[[], object]) -> list[Problem]:
    with pytest.raises(Problems) as raised:
        make()
    return list(raised.value.problems)


def said(make: Callable[[], object]) -> list[str]:
    return [str(problem).partition(": ")[2] for problem in problems(make)]


def test_a_part_is_frozen_and_has_a_key() -> None:
    part = store()
    assert part.key == "feature_stores.weather"
    with pytest.raises(AttributeError):
        part.name = "other"  # type: ignore[misc]


def test_lists_are_kept_as_tuples() -> None:
    assert store(features=[Feature("a"), Feature("b")]).features == (Feature("a"), Feature("b"))


def test_problems_name_the_line_that_declares() -> None:
    here = inspect.currentframe()
    assert here is not None
    found = problems(lambda: Compute(cpus=0))
    assert [(problem.file, problem.line) for problem in found] == [(__file__, here.f_lineno - 1)]


def test_every_problem_of_a_declaration_is_said_at_once() -> None:
    found = said(
        lambda: wrong(TrainingJob)("Job_1", cod="a.py", compute={"cpus": "many", "gpu": 1}, max_runtime="5", accept=[3])
    )
    assert [text.partition(": ")[0] for text in found] == [
        "TrainingJob('Job_1').accept.0",
        "TrainingJob('Job_1').cod",
        "TrainingJob('Job_1').code",
        "TrainingJob('Job_1').compute.cpus",
        "TrainingJob('Job_1').compute.gpu",
        "TrainingJob('Job_1').max_runtime",
        "TrainingJob('Job_1').name",
    ]
    assert "did you mean 'code'?" in found[1]
    assert "did you mean 'gpus'?" in found[4]
    assert "one of cpus, gpus, memory_gib" in found[4]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: wrong(Entity)("1st", "strin"),
            "Entity('1st').key: is not valid (found 'strin', expected 'string' or 'int64'",
        ),
        (lambda: wrong(Entity)("a", "string", 5), "Entity('a').argument 3: has no name (found 5"),
        (lambda: wrong(Compute)(2), "Compute.cpus: has no name (found 2"),
        (lambda: wrong(Compute)(cpus=2.5), "Compute.cpus: is not valid (found 2.5, expected a valid integer"),
        (lambda: wrong(Compute)(cpus=True), "Compute.cpus: is not valid (found True, expected a valid integer"),
        (lambda: Compute(memory_gib=0), "greater than 0"),
        (lambda: wrong(Check)("auc", ">", 1), "did you mean '>='?"),
        (lambda: Check("auc", ">=", float("nan")), "expected a finite number"),
        (lambda: wrong(auc)() >= "high", "Check('auc').value: is not valid (found 'high'"),
        (lambda: Scale(min=3, max=1), "Scale: min (3) is above max (1)"),
        (lambda: Scale(max=2), "target_rps"),
        (lambda: Capture(percent=101), "Capture.percent: is not valid (found 101"),
        (lambda: Rollout(steps=[50, 10]), "steps climb and end at 100"),
        (lambda: Rollout(steps=[10, 50]), "steps climb and end at 100"),
        (lambda: Rollout(gates=[metric("r2") >= 1]), "no gate measures 'r2'"),
        (lambda: Rollout(gates=[metric("p95_m") <= 1]), "did you mean p95_ms?"),
        (lambda: Rollout(bake="5 minutes"), "a duration is a whole number above 0 and a unit: 30s, 5m, 1h, 14d"),
        (lambda: store(features=[]), "FeatureStore('weather').features: is not valid"),
        (lambda: store(source="features"), "expected file.py:function"),
        (
            lambda: store(features=[Feature("a"), Feature("b"), Feature("a", "int64")]),
            "features: 'a' is declared twice",
        ),
        (lambda: store("a" * 64), "FeatureStore('" + "a" * 64 + "').name"),
        (lambda: TrainingJob("a", code="train"), "expected file.py"),
        (lambda: TrainingJob("a", code="a.py", params={"a b": 1}), "TrainingJob('a').params.a b: is not valid"),
        (lambda: TrainingJob("a", code="a.py", params={"seed": 2**53}), "would be rounded on its way"),
        (lambda: wrong(TrainingJob)("a", code="a.py", inputs={"x": 5}), "expected Dataset, or FeatureStore"),
        (lambda: endpoint(runtime="sklean"), "did you mean 'sklearn'?"),
        (lambda: Stack("A", owner="x"), "Stack: the name is not valid (found 'A'"),
        (lambda: Stack("a", owner=" "), "Stack: owner is empty"),
    ],
)
def test_what_does_not_fit(make: Callable[[], object], text: str) -> None:
    found = said(make)
    assert len(found) <= 2
    assert text in found[0]


def test_a_wrong_value_for_a_union_is_one_problem() -> None:
    assert len(problems(lambda: wrong(TrainingJob)("a", code="a.py", params={"x": [1]}))) == 1


@pytest.mark.parametrize("name", ["a", "a1-b2", "a" * 63])
def test_names_that_are_taken(name: str) -> None:
    assert store(name).name == name


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a--b", "-a", "a-", "a.b", "ä", "a\n"])
def test_names_that_are_not(name: str) -> None:
    assert problems(lambda: store(name))


def test_params_keep_their_types() -> None:
    given: dict[str, bool | int | float | str] = {
        "whole": 1,
        "true": True,
        "half": 0.5,
        "text": "1",
        "exact": 2**53 - 1,
    }
    kept = TrainingJob("a", code="a.py", params=given).params
    assert {name: (type(value), value) for name, value in kept.items()} == {
        name: (type(value), value) for name, value in given.items()
    }


def test_monitor_must_fit_its_endpoint() -> None:
    job, other = TrainingJob("job", code="a.py"), TrainingJob("other", code="a.py")
    model = ModelRegistry("model", trained_by=job)
    capturing = Endpoint("api", model=model, runtime="sklearn", capture=Capture(percent=5))

    def monitor(**changes: Any) -> DriftMonitor:
        fields: dict[str, Any] = {
            "endpoint": capturing,
            "baseline": job,
            "every": "1h",
            "thresholds": {"wind": js_divergence() <= 0.1},
        }
        return DriftMonitor("api", **(fields | changes))

    assert monitor().on_drift == "log"
    assert "native" not in monitor().spec(), "definitions that were made without it stay as they are"
    assert monitor(native=True).spec()["native"] is True
    silent = Endpoint("api", model=model, runtime="sklearn", capture=Capture(percent=0))
    assert "captures nothing" in said(lambda: monitor(endpoint=silent))[0]
    assert "baseline is 'other', but 'api' serves what 'job' trained" in said(lambda: monitor(baseline=other))[0]
    assert "thresholds.wind: 'auc' measures no drift" in said(lambda: monitor(thresholds={"wind": auc() <= 1}))[0]
    assert "upper bound" in said(lambda: monitor(thresholds={"wind": js_divergence() >= 1}))[0]


def test_collecting_goes_on_after_problems() -> None:
    with collecting() as collected:
        bad = store(entity=Entity("1x"), event_time="2y", source="z")
        stack = Stack("s", owner="me")
        stack.add(bad)
        stack.add(TrainingJob("job", code="a.py", inputs={"weather": bad}))
        Compute(cpus=0)
    assert [problem.path for problem in collected] == [
        "Entity('1x').name",
        "FeatureStore('weather').event_time",
        "FeatureStore('weather').source",
        "Compute.cpus",
    ]


def test_what_is_made_of_something_bad_says_nothing_more() -> None:
    with collecting() as collected:
        job = TrainingJob("job", code="train")
        served = wrong(Endpoint)("api", runtime="sklearn", capture=Capture(percent=101))
        DriftMonitor("api", endpoint=served, baseline=job, every="1h", thresholds={"wind": js_divergence() <= 0.1})
        other = wrong(Endpoint)("other", model=5, runtime="sklearn", capture=5)
        DriftMonitor("other", endpoint=other, baseline=job, every="1 hour", thresholds={"wind": js_divergence() <= 1})
    assert [problem.path for problem in collected] == [
        "TrainingJob('job').code",
        "Capture.percent",
        "Endpoint('api').model",
        "Endpoint('other').model",
        "Endpoint('other').capture",
        "DriftMonitor('other').every",
    ]


def test_stack_refuses_what_does_not_belong() -> None:
    stack = Stack("s", owner="me")
    weather = stack.add(store())
    assert said(lambda: stack.add(store())) == ["feature_stores.weather: is declared twice\n  → rename one of them"]
    stranger = TrainingJob("job", code="a.py", inputs={"a": Dataset("a.py:b", features=[store("planes")])})
    assert "is made of feature_stores.planes, which was not added" in said(lambda: stack.add(stranger))[0]
    assert "is no part (found 5)" in said(lambda: wrong(stack.add)(5))[0]
    assert stack.parts == (weather,)
    assert list(stack.of_kind(TrainingJob)) == []


def test_references_are_found_in_nested_fields() -> None:
    weather, planes = store(), store("planes")
    job = TrainingJob("job", code="a.py", inputs={"a": Dataset("a.py:b", features=[weather]), "b": planes})
    assert job.references() == (weather, planes)


def test_spec_is_json_and_reads_back() -> None:
    weather = store(ttl="3h")
    job = TrainingJob("job", code="a.py", inputs={"a": weather})
    assert job.spec()["inputs"] == {"a": "feature_stores.weather"}
    api = endpoint(rollout=Rollout(steps=[10, 100], gates=[p95_ms() <= 50]), scale=Scale(max=2, target_rps=5))
    spec = json.loads(json.dumps(api.spec()))
    assert spec["model"] == "model_registries.model"
    assert spec["rollout"]["gates"] == [{"metric": "p95_ms", "operator": "<=", "value": 50.0}]
    assert from_spec(Endpoint, spec, {api.model.key: api.model}) == api


def test_checks_answer() -> None:
    check = p95_ms() <= 50
    assert str(check) == "p95_ms <= 50"
    assert check.ask({"p95_ms": 50}) is Answer.PASS
    assert check.ask({"p95_ms": 50.1}) is Answer.FAIL
    assert check.ask({}) is Answer.NO_DATA
    assert check.ask({"p95_ms": float("nan")}) is Answer.NO_DATA
    assert (error_rate() >= 0.5).ask({"error_rate": 0.4}) is Answer.FAIL
    assert drift().ask({"drifted_columns": 0}) is Answer.PASS
    with pytest.raises(TypeError, match="compare auc"):
        bool(auc())
