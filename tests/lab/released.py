"""A release in a store, whose baseline says what its model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mlinfra import Capture, DriftMonitor, Endpoint, Rollout, drift, js_divergence, rmse
from mlinfra.artifacts import ArtifactStore
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.testing.specimens import MODEL
from mlinfra_serving.drift import build_profile


def watched(name: str) -> tuple[Endpoint, DriftMonitor]:
    """Return an endpoint whose gates ask for quality and drift, and its monitor."""
    endpoint = Endpoint(
        name,
        model=MODEL,
        runtime="sklearn",
        capture=Capture(percent=100),
        rollout=Rollout(gates=[rmse() <= 1, drift()], label_delay="1s"),
    )
    thresholds = {"hours": js_divergence() <= 0.2}
    monitor = DriftMonitor(name, endpoint=endpoint, baseline=MODEL.trained_by, every="1h", thresholds=thresholds)
    return endpoint, monitor


def released(store: ArtifactStore, stack: str, endpoint: Endpoint, folder: Path) -> Release:
    """Put a release into the store: its baseline has the hours of half a day. `folder` is for what is on the way."""
    hours = np.random.default_rng(7).uniform(0, 12, 2000)
    baseline = folder / "baseline"
    baseline.mkdir()
    profile = build_profile(pd.DataFrame({"hours": hours, "prediction": hours * 2}))
    profile.write(baseline / "profile.json")
    identity = Identity(
        artifact="sha256:" + "1" * 64,
        runtime=Runtime(name="sklearn", version="1"),
        spec=endpoint.spec(),
        signature={"inputs": [], "outputs": []},
        baseline=store.put_tree(baseline),
    )
    provenance = Provenance(created="2026-01-01T00:00:00Z", author="a", run="r")
    made = Release(stack=stack, endpoint=endpoint.name, identity=identity, provenance=provenance)
    store.put_release(stack, made.digest, made.to_json())
    return made
