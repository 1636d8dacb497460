"""What tells two releases apart: metrics, specification, columns, versions, digests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlinfra.declarations.stack import Stack
from mlinfra.operations.release_difference import Difference, difference_of
from mlinfra.releases import Release, Runtime

BOTH = [{"name": "wind", "type": "FP64", "required": True}, {"name": "dest", "type": "BYTES", "required": True}]


@pytest.fixture
def release(make_stack: Callable[..., Stack], make_release: Callable[..., Release]) -> Release:
    return changed(make_release(make_stack()), signature={"inputs": BOTH, "outputs": [{"name": "p", "type": "FP64"}]})


def changed(release: Release, **identity: Any) -> Release:
    return release.model_copy(update={"identity": release.identity.model_copy(update=identity)})


def made(release: Release, **provenance: Any) -> Release:
    return release.model_copy(update={"provenance": release.provenance.model_copy(update=provenance)})


def paths(changes: Any) -> list[tuple[str, Any, Any]]:
    return [(item.path, item.before, item.after) for item in changes]


def test_a_release_differs_in_nothing_from_itself(release: Release) -> None:
    found = difference_of(release, release)
    assert found.same
    assert (found.metrics, found.spec, found.identity, found.provenance) == ([], [], [], [])
    assert found.inputs.same
    assert found.outputs.same


def test_provenance_alone_does_not_make_another_release(release: Release) -> None:
    found = difference_of(release, made(release, run="run-9", data={"rows": "sha256:1"}, code="sha256:2"))
    assert found.same
    assert paths(found.provenance) == [
        ("code", "", "sha256:2"),
        ("data.rows", None, "sha256:1"),
        ("run", "run-1", "run-9"),
    ]
    assert found.identity == []


def test_metrics_of_both_are_side_by_side(release: Release) -> None:
    found = difference_of(made(release, metrics={"auc": 0.7, "loss": 1.0}), made(release, metrics={"auc": 0.7, "r": 0}))
    assert [(item.name, item.before, item.after) for item in found.metrics] == [
        ("auc", 0.7, 0.7),
        ("loss", 1.0, None),
        ("r", None, 0.0),
    ]


def test_what_makes_the_digest_is_told_by_path(release: Release) -> None:
    other = changed(
        release,
        artifact=f"sha256:{'c' * 64}",
        baseline=f"sha256:{'d' * 64}",
        runtime=Runtime(name="sklearn", version="1.9.1"),
        spec={**release.identity.spec, "compute": {"cpus": 4, "memory_gib": 2.0, "gpus": 0}},
    )
    found = difference_of(release, other)
    assert not found.same
    assert paths(found.spec) == [("compute.cpus", 2, 4)]
    assert paths(found.identity) == [
        ("artifact", release.identity.artifact, other.identity.artifact),
        ("baseline", release.identity.baseline, other.identity.baseline),
        ("runtime.version", "1.7.0", "1.9.1"),
    ]


def inputs(release: Release, columns: list[dict[str, Any]]) -> Difference:
    return difference_of(release, changed(release, signature={**release.identity.signature, "inputs": columns}))


def test_columns_are_added_removed_and_retyped(release: Release) -> None:
    wind, dest = BOTH
    new = {"name": "temp", "type": "FP64", "required": False}
    found = inputs(release, [{**wind, "type": "INT64"}, new]).inputs
    assert found.to_json() == {
        "added": [new],
        "removed": [dest],
        "retyped": [{"before": wind, "after": {**wind, "type": "INT64"}}],
        "reordered": False,
    }
    assert not found.same


def test_a_column_that_may_be_null_now_is_retyped(release: Release) -> None:
    wind, dest = BOTH
    assert inputs(release, [{**wind, "required": False}, dest]).inputs.retyped == [(wind, {**wind, "required": False})]


def test_the_order_of_columns_makes_another_release(release: Release) -> None:
    found = inputs(release, BOTH[::-1])
    assert not found.same
    assert found.inputs.reordered
    assert not found.inputs.same
    assert found.outputs.same


def test_a_column_in_between_is_no_other_order(release: Release) -> None:
    wind, dest = BOTH
    assert not inputs(release, [wind, {"name": "temp", "type": "FP64"}, dest]).inputs.reordered


def test_a_model_without_a_signature_has_no_columns(release: Release) -> None:
    found = difference_of(changed(release, signature={}), release)
    assert [column["name"] for column in found.inputs.added] == ["wind", "dest"]
    assert [column["name"] for column in found.outputs.added] == ["p"]
