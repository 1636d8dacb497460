"""A small declared environment that tests change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mlinfra import (
    Capture,
    Compute,
    Dataset,
    DriftMonitor,
    Endpoint,
    Entity,
    Feature,
    FeatureStore,
    ModelRegistry,
    Stack,
    TrainingJob,
    auc,
    js_divergence,
)
from mlinfra.digests import digest_json
from mlinfra.environment import Environment
from mlinfra.releases import Identity, Pin, Provenance, Release, Runtime
from mlinfra.resolve import Declared, DeclaredStack, Lines

Declare = Callable[..., Declared]


def build_stack(**changes: Mapping[str, Any]) -> Stack:
    """Return a stack with a part of every kind; `changes` are fields by the plural of the kind."""
    stack = Stack("flights", owner="me@example.com")
    weather = stack.add(
        FeatureStore(
            **{
                "name": "weather", "entity": Entity("airport"), "event_time": "observed_at",
                "features": [Feature("wind")], "source": "features.py:weather",
                **changes.get("feature_stores", {}),
            }
        )
    )  # fmt: skip
    job = stack.add(
        TrainingJob(
            **{
                "name": "train", "code": "train.py", "inputs": {"rows": Dataset("data.py:rows", features=[weather])},
                "params": {"depth": 3}, "accept": [auc() >= 0.6], **changes.get("training_jobs", {}),
            }
        )
    )  # fmt: skip
    model = stack.add(ModelRegistry(**{"name": "model", "trained_by": job, **changes.get("model_registries", {})}))
    api = stack.add(
        Endpoint(
            **{
                "name": "api", "model": model, "runtime": "sklearn", "compute": Compute(cpus=2),
                "capture": Capture(percent=20), **changes.get("endpoints", {}),
            }
        )
    )  # fmt: skip
    stack.add(
        DriftMonitor(
            **{
                "name": "api", "endpoint": api, "baseline": job, "every": "1h",
                "thresholds": {"wind": js_divergence() <= 0.1}, **changes.get("drift_monitors", {}),
            }
        )
    )  # fmt: skip
    return stack


def build_release(stack: Stack, number: int = 1, **changes: Any) -> Release:
    """Return a release of the stack's endpoint; other numbers are other artifacts."""
    endpoint = next(stack.of_kind(Endpoint))
    made = Release(
        stack=stack.name,
        endpoint=endpoint.name,
        identity=Identity(
            artifact=digest_json(["artifact", number]),
            runtime=Runtime(name="sklearn", version="1.7.0"),
            spec=endpoint.spec(),
            signature={"inputs": [{"name": "wind", "type": "FP64", "required": True}]},
            baseline=digest_json(["baseline", number]),
        ),
        provenance=Provenance(created=f"2013-01-{number:02}T00:00:00Z", author="me", run=f"run-{number}"),
    )
    return made.model_copy(update=changes)


def build_declared(
    stack: Stack,
    *,
    releases: list[Release] | None = None,
    lock: Mapping[str, Pin] | None = None,
    newest: Mapping[str, Pin] | None = None,
    **environment: Any,
) -> Declared:
    """Return what was written: the stack in an environment of the local target."""
    fields = {"name": "dev", "target": "local", "stacks": ["flights"], **environment}
    lines = Lines(
        {("override", path): 10 + index for index, path in enumerate(environment.get("override", {}))},
        "environments/dev.yaml",
        {("api", "release"): 2, ("api", "previous"): 3},
        "environments/dev.lock.yaml",
    )
    return Declared(
        Environment.model_validate(fields),
        [DeclaredStack(stack, "flights", digest_json("code"))],
        dict(lock or {}),
        {release.digest: release for release in releases or ()},
        lines,
        dict(newest or {}),
    )


@pytest.fixture
def make_stack() -> Callable[..., Stack]:
    """Builds a stack with a part of every kind."""
    return build_stack


@pytest.fixture
def make_release() -> Callable[..., Release]:
    """Builds releases of a stack's endpoint."""
    return build_release


@pytest.fixture
def make_declared() -> Declare:
    """Builds what was written for an environment."""
    return build_declared


@pytest.fixture
def pinned() -> Declared:
    """The stack with a release and the one before, both pinned."""
    stack = build_stack()
    new, old = build_release(stack, 2), build_release(stack, 1)
    lock = {"api": Pin(release=new.digest, previous=old.short)}
    return replace(build_declared(stack, releases=[new, old]), lock=lock)
