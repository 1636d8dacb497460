"""Specimens: small and full parts of every kind, and the parts that they are made of.

The small one has what the declaration demands and nothing else, so that a target which refuses one field still
shows what it does with the others. In the full ones the fields differ from their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlinfra.declarations.check import auc, error_rate, js_divergence, p95_ms, prometheus, serving
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Capture, Endpoint, Rollout, Scale
from mlinfra.declarations.feature_store import Entity, Feature, FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import Dataset, TrainingJob

KINDS: tuple[type[Part], ...] = (FeatureStore, TrainingJob, ModelRegistry, Endpoint, DriftMonitor)
"""Every kind of part, in the order in which they are made of each other."""

NAME = "specimen"


def _store(name: str) -> FeatureStore:
    return FeatureStore(
        name,
        entity=Entity("airport"),
        event_time="observed_at",
        features=[Feature("wind"), Feature("visibility")],
        source="features.py:weather",
    )


def _endpoint(name: str, model: ModelRegistry) -> Endpoint:
    return Endpoint(name, model=model, runtime="sklearn", capture=Capture(percent=20))


STORE, OTHER_STORE = _store("store"), _store("other-store")
JOB, OTHER_JOB = TrainingJob("job", code="train.py"), TrainingJob("other-job", code="train.py")
MODEL, OTHER_MODEL = ModelRegistry("model", trained_by=JOB), ModelRegistry("other-model", trained_by=JOB)
ENDPOINT, OTHER_ENDPOINT = _endpoint("endpoint", MODEL), _endpoint("other-endpoint", MODEL)

OTHERS: Mapping[type[Part], Part] = {
    FeatureStore: OTHER_STORE,
    TrainingJob: OTHER_JOB,
    ModelRegistry: OTHER_MODEL,
    Endpoint: OTHER_ENDPOINT,
}
"""What a reference to a part of this kind can be changed to."""

SMALL: Mapping[type[Part], Part] = {
    FeatureStore: FeatureStore(
        NAME, entity=Entity("airport"), event_time="observed_at", features=[Feature("wind")], source="features.py:rows"
    ),
    TrainingJob: TrainingJob(NAME, code="train.py"),
    ModelRegistry: ModelRegistry(NAME, trained_by=JOB),
    Endpoint: Endpoint(NAME, model=MODEL, runtime="sklearn"),
    DriftMonitor: DriftMonitor(
        NAME, endpoint=ENDPOINT, baseline=JOB, every="1h", thresholds={"wind": js_divergence() <= 0.1}
    ),
}

_ROLLOUT = Rollout(
    steps=[50, 100],
    bake="10m",
    gates=[
        p95_ms() <= 50,
        error_rate() <= 1.5 * serving(),
        auc() >= 0.6,
        prometheus("errors", url="http://localhost:9090") <= 0.01,
    ],
    min_samples=200,
    patience="20m",
    keep_warm="12h",
    label_delay="5m",
)

FULL: Mapping[type[Part], tuple[Part, ...]] = {
    FeatureStore: (
        FeatureStore(
            NAME,
            entity=Entity("station", key="int64"),
            event_time="known_at",
            features=[Feature("wind", "int64"), Feature("visibility", "string")],
            source="features.py:full_rows",
            refresh="6h",
            online=False,
            ttl="14d",
        ),
    ),
    TrainingJob: (
        TrainingJob(
            NAME,
            code="train_more.py",
            inputs={"flights": Dataset("data.py:flights", refresh="1d")},
            params={"depth": 1, "rate": 0.5, "solver": "exact", "shuffle": False},
            compute=Compute(cpus=2, memory_gib=4),
            spot=True,
            max_runtime="30m",
            accept=[auc() >= 0.62],
        ),
        TrainingJob(
            NAME,
            code="train.py",
            inputs={"flights": Dataset("data.py:flights", features=[STORE]), "weather": STORE},
        ),
    ),
    ModelRegistry: (ModelRegistry(NAME, trained_by=OTHER_JOB),),
    Endpoint: (
        Endpoint(
            NAME,
            model=OTHER_MODEL,
            runtime="xgboost",
            compute=Compute(cpus=2, memory_gib=4),
            scale=Scale(min=2, max=4, target_rps=50),
            capture=Capture(percent=20),
            rollout=replace(_ROLLOUT, shadow="5m"),
        ),
        # a target without copies of requests says what it does with the rest
        Endpoint(NAME, model=MODEL, runtime="sklearn", rollout=_ROLLOUT),
    ),
    DriftMonitor: (
        DriftMonitor(
            NAME,
            endpoint=OTHER_ENDPOINT,
            baseline=JOB,
            every="2h",
            thresholds={"wind": js_divergence() <= 0.2},
            on_drift="webhook",
        ),
        # a target without a monitor of its own says what it does with the rest
        DriftMonitor(
            NAME, endpoint=ENDPOINT, baseline=JOB, every="1h", thresholds={"wind": js_divergence() <= 0.1}, native=True
        ),
    ),
}

_COMPUTE = (Compute(cpus=4), Compute(memory_gib=8), Compute(gpus=1))
_SCALE = (Scale(max=2, target_rps=50), Scale(min=0, target_rps=50), Scale(target_rps=50))

BY_HAND: Mapping[str, tuple[Any, ...]] = {
    "TrainingJob.params": (
        {"depth": 2}, {"depth": True}, {"depth": 1.5}, {"depth": "1"}, {"solver": "fast"}, {"width": 1},
    ),
    "TrainingJob.compute": _COMPUTE,
    "TrainingJob.accept.metric": ("rmse",),
    "TrainingJob.accept.argument": ("team lead",),
    "TrainingJob.accept.address": ("http://localhost:9090",),
    "Endpoint.compute": _COMPUTE,
    "Endpoint.scale": _SCALE,
    "Endpoint.rollout.steps": ((10, 50, 100), (100,)),
    "Endpoint.rollout.gates.metric": ("p99_ms",),
    "Endpoint.rollout.gates.argument": ("timeouts",),
    "Endpoint.rollout.gates.address": ("http://localhost:9091",),
    "DriftMonitor.thresholds.metric": ("js_distance", "linf", "psi", "ks", "cramers_v"),
    "DriftMonitor.thresholds.argument": ("team lead",),
    "DriftMonitor.thresholds.address": ("http://localhost:9090",),
}  # fmt: skip
"""Values to change a field to where its type does not say enough, or where several fields must fit together."""

DETERMINED: Mapping[str, str] = {
    "DriftMonitor.baseline": "the declaration demands the job that trained what the endpoint serves",
    "DriftMonitor.thresholds.operator": "the declaration demands an upper bound",
    **{
        f"{check}.{field}": "the declaration leaves it to gates of a rollout"
        for check in ("TrainingJob.accept", "DriftMonitor.thresholds")
        for field in ("relative", "argument", "address")
    },
}
"""Fields that cannot differ alone: their declaration refuses every other value, for this reason."""

BY_THE_CORE: Mapping[str, str] = {
    "target": "chooses the adapter",
    "stacks": "chooses the stacks that are read",
    "train": "says whether `up` trains",
    "releases": "chooses the releases that are deployed",
    "state": "chooses the backend that keeps the state",
    "secrets_provider": "is given to the engine",
    "override": "changes declared values before an adapter sees them",
    "destroy_data": "lets an `up` destroy what it names",
    "policies": "says how strictly `mlinfra check` judges",
    "budget": "is what `mlinfra cost` and the rules compare the estimate with",
    "usage": "completes the estimate by what only its user knows",
    "accept_from": "says where promotions may come from",
    "soak": "is a precondition of a promotion",
    "approvals": "is a precondition of a promotion",
    "signed_by": "is a precondition of a promotion, and checked before a release is deployed",
    "tick_every": "says how often `mlinfra tick` is called",
    "commitments": "lowers the prices of the estimate",
}
"""Fields of an environment that the core carries out, the same on every target."""

ENVIRONMENT: Mapping[str, tuple[Any, Any]] = {
    "name": ("contract", "other"),
    "artifacts": ("s3://contract-artifacts", "s3://other-artifacts"),
    "webhook": ("https://hooks.example.com/drift", "https://other.example.com/drift"),
}
"""Fields of an environment that an adapter must carry out, with two values each."""

PLACE: Mapping[str, tuple[Any, Any]] = {
    "account": ("111122223333", "444455556666"),
    "region": ("eu-west-1", "eu-central-1"),
    "resource_group": ("group", "other-group"),
    "workspace": ("workspace", "other-workspace"),
    "namespace": ("namespace", "other-namespace"),
    "context": ("cluster", "other-cluster"),
    "network": (
        {"vpc": "vpc-1", "subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]},
        {"vpc": "vpc-2", "subnets": ["subnet-3", "subnet-4"], "security_groups": ["sg-2"]},
    ),
    "encryption": ({"key": "alias/one"}, {"key": "alias/other"}),
    "images": (
        {"serving": f"registry/serving@sha256:{'1' * 64}", "training": f"registry/training@sha256:{'1' * 64}"},
        {"serving": f"registry/serving@sha256:{'2' * 64}", "training": f"registry/training@sha256:{'2' * 64}"},
    ),
    "bucket": ("contract-data", "other-data"),
    "tags": ({"cost-center": "one"}, {"cost-center": "other"}),
}
"""Fields of an environment that only some targets have, with two values each for those that refuse them; a target that
has one brings its own values (`Adapter.place`)."""
