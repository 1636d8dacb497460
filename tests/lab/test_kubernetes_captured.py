"""What servers in the lab's cluster capture is where gates of quality and drift read it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mlinfra import Rollout
from mlinfra.adapters import Deployment, ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.rollout.samples import ReleaseSamples, Samples
from mlinfra_providers.kubernetes.service import KubernetesService
from mlinfra_providers.remote.shipped import shipped_url
from tests.lab.kubernetes.target import ARTIFACTS
from tests.lab.released import released, watched
from tests.lab.test_kubernetes_target import ENDPOINT, Platform, cluster, platform, until

__all__ = ["cluster", "platform"]
pytestmark = pytest.mark.local

REQUESTS = 60
STORE = f"s3://{ARTIFACTS}/models"
DECLARED, MONITOR = watched(ENDPOINT)


def test_gates_get_quality_and_drift_of_what_pods_captured(platform: Platform, tmp_path: Path) -> None:
    release, begun = (
        released(ArtifactStore(STORE), "stack", DECLARED, tmp_path),
        datetime.now(UTC) - timedelta(seconds=5),
    )
    written = {"name": "prod", "target": "kubernetes", "stacks": ["stack"], "context": "lab", "artifacts": STORE}
    environment = Environment.model_validate(written)
    platform.release(release.short, 2, captured=shipped_url(environment, DECLARED), called="captured")
    platform.route(captured=1)
    until(lambda: platform.ready("captured"), "the release")
    truth = {}
    with httpx.Client(base_url=platform.target._gateway.base_url, trust_env=False, timeout=60) as client:
        for number in range(REQUESTS):
            # far from what it was trained on
            asked = {"name": "hours", "datatype": "FP64", "shape": [1], "data": [30.0 + number % 7]}
            body = json.dumps({"id": f"r{number}", "inputs": [asked]})
            answer = client.post(f"/prod-mlinfra/{ENDPOINT}/v2/models/{ENDPOINT}/infer", content=body)
            truth[f"r{number}"] = answer.raise_for_status().json()["outputs"][0]["data"][0]
    service = KubernetesService(environment, tmp_path)
    assert service.add_labels(ENDPOINT, truth) == REQUESTS
    part = ResolvedPart(
        "stack", "owner", "stack", "sha256:0", DECLARED,
        deployments=[Deployment(release, DECLARED)], monitors=[MONITOR],
    )  # fmt: skip

    def measured() -> ReleaseSamples | None:
        found = service.samples(part, begun, datetime.now(UTC))
        assert isinstance(found, Samples)
        told = found.releases[release.short]
        return told if told.labelled_of == REQUESTS else None

    told = until(measured, "what was captured")
    assert list(told.predictions) == list(told.labels)
    assert len(told.labels) == REQUESTS
    assert told.drifted_columns == 1
    plain = replace(part, part=replace(DECLARED, rollout=Rollout()))
    without = service.samples(plain, begun, datetime.now(UTC))
    assert isinstance(without, Samples)
    assert without.releases[release.short].labels is None
