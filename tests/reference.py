"""Both reference stacks by the example environment of a target, with and without releases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlinfra.adapters import load_adapter
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.digests import digest_json
from mlinfra.environment import Environment, parse_environment
from mlinfra.realize import realize
from mlinfra.record import record
from mlinfra.releases import Identity, Pin, Provenance, Release, Runtime
from mlinfra.repository import Repository
from mlinfra.resolve import Declared, resolve
from mlinfra.resources import Resources
from mlinfra.yaml_file import read_yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "environments" / "examples"
Reference = Callable[..., Resources]


def example_of(target: str) -> Environment:
    """Return the example environment of a target, called prod."""
    path = EXAMPLES / f"{target}.yaml"
    environment, problems = parse_environment(read_yaml(path.read_text(), str(path)), "prod")
    assert problems == []
    assert environment is not None
    return environment


def reference_of(example: Environment) -> Reference:
    """Return what the reference stacks register; `released`: how many releases each endpoint has."""
    adapter = load_adapter(example.target)
    known: dict[str, Resources] = {}

    def make(released: int = 2, **changes: Any) -> Resources:
        key = repr((released, sorted(changes.items())))
        if key not in known:
            fields = {**example.model_dump(exclude_unset=True), "name": "prod", **changes}
            resolved = resolve(declared(Environment.model_validate(fields), released), adapter)
            known[key] = record(lambda: realize(resolved, adapter), project="mlinfra", stack="prod")
        return known[key]

    return make


def declared(environment: Environment, released: int) -> Declared:
    """Return the reference stacks with so many releases of each endpoint, the newest serving."""
    local = Repository(ROOT).load("prod")
    stacks = [replace(item, code=digest_json(["code", item.folder])) for item in local.stacks]
    releases: dict[str, list[Release]] = {}
    for item in stacks:
        for endpoint in item.stack.of_kind(Endpoint):
            releases[endpoint.name] = [_release(item.stack.name, endpoint, number) for number in (2, 1)][:released]
    return replace(
        local,
        environment=environment,
        stacks=stacks,
        lock={
            name: Pin(release=made[0].digest, previous=made[1].digest if len(made) > 1 else None)
            for name, made in releases.items()
            if made
        },
        releases={release.digest: release for made in releases.values() for release in made},
    )


def protected(resources: Resources) -> set[str]:
    """Return the types of which every resource is protected: one that is not would be enough to lose data."""
    found = list(resources.declared())
    return {item.type for item in found if item.protect} - {item.type for item in found if not item.protect}


def _release(stack: str, endpoint: Endpoint, number: int) -> Release:
    return Release(
        stack=stack,
        endpoint=endpoint.name,
        identity=Identity(
            artifact=digest_json(["artifact", stack, number]),
            runtime=Runtime(name=endpoint.runtime, version="1.7.0"),
            spec=endpoint.spec(),
            signature={"inputs": [{"name": "wind", "type": "FP64", "required": True}], "outputs": []},
            baseline=digest_json(["baseline", stack, number]),
        ),
        provenance=Provenance(created=f"2026-01-{number:02}T00:00:00Z", author="contract", run=f"run-{number}"),
    )
