"""Labels, gates and drift on what a target captured, wherever it keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra import Capture, DriftMonitor, Endpoint, Rollout, auc, drift, error_rate, js_divergence
from mlinfra.adapters import ResolvedPart, ServedRelease, Serving
from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra.testing.specimens import MODEL
from mlinfra_providers.remote import labels as kept
from mlinfra_providers.remote import watching
from mlinfra_providers.remote.labels import Labels
from mlinfra_providers.remote.needs import need
from mlinfra_serving.drift import build_profile

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 2000
ENDPOINT = Endpoint(
    "api",
    model=MODEL,
    runtime="sklearn",
    capture=Capture(percent=100),
    rollout=Rollout(gates=[auc() >= 0.6, drift()], label_delay="1s"),
)
MONITOR = DriftMonitor(
    "api", endpoint=ENDPOINT, baseline=MODEL.trained_by, every="1h", thresholds={"wind": js_divergence() <= 0.1}
)
PART = ResolvedPart("stack", "owner", "stack", "sha256:0", ENDPOINT, monitors=[MONITOR])


class Kept:
    """What a target captured: `shift` of the wind, by release."""

    def __init__(self, **shift: float) -> None:
        self._shift = shift
        self.asked: list[str] = []

    def bring(
        self, endpoint: Endpoint, release: str, since: datetime | None, until: datetime | None, folder: Path
    ) -> None:
        self.asked.append(release)
        target = folder / release / "date=2026-11-22" / "one.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        frame(self._shift.get(release, 0.0)).to_parquet(target, index=False)


def frame(shift: float) -> pd.DataFrame:
    wind = np.random.default_rng(7).normal(size=ROWS) + shift
    return pd.DataFrame(
        {
            "request_id": [f"r{number}" for number in range(ROWS)],
            "time": [pd.Timestamp(NOON) + pd.Timedelta(seconds=number) for number in range(ROWS)],
            "release": "v",
            "mirrored": False,
            "wind": wind,
            "prediction": 1 / (1 + np.exp(-wind)),
        }
    )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.model_validate(
        {"name": "prod", "target": "x", "stacks": ["stack"], "artifacts": (tmp_path / "artifacts").as_uri()}
    )


@pytest.fixture
def release(environment: Environment, tmp_path: Path) -> str:
    """A release whose baseline is in the store."""
    store = ArtifactStore(environment.artifacts or "")
    (tmp_path / "baseline").mkdir()
    build_profile(frame(0.0)[["wind", "prediction"]]).write(tmp_path / "baseline" / "profile.json")
    made = Release(
        stack="stack",
        endpoint="api",
        identity=Identity(
            artifact="sha256:" + "1" * 64,
            runtime=Runtime(name="sklearn", version="1"),
            spec=ENDPOINT.spec(),
            signature={"inputs": [], "outputs": []},
            baseline=store.put_tree(tmp_path / "baseline"),
        ),
        provenance=Provenance(created="2026-01-01T00:00:00Z", author="a", run="r"),
    )
    store.put_release("stack", made.digest, made.to_json())
    return made.short


def found(*releases: str) -> Samples:
    return Samples(NOON, NOON + HOUR, {name: ReleaseSamples(requests=ROWS) for name in releases})


def labels_of(tmp_path: Path) -> Labels:
    return Labels((tmp_path / "labels").as_uri())


def test_labels_are_kept_once_for_each_request_and_the_last_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_FILES", 2)
    labels = labels_of(tmp_path)
    assert labels.table() is None
    assert labels.add({}) == 0
    each = ({"a": 1.0, "b": 0.0}, {"b": 1.0, "c": 0.0}, {"a": 0.0, "d": 1.0})
    assert [labels.add(given) for given in each] == [2, 1, 1]
    assert len(list((tmp_path / "labels").iterdir())) == 1
    table: Any = labels_of(tmp_path).table()
    assert dict(zip(table["request_id"].to_pylist(), table["label"].to_pylist(), strict=True)) == {
        "a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0,
    }  # fmt: skip


def test_labels_that_are_damaged_are_named(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "20260101T000000.000000-x.parquet").write_text("no parquet")
    with pytest.raises(MlinfraError, match="labels in file://"):
        labels_of(tmp_path).add({"a": 1.0})


def test_gates_get_quality_and_drift_of_each_release(environment: Environment, release: str, tmp_path: Path) -> None:
    labels = labels_of(tmp_path)
    labels.add({f"r{number}": float(number % 2) for number in range(100)})
    captured = Kept(other=3.0)
    told = watching.measured(found(release, "other"), environment, tmp_path, PART, captured, labels)
    assert isinstance(told, Samples)
    mine, other = told.releases[release], told.releases["other"]
    assert (mine.requests, mine.drifted_columns, mine.labelled_of) == (ROWS, 0, ROWS)
    assert mine.labels is not None
    assert list(mine.labels) == [float(number % 2) for number in range(100)]
    assert len(mine.predictions or ()) == 100
    assert other.drifted_columns is None, "nobody knows the baseline of a release that is in no store"
    shifted = watching.measured(found(release), environment, tmp_path, PART, Kept(**{release: 3.0}), labels)
    assert isinstance(shifted, Samples)
    assert shifted.releases[release].drifted_columns == 1


def test_rows_outside_of_the_window_do_not_count(environment: Environment, release: str, tmp_path: Path) -> None:
    window = replace(found(release), start=NOON + timedelta(seconds=10), end=NOON + timedelta(seconds=30))
    told = watching.measured(window, environment, tmp_path, PART, Kept(), labels_of(tmp_path))
    assert isinstance(told, Samples)
    assert told.releases[release].labelled_of == 20


def test_nothing_is_brought_that_no_gate_asks_for(environment: Environment, tmp_path: Path) -> None:
    captured, labels = Kept(), labels_of(tmp_path)
    plain = replace(PART, part=replace(ENDPOINT, rollout=Rollout(gates=[error_rate() <= 0.1])))
    samples = found("x")
    assert watching.measured(samples, environment, tmp_path, plain, captured, labels) is samples
    assert watching.measured(NoData("why"), environment, tmp_path, PART, captured, labels) == NoData("why")
    assert captured.asked == []


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "ok"), (3.0, "drift")])
def test_drift_is_measured_on_demand(
    environment: Environment, release: str, tmp_path: Path, shift: float, verdict: str, capsys: Any
) -> None:
    part = ResolvedPart("stack", "owner", "stack", "sha256:0", MONITOR)
    serving = Serving("api", None, [ServedRelease("old", 10, True), ServedRelease(release, 90, True)], 3)
    told = watching.drift(environment, tmp_path, part, "all", Kept(**{release: shift}), serving)
    assert (told["verdict"], told["release"], told["rows"]) == (verdict, release, ROWS)
    assert capsys.readouterr().out == ""


def test_packages_that_are_missing_are_named() -> None:
    need("a gate", "pandas")
    with pytest.raises(MlinfraError, match="a gate needs packages that are not installed: no_such, nor_this") as error:
        need("a gate", "pandas", "no_such", "nor_this")
    assert "mlinfra-toolkit[local]" in (error.value.remedy or "")


def test_drift_without_a_release_says_what_is_missing(environment: Environment, tmp_path: Path) -> None:
    part = ResolvedPart("stack", "owner", "stack", "sha256:0", MONITOR)
    with pytest.raises(MlinfraError, match="no release to compare with"):
        watching.drift(environment, tmp_path, part, "1h", Kept(), Serving("api", None, (), 0))
    serving = Serving("api", None, [ServedRelease("unknown", 100, True)], 1)
    with pytest.raises(MlinfraError, match="the release unknown is not in file://"):
        watching.drift(environment, tmp_path, part, "1h", Kept(), serving)
