"""Rows of a feature store on the emulated SageMaker: read here, written as records of the feature group."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlinfra import Entity, Feature, FeatureStore
from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.sagemaker import clients, feature_rows
from mlinfra_providers.sagemaker.service import SageMakerService
from tests.lab.aws.emulator import REGION, Emulator

pytestmark = pytest.mark.local

ACCOUNT = "123456789012"
BUCKET, GROUP = "lab-features-data", "prod-weather"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlinfra@sha256:{'1' * 64}"
HEAD = """
    import pandas as pd

    def weather():
        times = pd.date_range("2026-01-01T09:30:00.5Z", periods={rows}, freq="h")
        return pd.DataFrame({{
            "origin": ["a", "b"] * ({rows} // 2), "observed_at": times, "wind": [{wind}, None] * ({rows} // 2),
            "gusts": range({rows}),
        }})
"""
STORE = FeatureStore(
    "weather",
    entity=Entity("origin", key="string"),
    event_time="observed_at",
    features=[Feature("wind", "float64"), Feature("gusts", "int64")],
    source="sources.py:weather",
)


class Features:
    """A repository with one feature store, and an environment on the emulated SageMaker."""

    def __init__(self, folder: Path, aws: Emulator) -> None:
        self.aws = aws
        self.folder = folder / "stacks" / "crowds"
        self.folder.mkdir(parents=True)
        self.source()
        self.environment = Environment.model_validate(
            {
                "name": "prod",
                "target": "sagemaker",
                "stacks": ["crowds"],
                "account": ACCOUNT,
                "region": REGION,
                "bucket": BUCKET,
                "artifacts": f"s3://{BUCKET}/models",
                "images": {"serving": IMAGE, "training": IMAGE},
            }
        )
        self.service = SageMakerService(self.environment, folder)

    def source(self, rows: int = 60, wind: float = 3.5) -> None:
        (self.folder / "sources.py").write_text(textwrap.dedent(HEAD.format(rows=rows, wind=wind)))

    def make(self, kinds: dict[str, str] | None = None) -> None:
        given = {
            "origin": "String",
            "observed_at": "String",
            "wind": "Fractional",
            "gusts": "Integral",
            **(kinds or {}),
        }
        self.aws.slow(0)
        self.aws.sagemaker.create_feature_group(
            FeatureGroupName=GROUP,
            RecordIdentifierFeatureName="origin",
            EventTimeFeatureName="observed_at",
            FeatureDefinitions=[{"FeatureName": name, "FeatureType": kind} for name, kind in given.items()],
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/features"}},
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/features",
        )

    def ingest(self, store: FeatureStore = STORE) -> tuple[Ingested, list[str]]:
        said: list[str] = []
        part = ResolvedPart("crowds", "a@example.com", "crowds", code_digest(self.folder), store)
        return self.service.ingest(part, say=said.append), said

    def offline(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.aws.records()["offline"].get(GROUP, [])
        return found

    def online(self) -> Any:
        return self.aws.records()["online"][GROUP]


@pytest.fixture
def features(empty_aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Features]:
    for name, value in empty_aws.environment.items():
        monkeypatch.setenv(name, value)
    for kept in (clients._client, clients._check_account):
        kept.cache_clear()
    empty_aws.reset()
    where = {"LocationConstraint": REGION}
    empty_aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    yield Features(tmp_path, empty_aws)
    empty_aws.reset()
    for kept in (clients._client, clients._check_account):
        kept.cache_clear()


def test_rows_are_written_and_the_newest_are_online(features: Features) -> None:
    features.make()
    done, said = features.ingest()
    assert (done.rows, done.written, len(features.offline())) == (60, True, 60)
    newest = {"origin": "a", "observed_at": "2026-01-03T19:30:00.500Z", "wind": "3.5", "gusts": "58"}
    assert features.online()["a"] == newest
    assert "wind" not in features.online()["b"]  # it has no value
    again, said = features.ingest()
    assert (again.written, said, len(features.offline())) == (False, [], 60)


def test_only_what_is_new_is_written(features: Features) -> None:
    features.make()
    features.ingest()
    features.source(rows=62)
    done, said = features.ingest()
    assert (done.rows, len(features.offline())) == (62, 62)
    assert said[-1] == "weather: 2 of them are new"
    features.source(rows=62, wind=4.0)
    features.ingest()
    assert len(features.offline()) == 62 + 31  # those without wind are as they were


def test_a_column_more_is_written_for_all_rows(features: Features) -> None:
    features.make()
    features.ingest(replace(STORE, features=[Feature("wind", "float64")]))
    features.ingest()
    assert len(features.offline()) == 120
    assert features.online()["a"]["gusts"] == "58"


def test_a_group_that_was_made_anew_gets_all_rows(features: Features) -> None:
    features.make()
    features.ingest()
    features.aws.reset()
    with pytest.raises(MlinfraError, match="the feature store weather is not there"):
        features.ingest()
    where = {"LocationConstraint": REGION}
    features.aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    features.make()
    features.ingest()
    assert len(features.offline()) == 60


def test_what_was_not_processed_is_written_again(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    features.make()
    features.aws.fault("throttle", 2, "BatchWriteRecord")
    features.ingest()
    assert len(features.offline()) == 60
    monkeypatch.setattr(feature_rows, "PATIENCE", 2)
    features.source(rows=64)
    features.aws.fault("throttle", 100, "BatchWriteRecord")
    with pytest.raises(MlinfraError, match="the feature group prod-weather did not get to 4 records"):
        features.ingest()
    features.aws.no_faults()
    features.ingest()
    assert len(features.offline()) == 64


def test_what_a_group_does_not_take_is_said_and_written_again(features: Features) -> None:
    features.make({"wind": "Integral"})
    for _ in range(2):
        with pytest.raises(MlinfraError, match=r"does not take .*Feature wind is Integral and cannot be 3\.5"):
            features.ingest()
