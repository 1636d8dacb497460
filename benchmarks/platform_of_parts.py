"""A generated repository with any number of resources: small stacks of all kinds, each endpoint with a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.repository import Repository
from mlinfra.resolve import release_file

ENVIRONMENT = "bench"
RESOURCES_PER_STACK = 20
"""The components of 9 parts, and 11 resources: 5 feature stores, a job, a registry, a monitor, and an endpoint's
version, server and traffic."""

_STACK = '''"""Number {number} of many."""

from mlinfra import (
    Capture, Dataset, DriftMonitor, Endpoint, Entity, Feature, FeatureStore, ModelRegistry, Stack, TrainingJob, auc,
    js_divergence,
)

stack = Stack("s{number}", owner="bench@example.com")
stores = [
    stack.add(
        FeatureStore(
            f"s{number}-{{name}}", entity=Entity(f"{{name}}_id"), event_time="at", source=f"features.py:{{name}}",
            features=[Feature("mean"), Feature("count", "int64"), Feature("last")], ttl="3h",
        )
    )
    for name in ("user", "item", "shop", "region", "device")
]
job = stack.add(
    TrainingJob(
        "s{number}", code="train.py", inputs={{"rows": Dataset("features.py:rows", features=stores)}},
        params={{"depth": 4}}, accept=[auc() >= 0.6],
    )
)
models = stack.add(ModelRegistry("s{number}", trained_by=job))
api = stack.add(Endpoint("s{number}", model=models, runtime="sklearn", capture=Capture(percent=10)))
stack.add(
    DriftMonitor("s{number}", endpoint=api, baseline=job, every="1h", thresholds={{"mean": js_divergence() <= 0.1}})
)
'''
_PROJECT = """name: mlinfra
main: stacks/
runtime: {name: python}
"""
_PROGRAM = """from mlinfra.program import main

main()
"""
_SIGNATURE: dict[str, Any] = {
    "inputs": [{"name": f"input_{number}", "type": "FP64", "required": True} for number in range(8)],
    "outputs": [{"name": "prediction", "type": "FP64"}],
}


def write_repository(folder: Path, resources: int) -> Path:
    """Write a repository whose environment `bench` has `resources` resources (a multiple of 20); return its folder."""
    stacks = resources // RESOURCES_PER_STACK
    names = [f"s{number:04}" for number in range(stacks)]
    _write(folder / "Pulumi.yaml", _PROJECT)
    _write(folder / "stacks" / "__main__.py", _PROGRAM)
    for name in names:
        _write(folder / "stacks" / name / "stack.py", _STACK.format(number=name.removeprefix("s")))
        _write(folder / "stacks" / name / "train.py", f'"""Trains {name}."""\n')
        _write(folder / "stacks" / name / "features.py", f'"""The rows of {name}."""\n')
    listed = "".join(f"  - {name}\n" for name in names)
    _write(folder / "environments" / f"{ENVIRONMENT}.yaml", f"target: local\nstacks:\n{listed}")
    pins = [
        _release(folder, item.stack.name, endpoint)
        for item in Repository(folder).load(ENVIRONMENT).stacks
        for endpoint in item.stack.of_kind(Endpoint)
    ]
    _write(folder / "environments" / f"{ENVIRONMENT}.lock.yaml", "".join(pins))
    return folder


def _release(folder: Path, stack: str, endpoint: Endpoint) -> str:
    digest = "sha256:" + endpoint.name.removeprefix("s") * 16
    release = Release(
        stack=stack,
        endpoint=endpoint.name,
        identity=Identity(
            artifact=digest,
            runtime=Runtime(name="sklearn", version="1.7.0"),
            spec=endpoint.spec(),
            signature=_SIGNATURE,
            baseline=digest,
        ),
        provenance=Provenance(created="2026-01-01T00:00:00Z", author="bench", run="run"),
    )
    path = folder / release_file(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(release.to_json())
    return f"{endpoint.name}:\n  release: {release.digest}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
