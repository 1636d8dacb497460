"""The variations leave no field out: a new field without one fails here."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import pytest
from pydantic.dataclasses import dataclass

import mlinfra
from mlinfra import place
from mlinfra.declarations.part import STRICT, Declaration, Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra.testing.judge import Judge, Outcome
from mlinfra.testing.specimens import BY_HAND, BY_THE_CORE, DETERMINED, ENVIRONMENT, FULL, KINDS, PLACE, SMALL
from mlinfra.testing.variations import (
    IDENTITY,
    Scene,
    Variation,
    fields,
    fields_of,
    refused_by_declaration,
    variations,
)
from mlinfra_providers.local.adapter import Local


def test_every_exported_kind_is_varied() -> None:
    exported = [getattr(mlinfra, name) for name in mlinfra.__all__]
    assert {found for found in exported if isinstance(found, type) and issubclass(found, Part)} == set(KINDS)


@pytest.mark.parametrize("name", [name for name in fields() if name not in DETERMINED])
def test_every_field_has_a_variation(name: str) -> None:
    found = [variation for variation in variations() if variation.field == name]
    assert found, f"give {name} another value in BY_HAND or FULL of mlinfra.testing.specimens"
    for variation in found:
        assert variation.before != variation.after


def test_no_variation_is_of_a_field_that_is_not_there() -> None:
    assert {variation.field for variation in variations()} <= set(fields())
    assert set(BY_HAND) <= set(fields())


@pytest.mark.parametrize("name", DETERMINED)
def test_a_determined_field_cannot_differ_alone(name: str) -> None:
    kind = next(kind for kind in KINDS if kind.__name__ == name.partition(".")[0])
    assert name in fields_of(kind)
    assert refused_by_declaration(kind)[name]
    assert name not in {variation.field for variation in variations()}


def test_fields_are_found_however_deep_they_are() -> None:
    found = set(fields())
    for name in (
        "TrainingJob.compute.cpus", "Endpoint.scale.max", "Endpoint.capture.percent", "Endpoint.rollout.steps",
        "Endpoint.rollout.gates.value", "TrainingJob.inputs.refresh", "FeatureStore.entity.key",
        "FeatureStore.features.type", "DriftMonitor.thresholds.value", "Environment.webhook",
    ):  # fmt: skip
        assert name in found


def test_every_field_of_an_environment_is_the_adapters_or_the_cores() -> None:
    assert {*ENVIRONMENT, *PLACE, *BY_THE_CORE} == set(Environment.model_fields)
    assert not {*ENVIRONMENT, *PLACE} & set(BY_THE_CORE)
    assert set(PLACE) == set(place.PLACE)


@pytest.mark.parametrize("kind", KINDS)
def test_full_specimens_leave_no_field_at_its_default(kind: type[Part]) -> None:
    for name in {item.partition(".")[2].partition(".")[0] for item in fields_of(kind)} - set(IDENTITY):
        label = f"{kind.__name__}.{name}"
        differs = [full for full in FULL[kind] if getattr(full, name) != getattr(SMALL[kind], name)]
        assert differs or label in DETERMINED, f"{label} is the same in SMALL and FULL"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Inner(Declaration):
    anything: str = ""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _NewKind(Part):
    plural = "new_kinds"

    color: str = "red"
    inner: _Inner = field(default_factory=_Inner)


def test_a_new_field_is_noticed_when_its_type_says_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    specimen = _NewKind("specimen")
    small: dict[type[Part], Part] = {_NewKind: specimen}
    full: dict[type[Part], tuple[Part, ...]] = {_NewKind: (specimen,)}
    monkeypatch.setattr("mlinfra.testing.variations.SMALL", {**SMALL, **small})
    monkeypatch.setattr("mlinfra.testing.variations.FULL", {**FULL, **full})
    monkeypatch.setattr("mlinfra.testing.variations.KINDS", (_NewKind,))
    assert fields_of(_NewKind) == ["_NewKind.color", "_NewKind.inner", "_NewKind.inner.anything"]
    assert not [variation for variation in variations() if variation.field.startswith("_NewKind")]


class _Local(Local):
    """Says something else in its refusals."""

    path = ""

    def refuse(self, part: Part, environment: Environment) -> Any:
        if part.name == "specimen":
            yield Problem("", 0, f"{part.key}.{self.path}", "no", remedy="yes")


def _verdict(path: str, name: str) -> Outcome:
    adapter = _Local()
    adapter.path = path
    variation = next(variation for variation in variations() if variation.field == name)
    return Judge(adapter).verdict(variation).outcome


def test_a_refusal_of_another_field_tells_nothing() -> None:
    assert _verdict("ttl", "FeatureStore.ttl") is Outcome.REFUSED
    assert _verdict("entity", "FeatureStore.entity.key") is Outcome.REFUSED
    assert _verdict("entity.key", "FeatureStore.entity") is Outcome.REFUSED
    assert _verdict("features.0.type", "FeatureStore.features.type") is Outcome.REFUSED
    assert _verdict("online", "FeatureStore.ttl") is Outcome.UNTOLD
    assert _verdict("entity.name", "FeatureStore.entity.key") is Outcome.UNTOLD


class _Keeping(Local):
    """Leaves the rollout of an endpoint as it was."""

    def kept_by(self, type_token: str) -> frozenset[str]:
        return super().kept_by(type_token) | {"rollout"}


def test_what_an_up_leaves_as_it_is_is_ignored() -> None:
    variation = next(variation for variation in variations() if variation.field == "Endpoint.rollout.bake")
    assert Judge(Local()).verdict(variation).outcome is Outcome.HONOURED
    assert Judge(_Keeping()).verdict(variation).outcome is Outcome.IGNORED


def test_the_same_scene_twice_is_ignored() -> None:
    scene = Scene(SMALL[KINDS[0]])
    assert Judge(Local()).verdict(Variation("FeatureStore.ttl", None, scene, scene)).outcome is Outcome.IGNORED


def test_values_are_compared_with_each_other() -> None:
    """From `webhook` to `log` the URL goes; only the pair of `log` and `block-promotion` differs in nothing else."""
    pairs = {
        frozenset({variation.before.part.spec()["on_drift"], variation.after.part.spec()["on_drift"]})
        for variation in variations()
        if variation.field == "DriftMonitor.on_drift"
    }
    assert frozenset({"log", "block-promotion"}) in pairs
    assert len(pairs) == 3
