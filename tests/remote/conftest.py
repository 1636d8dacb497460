"""A repository with one stack, an environment elsewhere, and a target whose jobs are processes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlinfra import Check, Compute, Entity, Feature, FeatureStore, TrainingJob
from mlinfra.adapters import ResolvedPart, Run
from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.training.code import code_digest
from mlinfra_providers.remote.place import Place as Where
from mlinfra_providers.remote.training import train
from tests.remote.processes import Processes

IMAGE = f"registry.example/training@sha256:{'1' * 64}"
SOURCES = """
    import pandas as pd

    def rows():
        times = pd.to_datetime(["2026-01-01T10:00Z", "2026-01-01T11:00Z", "2026-01-01T12:00Z"])
        return pd.DataFrame({"event_timestamp": times, "origin": ["a", "b", "a"], "late": [0.0, 1.0, 0.0]})

    def weather():
        times = pd.to_datetime(["2026-01-01T09:30Z", "2026-01-01T10:30Z"])
        return pd.DataFrame({"origin": ["a", "b"], "observed_at": times, "wind": [3.5, 7.25]})
"""
GOOD = """
    import pandas as pd
    from sklearn.dummy import DummyRegressor
    import mlinfra.training

    run = mlinfra.training.run()
    rows = pd.read_parquet(run.inputs["rows"]) if "rows" in run.inputs else pd.DataFrame({"late": [0.0, 1.0, 0.0]})
    print("training on", len(rows), "rows", flush=True)
    run.log_metric("score", run.params["score"])
    model = DummyRegressor(strategy="constant", constant=run.params["score"]).fit(rows[["late"]], rows["late"])
    run.save_model(model, example=rows[["late"]], predictions=rows["late"])
"""


class Place:
    """A repository and a target; each test trains a script of its own in it."""

    def __init__(self, root: Path) -> None:
        self.repository = root / "repository"
        self.environment = Environment.model_validate(
            {
                "name": "prod",
                "target": "elsewhere",
                "stacks": ["crowds"],
                "artifacts": (root / "artifacts").as_uri(),
                "images": {"serving": IMAGE, "training": IMAGE},
            }
        )
        self.store = ArtifactStore(self.environment.artifacts or "")
        self.where = Where(given=(root / "bucket/given").as_uri(), runs=(root / "bucket/runs").as_uri())
        (root / "machines").mkdir()
        self.jobs = Processes(root / "machines")
        self.folder = self.repository / "stacks" / "crowds"
        self.folder.mkdir(parents=True)
        (self.folder / "sources.py").write_text(textwrap.dedent(SOURCES))
        (self.folder / "stack.py").write_text("# what is declared is no part of the code\n")

    def job(self, script: str = GOOD, **more: Any) -> ResolvedPart:
        (self.folder / "train.py").write_text(textwrap.dedent(script))
        declared: Mapping[str, Any] = {
            "code": "train.py",
            "params": {"score": 0.75},
            "accept": [Check("score", ">=", 0.5)],
            "compute": Compute(cpus=1, memory_gib=1),
            "max_runtime": "1h",
            **more,
        }
        job = TrainingJob("train", **declared)
        return ResolvedPart("crowds", "a@example.com", "crowds", code_digest(self.folder), job)

    def train(self, part: ResolvedPart, *, again: bool = False, **more: Any) -> tuple[Run, list[str]]:
        lines: list[str] = []
        run = train(
            self.environment, self.repository, part, self.jobs, self.where, again=again, say=lines.append, **more
        )
        return run, lines


def weather() -> FeatureStore:
    return FeatureStore(
        "weather",
        entity=Entity("origin", key="string"),
        event_time="observed_at",
        features=[Feature("wind", "float64")],
        source="sources.py:weather",
    )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.jobs.close()
