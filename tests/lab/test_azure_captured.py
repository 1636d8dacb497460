"""What servers behind the emulated Azure ML capture is where gates of quality and drift read it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest

from mlinfra import Rollout
from mlinfra.adapters import Deployment, ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import ReleaseSamples, Samples
from mlinfra_providers.azureml.clients import Azure
from mlinfra_providers.azureml.naming import endpoint_name
from mlinfra_providers.azureml.places import abfs, tree
from mlinfra_providers.azureml.resources.endpoint import OnlineEndpoint
from mlinfra_providers.azureml.service import AzureMLService
from mlinfra_providers.remote.shipped import shipped_url
from mlinfra_serving.drift.capture import parse_window, read_capture
from tests.lab.azure.emulator import Emulator
from tests.lab.azure.server.account import REGION
from tests.lab.released import released, watched
from tests.lab.test_azure import ENDPOINT, ENDPOINT_INPUTS, WORKSPACE, azure, emulator

__all__ = ["azure", "emulator"]
pytestmark = pytest.mark.local

REQUESTS = 60
SECONDS = 120.0
DECLARED, MONITOR = watched(ENDPOINT)


@pytest.fixture
def environment(emulator: Emulator, azure: Azure) -> Environment:
    written = {"name": "prod", "target": "azureml", "stacks": ["stack"], "workspace": WORKSPACE, **emulator.place}
    return Environment.model_validate(written)


def _deploy(azure: Azure, environment: Environment, release: str, folder: Path) -> str:
    """Let a model that multiplies by two be served under a release's name; return where it is asked."""
    from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

    from mlinfra_serving.artifacts import write_model

    frame = pd.DataFrame({"hours": [0.0, 1.0, 2.0]})
    write_model(LinearRegression().fit(frame, frame["hours"] * 2), frame, folder / "model")
    digest = ArtifactStore(environment.artifacts or "").put_tree(folder / "model")
    called = endpoint_name(environment, ENDPOINT)
    OnlineEndpoint(Path()).create({**ENDPOINT_INPUTS, "endpointName": called})
    settings = {
        "MODE": "azureml", "NAME": ENDPOINT, "RUNTIME": "sklearn", "MODEL_DIR": abfs(tree(environment, digest)),
        "MODEL_DIGEST": digest, "RELEASE": release, "CAPTURE_STORE": shipped_url(environment, DECLARED),
    }  # fmt: skip
    variables = {f"MLINFRA_SERVING_{key}": value for key, value in settings.items()}
    properties = {"endpointComputeType": "Managed", "environmentVariables": variables}
    azure.put(f"onlineEndpoints/{called}/deployments/r{release}-1", {"location": REGION, "properties": properties})
    return str((azure.get(f"onlineEndpoints/{called}") or {})["properties"]["scoringUri"])


def _ask(url: str) -> dict[str, float]:
    """Ask for hours far from those that the model was trained on; return the answers by request."""
    answers = {}
    with httpx.Client(headers={"Authorization": "Bearer lab"}, trust_env=False, timeout=60) as client:
        for number in range(REQUESTS):
            asked = {"name": "hours", "datatype": "FP64", "shape": [1], "data": [30.0 + number % 7]}
            answer = client.post(url, content=json.dumps({"id": f"r{number}", "inputs": [asked]}))
            answers[f"r{number}"] = float(answer.raise_for_status().json()["outputs"][0]["data"][0])
    return answers


def test_gates_and_monitors_see_what_servers_captured(azure: Azure, environment: Environment, tmp_path: Path) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=5)
    service = AzureMLService(environment, tmp_path)
    monitor = ResolvedPart("stack", "owner", "stack", "sha256:0", MONITOR)
    with pytest.raises(MlinfraError, match="no release to compare with"):
        service.drift(monitor, "1h")
    release = released(ArtifactStore(environment.artifacts or ""), "stack", DECLARED, tmp_path)
    url = _deploy(azure, environment, release.short, tmp_path)
    service.shift(ENDPOINT, {release.short: 100}, 1)
    assert service.drift(monitor, "1h")["verdict"] == "no data"
    truth = _ask(url)
    assert service.add_labels(ENDPOINT, truth) == REQUESTS
    part = ResolvedPart(
        "stack", "owner", "stack", "sha256:0", DECLARED,
        deployments=[Deployment(release, DECLARED)], monitors=[MONITOR],
    )  # fmt: skip

    def told(asked: ResolvedPart) -> ReleaseSamples:
        found = service.samples(asked, begun, datetime.now(UTC))
        assert isinstance(found, Samples)
        return found.releases[release.short]

    end = time.monotonic() + SECONDS
    while (found := told(part)).labelled_of != REQUESTS:
        assert time.monotonic() < end, "what was captured does not come"
        time.sleep(0.2)
    assert found.labels is not None
    assert found.predictions == found.labels
    assert len(found.labels) == REQUESTS
    assert found.drifted_columns == 1
    result = service.drift(monitor, "1h")
    assert (result["verdict"], result["rows"]) == ("drift", REQUESTS)
    # as the schedule's job reads it
    url, window = shipped_url(environment, DECLARED), parse_window("1h", datetime.now(UTC))
    assert len(read_capture(url, release.short, window).frame) == REQUESTS
    assert read_capture(f"{url}-other", release.short, window).frame.empty
    assert told(replace(part, part=replace(DECLARED, rollout=Rollout()))).labels is None
