"""A fresh repository: what a plan says, what a preview leaves alone, what an `up` makes, and what a `down` keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mlinfra.resources import STACK_TYPE, UNKNOWN
from tests.end_to_end.conftest import First
from tests.end_to_end.repository import ENDPOINT, STORE, by_urn

pytestmark = [pytest.mark.engine, pytest.mark.local]

PARTS = [
    "feature_stores.weather", "training_jobs.crowds", "model_registries.crowds", "endpoints.crowds",
    "drift_monitors.crowds",
]  # fmt: skip


class TestPlan:
    def test_before_the_first_up_everything_is_new(self, first: First) -> None:
        assert _changes(first.plan_before) == {key: ["create"] for key in PARTS}
        assert first.plan_before["problems"] == []

    def test_after_it_nothing_changes(self, first: First) -> None:
        assert _changes(first.plan_after) == {key: ["same"] for key in PARTS}

    def test_it_is_what_the_engine_previews(self, first: First) -> None:
        previewed = {step["newState"]["urn"]: step["newState"] for step in first.preview["steps"]}
        assert {step["op"] for step in first.preview["steps"]} == {"create"}
        _assert_equal(first.plan_before, previewed)

    def test_it_is_what_the_engine_made(self, first: First) -> None:
        exported = by_urn(first.exported)
        _assert_equal(first.plan_after, exported)
        assert exported == first.resources


class TestPreview:
    def test_it_makes_nothing(self, first: First) -> None:
        # The passphrase and the empty state are made by `mlinfra env`; nothing of the environment is there.
        assert first.left_by_the_preview == [".gitignore", "passphrase", "state"]


class TestUp:
    def test_the_newest_values_of_the_features_are_online(self, first: First) -> None:
        assert first.online == [
            {"temperature": 29.0, "humidity": 71.0},
            {"temperature": 39.0, "humidity": 71.0},
            {"temperature": None, "humidity": None},
        ]

    def test_one_run_made_one_version(self, first: First) -> None:
        assert len(first.runs) == 1
        [version] = first.registered["versions"]
        assert version["digest"] == first.release.identity.artifact
        assert version["tags"][f"release.{first.release.short}"] == first.release.provenance.run
        assert first.registered["tags"] == {"owner": "people@example.com", "trained_by": "training_jobs.crowds"}
        assert first.release.provenance.metrics["accuracy"] >= 0.6

    def test_server_router_and_monitor_run(self, first: First) -> None:
        [server] = [name for name in first.programs if name.startswith("server/")]
        assert server.startswith(f"server/{ENDPOINT}/{first.release.short}-")
        assert set(first.programs) == {server, f"router/{ENDPOINT}", f"drift/{ENDPOINT}"}

    def test_the_router_sends_everything_to_the_release(self, first: First) -> None:
        assert first.observed.weights == {first.release.short: 100}
        assert [upstream.healthy for upstream in first.observed.upstreams.values()] == [True]

    def test_the_endpoint_answers_by_it(self, first: First) -> None:
        assert first.answered_by == first.release.short
        assert 0 <= first.answer <= 1

    def test_the_summary_says_what_serves(self, first: First) -> None:
        assert "dev is up: 7 resources changed" in first.up
        assert f"made release {first.release.short}" in first.up
        assert "healthy" in first.up
        assert "curl -s http://127.0.0.1:" in first.up


class TestSecondUp:
    def test_it_changes_nothing(self, first: First) -> None:
        assert "dev is up: nothing changed, 7 as before" in first.second_up
        assert first.resources_after_second_up == first.resources
        assert first.programs_after_second_up == first.programs

    def test_it_trains_nothing(self, first: First) -> None:
        assert "adopted" in first.second_up
        assert first.runs_after_second_up == first.runs


class TestDown:
    def test_no_process_port_or_socket_is_left(self, first: First) -> None:
        assert first.remains == []

    def test_it_keeps_data_and_says_where(self, first: First) -> None:
        assert len(first.kept) == 5
        assert [folder for folder in first.kept if folder not in first.down] == []

    def test_what_holds_data_stays_in_the_state(self, first: First) -> None:
        kept = [item["type"] for item in first.platform.resources().values() if item.get("protect")]
        assert sorted(kept) == ["mlinfra:local:FeatureView", "mlinfra:local:RegisteredModel"]

    def test_once_more_is_fine(self, first: First) -> None:
        assert "0 resources removed" in first.platform.mlinfra("down", "dev").stdout
        assert first.platform.remains() == []


def _changes(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the different things that a plan would do to each part."""
    return {item["part"]: sorted({change["change"] for change in item["changes"]}) for item in plan["parts"]}


def _assert_equal(plan: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> None:
    """Demand that a plan's resources are those of the engine: type, name, parent, dependencies, inputs, protection."""
    resources = {resource["urn"]: resource for resource in plan["resources"]}
    shown = {urn for urn, state in states.items() if not state["type"].startswith("pulumi:providers:")}
    assert set(resources) | {urn for urn in shown if STACK_TYPE in urn} == shown
    assert any(STORE in urn for urn in resources)
    for urn, resource in resources.items():
        state = states[urn]
        assert resource["type"] == state["type"]
        assert resource["name"] == urn.rsplit("::", 1)[1]
        assert resource["parent"] == state.get("parent")
        assert sorted(resource["dependencies"]) == sorted(state.get("dependencies") or [])
        assert resource["protect"] == bool(state.get("protect"))
        known = {name: value for name, value in state.get("inputs", {}).items() if not name.startswith("__")}
        assert _alike(resource["inputs"], known), (urn, resource["inputs"], known)


def _alike(planned: Any, real: Any) -> bool:
    """Whether values are equal where the plan, which asks no target, can know them."""
    if planned == UNKNOWN:
        return real is not None
    if isinstance(planned, Mapping) and isinstance(real, Mapping):
        return set(planned) == set(real) and all(_alike(planned[name], real[name]) for name in planned)
    if isinstance(planned, list) and isinstance(real, list):
        return len(planned) == len(real) and all(_alike(one, other) for one, other in zip(planned, real, strict=True))
    return type(planned) is type(real) and bool(planned == real)
