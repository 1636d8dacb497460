"""Overrides by path: what they change, and what is said to those that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.stack import Stack
from mlinfra.problems import Problems
from mlinfra.resolve import Declared, Resolved, resolve

Make = Callable[..., Any]


@pytest.fixture
def overridden(make_stack: Callable[..., Stack], make_declared: Callable[..., Declared]) -> Callable[..., Resolved]:
    def apply(override: dict[str, Any]) -> Resolved:
        return resolve(make_declared(make_stack(), override=override), load_adapter("local"))

    return apply


@pytest.fixture
def said(overridden: Callable[..., Resolved]) -> Callable[..., list[str]]:
    def collect(override: dict[str, Any]) -> list[str]:
        with pytest.raises(Problems) as raised:
            overridden(override)
        return [str(problem) for problem in raised.value.problems]

    return collect


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("endpoints.api.compute.cpus", 8, 8),
        ("endpoints.api.compute", {"cpus": 3}, {"cpus": 3, "memory_gib": 2, "gpus": 0}),
        ("endpoints.api.capture", None, None),
        ("endpoints.api.capture.percent", 5, 5),
        ("endpoints.api.rollout.steps", [50, 100], [50, 100]),
        ("feature_stores.weather.ttl", "3h", "3h"),
        ("training_jobs.train.params.depth", 4, 4),
        ("training_jobs.train.params.extra", "x", "x"),
        ("training_jobs.train.inputs.rows.refresh", "1d", "1d"),
        ("training_jobs.train.accept", [], []),
        ("drift_monitors.api.thresholds.wind.value", 0.5, 0.5),
    ],
)
def test_a_path_sets_its_field(overridden: Callable[..., Resolved], path: str, value: Any, found: Any) -> None:
    kind, name, *steps = path.split(".")
    spec: Any = overridden({path: value}).part(f"{kind}.{name}").part.spec()
    for step in steps:
        spec = spec[step]
    assert spec == found


def test_those_that_hold_together_only_together_fit_in_any_order(make_stack: Make) -> None:
    from mlinfra.overrides import Overrides

    override = {"endpoints.api.scale.max": 4, "endpoints.api.scale.target_rps": 50, "endpoints.api.scale.min": 2}
    endpoint = next(make_stack().of_kind(Endpoint))
    reported: list[str] = []
    for items in (list(override.items()), list(override.items())[::-1]):
        overrides = Overrides(dict(items), lambda path, message, **_: reported.append(f"{path}: {message}"))
        assert overrides.apply(endpoint, endpoint.key).scale.spec() == {"min": 2, "max": 4, "target_rps": 50}
    assert reported == []


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ({"endpoints.ap.scale.max": 2}, "override.endpoints.ap.scale.max: names no part here (expected feature_stores"),
        ({"endpoints.ap.scale.max": 2}, "did you mean 'endpoints.api'?"),
        ({"endpoints.api": {}}, "names a part, not one of its fields"),
        ({"endpoints.api.scal.max": 2}, "'scal' is no field (expected name, renamed_from, model, runtime, compute"),
        ({"endpoints.api.scal.max": 2}, "did you mean 'scale'?"),
        ({"endpoints.api.scale.mx": 2}, "'mx' is no field (expected min, max, target_rps, did you mean 'max'?)"),
        ({"endpoints.api.scale.max": "many"}, "scale.max: is not valid (found 'many', expected a valid integer"),
        ({"endpoints.api.scale.max": 4}, "max is above min: say by target_rps when to add a replica"),
        ({"endpoints.api.scale": {"max": "many"}}, "endpoints.api.scale: max is not valid (found 'many'"),
        ({"endpoints.api.runtime": "sklean"}, "did you mean 'sklearn'?"),
        ({"endpoints.api.name": "b"}, "'name' is the same in every environment"),
        ({"endpoints.api.model": "model_registries.other"}, "'model' is the same in every environment"),
        ({"endpoints.api.model.name": "x"}, "'model' is the same in every environment"),
        ({"endpoints.api.runtime.x": 1}, "there is nothing below this value to set 'x' of (found 'sklearn')"),
        ({"feature_stores.weather.features.0.type": "int64"}, "there is nothing below this value to set '0' of"),
        ({"training_jobs.train.inputs.row.refresh": "1d"}, "'row' is not there (expected rows)"),
        ({"endpoints.api.scale": {}, "endpoints.api.scale.max": 1}, "lies inside endpoints.api.scale"),
        ({"endpoints.api.scale.max": 1, "endpoints.api.scale": {}}, "lies inside endpoints.api.scale"),
        ({"drift_monitors.api.thresholds.wind.operator": ">="}, "a drift threshold is an upper bound"),
    ],
)
def test_what_does_not_fit(said: Callable[..., list[str]], override: dict[str, Any], text: str) -> None:
    found = said(override)
    assert len(found) == 1
    assert found[0].startswith("environments/dev.yaml:1")
    assert text in found[0]


def test_all_that_do_not_fit_are_said_once_each(said: Callable[..., list[str]]) -> None:
    found = said(
        {
            "endpoints.api.compute": {"cpus": 0, "memory_gib": -1},
            "endpoints.api.scal.max": 2,
            "nothing.here": 1,
            "feature_stores.weather.ttl": "3 hours",
        }
    )
    assert [text.partition(" ")[0] for text in found] == [
        "environments/dev.yaml:10:",
        "environments/dev.yaml:10:",
        "environments/dev.yaml:11:",
        "environments/dev.yaml:12:",
        "environments/dev.yaml:13:",
    ]


def test_a_release_is_overridden_too_and_said_once(pinned: Declared) -> None:
    from dataclasses import replace

    def with_override(**override: Any) -> Declared:
        path = "endpoints.api.compute.cpus"
        return replace(pinned, environment=pinned.environment.model_copy(update={"override": {path: override["cpus"]}}))

    endpoint = resolve(with_override(cpus=7), load_adapter("local")).part("endpoints.api")
    assert [item.part.spec()["compute"]["cpus"] for item in endpoint.deployments] == [7, 7]
    assert endpoint.deployments[0].release.identity.spec["compute"]["cpus"] == 2, "the identity is before overrides"
    with pytest.raises(Problems) as raised:
        resolve(with_override(cpus="x"), load_adapter("local"))
    assert len(raised.value.problems) == 1
