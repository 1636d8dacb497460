"""What SageMaker captured comes here once, and only that of the window's hours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlinfra import Capture, Endpoint
from mlinfra.environment import Environment
from mlinfra.testing.specimens import MODEL
from mlinfra_providers.sagemaker.captured import DataCapture

RELEASE = "3f9c2ab1d07e"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDPOINT = Endpoint("api", model=MODEL, runtime="sklearn", capture=Capture(percent=100))
PLACE = f"prod/capture/api/prod-api/{RELEASE}"


def line(moment: datetime, wind: float, **more: Any) -> str:
    asked = {"inputs": [{"name": "wind", "shape": [1], "datatype": "FP64", "data": [wind]}]}
    answered = {"id": f"client-{wind:g}", "outputs": [{"name": "prediction", "data": [wind / 10]}]}
    data = {
        side: {"observedContentType": "application/json", "encoding": "JSON", "data": json.dumps(body)}
        for side, body in (("endpointInput", asked), ("endpointOutput", answered))
    }
    about = {"eventId": f"event-{wind:g}", "inferenceTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps({"captureData": data, "eventMetadata": about})


class Bucket:
    """The part of S3's client that is asked; `fetched` are the keys that were downloaded."""

    def __init__(self, **winds: datetime) -> None:
        self.objects = {
            f"{PLACE}/{moment:%Y/%m/%d/%H}/{moment:%M-%S}-{wind}.jsonl": line(moment, float(wind[1:]))
            for wind, moment in winds.items()
        }
        self.fetched: list[str] = []

    def __call__(self, service: str) -> Any:
        assert service == "s3"
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert Bucket == "data"
        found = [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]
        yield {"Contents": found} if found else {}

    def download_file(self, bucket: str, key: str, to: str) -> None:
        self.fetched.append(key)
        Path(to).write_text(self.objects[key])


@pytest.fixture
def environment() -> Environment:
    written = {"name": "prod", "target": "sagemaker", "stacks": ["a"], "bucket": "data"}
    return Environment.model_validate({**written, "account": "111122223333", "region": "us-east-1"})


def rows(folder: Path) -> pd.DataFrame:
    files = sorted((folder / RELEASE).glob("date=*/*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files]).sort_values("wind")


def test_only_the_hours_of_the_window_come_and_only_once(environment: Environment, tmp_path: Path) -> None:
    bucket = Bucket(w1=NOON - timedelta(hours=2), w2=NOON + timedelta(minutes=5), w3=NOON + timedelta(hours=1))
    capture: Any = DataCapture(environment, bucket)  # type: ignore[arg-type]
    capture.bring(ENDPOINT, RELEASE, NOON, NOON + timedelta(minutes=30), tmp_path)
    found = rows(tmp_path)
    assert list(found["wind"]) == [2.0, 3.0]
    assert list(found["request_id"]) == ["client-2", "client-3"], "the id that a client knows, which labels name"
    capture.bring(ENDPOINT, RELEASE, NOON, NOON + timedelta(minutes=30), tmp_path)
    assert len(bucket.fetched) == 2
    assert len(rows(tmp_path)) == 2


def test_without_a_limit_all_of_it_comes(environment: Environment, tmp_path: Path) -> None:
    bucket = Bucket(w1=NOON - timedelta(days=40), w2=NOON)
    DataCapture(environment, bucket).bring(ENDPOINT, RELEASE, None, None, tmp_path)  # type: ignore[arg-type]
    assert list(rows(tmp_path)["wind"]) == [1.0, 2.0]


def test_nothing_captured_is_nothing(environment: Environment, tmp_path: Path) -> None:
    DataCapture(environment, Bucket()).bring(ENDPOINT, RELEASE, NOON, None, tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.rglob("*.parquet")) == []
