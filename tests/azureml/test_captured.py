"""What is captured goes to the store of models, and the schedule's job measures it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra.environment import Environment
from mlinfra_providers.azureml.roles import BLOB_CONTRIBUTOR, BLOB_READER
from mlinfra_serving.drift import build_profile
from tests.reference import Reference

ML = "azure-native:machinelearningservices"
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
CAPTURED = "mlinfra/captured/prod/flight-delay"
NEVER = {"endpoints.flight-delay.capture.percent": 0}
Job = Callable[[Sequence[float]], int]


def _inputs(reference: Reference, token: str, name: str, **changes: Any) -> list[Mapping[str, Any]]:
    found = reference(1, **changes).declared()
    return [item.inputs for item in found if item.type == token and item.name.startswith(name)]


def _roles(reference: Reference, identity: str, **changes: Any) -> set[str]:
    """Return the roles that an identity has where servers bring what they capture."""
    assignments = _inputs(reference, ASSIGNMENT, identity, **changes)
    there = [item for item in assignments if f"StringLike '{CAPTURED}/*'" in item.get("condition", "")]
    return {item["roleDefinitionId"].rpartition("/")[2] for item in there}


def test_servers_bring_what_they_capture_to_the_store(reference: Reference, example: Environment) -> None:
    (deployment,) = _inputs(reference, f"{ML}:OnlineDeployment", "flight-delay")
    told = deployment["properties"]["environmentVariables"]
    assert told["MLINFRA_SERVING_CAPTURE_STORE"] == f"{example.artifacts}/captured/prod/flight-delay"
    assert told["MLINFRA_SERVING_CAPTURE_PERCENT"] == "50"
    assert _roles(reference, "flight-delay-endpoint") == {BLOB_CONTRIBUTOR}
    assert _roles(reference, "flight-delay-monitor") == {BLOB_READER}


def test_who_captures_nothing_may_not_write(reference: Reference, example: Environment) -> None:
    override = {**example.override, **NEVER}
    (deployment,) = _inputs(reference, f"{ML}:OnlineDeployment", "flight-delay", override=override)
    assert "CAPTURE" not in str(deployment["properties"]["environmentVariables"])
    assert deployment["properties"].get("dataCollector") is None
    assert _roles(reference, "flight-delay-endpoint", override=override) == set()


def test_the_alarm_posts_to_the_webhook_and_the_job_does_not(reference: Reference, example: Environment) -> None:
    override = {**example.override, "drift_monitors.flight-delay.on_drift": "webhook"}
    changes = {"override": override, "webhook": "https://hooks.example.com/drift"}
    (schedule,) = _inputs(reference, f"{ML}:Schedule", "flight-delay", **changes)
    told = schedule["properties"]["action"]["jobDefinition"]["environmentVariables"]
    assert told["MLINFRA_DRIFT_ON_DRIFT"] == "log"


@pytest.fixture
def job(reference: Reference, example: Environment, tmp_path: Path) -> Job:
    """Run the schedule's command as Azure ML does, after some requests; the model was trained on winds of up to 10."""
    (schedule,) = _inputs(reference, f"{ML}:Schedule", "flight-delay")
    definition = schedule["properties"]["action"]["jobDefinition"]
    told = {name: str(value) for name, value in definition["environmentVariables"].items()}
    columns = set(json.loads(told["MLINFRA_DRIFT_THRESHOLDS"]))
    baseline, captured, reports = (tmp_path / name for name in ("the baseline", "captured", "reports"))
    build_profile(_frame(columns, list(np.linspace(0, 10, 1000)))).write(_folder(baseline) / "profile.json")
    assert told["MLINFRA_DRIFT_CAPTURE"] == f"{example.artifacts}/captured/prod/flight-delay"
    variables = {**told, "MLINFRA_DRIFT_CAPTURE": f"file://{captured}"}
    places = {"${{inputs.baseline}}": f'"{baseline}"', "${{outputs.reports}}": f'"{reports}"'}

    def run(winds: Sequence[float]) -> int:
        if len(winds):
            now = datetime.now(UTC)
            frame = _frame(columns, winds).assign(request_id="r", time=now, mirrored=False)
            day = captured / told["MLINFRA_DRIFT_RELEASE"] / f"date={now:%Y-%m-%d}"
            frame.to_parquet(_folder(day) / "one.parquet")
        command = definition["command"]
        for name, folder in places.items():
            command = command.replace(name, folder)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **variables, "PATH": path}
        return subprocess.run(["bash", "-c", command], env=environment, check=False).returncode

    return run


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _frame(columns: set[str], values: Sequence[float]) -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys(sorted(columns), values))


def test_no_request_is_no_failure(job: Job) -> None:
    assert job([]) == 0


def test_requests_like_the_rows_of_training_are_no_drift(job: Job, tmp_path: Path) -> None:
    assert job(list(np.linspace(0, 10, 400))) == 0
    assert json.loads((tmp_path / "reports" / "latest.json").read_text())["verdict"] == "ok"


def test_other_requests_fail_the_run_and_block(job: Job, tmp_path: Path) -> None:
    assert job(list(np.linspace(20, 30, 400))) == 1
    assert (tmp_path / "reports" / "blocked.json").is_file()
