"""What an adapter does with a variation: honours it, refuses it, or ignores it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mlinfra.adapters import Adapter, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.declarations.stack import Stack
from mlinfra.digests import canonical_json, digest_json
from mlinfra.environment import Environment
from mlinfra.problems import Problem, Problems
from mlinfra.realize import realize
from mlinfra.record import record
from mlinfra.releases import Identity, Pin, Provenance, Release, Runtime
from mlinfra.resolve import Declared, DeclaredStack, Lines, Resolved, resolve
from mlinfra.resources import Resources
from mlinfra.testing.specimens import ENVIRONMENT
from mlinfra.testing.variations import Scene, Variation, fields_of

_LINES = Lines({}, "environments/contract.yaml", {}, "environments/contract.lock.yaml")


class Outcome(StrEnum):
    """`UNTOLD`: both scenes are refused for something else, so nothing can be said about this field."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IGNORED = "ignored"
    UNTOLD = "untold"


@dataclass(frozen=True)
class Verdict:
    """An outcome, with the refusals where there are any, and the scene that they are of."""

    variation: Variation
    outcome: Outcome
    problems: Sequence[Problem] = ()
    refused: Scene | None = None


class Judge:
    """Declares scenes through one adapter, offline, and compares what is registered."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self._seen: dict[str, Resources | tuple[Problem, ...]] = {}
        self._footprints: dict[str, bytes] = {}

    def verdict(self, variation: Variation) -> Verdict:
        """Say what the adapter does with a variation."""
        before, after = self.observe(variation.before), self.observe(variation.after)
        for scene, observed in ((variation.after, after), (variation.before, before)):
            if not isinstance(observed, Resources):
                refusals = list(_of_field(variation, observed))
                outcome = Outcome.REFUSED if refusals else Outcome.UNTOLD
                return Verdict(variation, outcome, refusals or observed, scene)
        assert isinstance(before, Resources)
        assert isinstance(after, Resources)
        same = self._footprint(variation.before, before) == self._footprint(variation.after, after)
        return Verdict(variation, Outcome.IGNORED if same else Outcome.HONOURED)

    def observe(self, scene: Scene) -> Resources | tuple[Problem, ...]:
        """Return what the scene registers, or why it is refused."""
        key = _key(scene)
        if key not in self._seen:
            self._seen[key] = self._observe(scene)
        return self._seen[key]

    def _footprint(self, scene: Scene, resources: Resources) -> bytes:
        key = _key(scene)
        if key not in self._footprints:
            self._footprints[key] = footprint(resources, self.adapter)
        return self._footprints[key]

    def _observe(self, scene: Scene) -> Resources | tuple[Problem, ...]:
        try:
            resolved = resolve_scene(self.adapter, scene)
        except Problems as problems:
            return tuple(problems.problems)
        return record_resolved(self.adapter, resolved)


def environment(adapter: Adapter, changes: Mapping[str, Any]) -> Environment:
    """Return the environment of a scene: what the core and the target demand, and the changes."""
    fields: dict[str, Any] = {name: values[0] for name, values in ENVIRONMENT.items()}
    fields |= {"target": adapter.name, "stacks": ["specimen"], "train": True}
    if adapter.shared:
        fields["state"] = "s3://contract-state"
    fields |= {name: adapter.place[name][0] for name in ("state", "artifacts") if name in adapter.place}
    missing = adapter.refuse_environment(Environment.model_validate(fields))
    demanded = {path.partition(".")[0] for path, _, _ in missing} & set(adapter.place)
    fields |= {name: adapter.place[name][0] for name in demanded}
    return Environment.model_validate({**fields, **changes})


def resolve_scene(adapter: Adapter, scene: Scene, *, released: bool = True, beside: Iterable[Part] = ()) -> Resolved:
    """Return the scene, resolved: every endpoint serves one release and keeps the one before.

    `beside` are parts to declare as well; without `released` no endpoint has a release yet. The identity of the
    releases is the same in all scenes: otherwise a new digest would pass for a field that is honoured.

    Raises:
        Problems: what the adapter refuses.
    """
    stack = Stack("specimen", owner=scene.owner)
    for part in _with_references([*beside, scene.part]):
        stack.add(part)
    endpoints = list(stack.of_kind(Endpoint)) if released else []
    releases = {endpoint.name: [_release(endpoint, endpoint.spec(), age) for age in (0, 1)] for endpoint in endpoints}
    declared = Declared(
        environment(adapter, scene.environment),
        [DeclaredStack(stack, "specimen", scene.code)],
        {name: Pin(release=new.digest, previous=old.digest) for name, (new, old) in releases.items()},
        {release.digest: release for pair in releases.values() for release in pair},
        _LINES,
    )
    resolved = resolve(declared, adapter)
    return replace(resolved, parts=[_steady(part, scene) for part in resolved.parts])


def record_resolved(adapter: Adapter, resolved: Resolved) -> Resources:
    """Return what a resolved environment registers. The Pulumi stack's name is the same for all environments."""
    return record(lambda: realize(resolved, adapter), project="mlinfra", stack="contract")


def footprint(resources: Resources, adapter: Adapter) -> bytes:
    """Return all that an `up` acts on, as canonical JSON.

    That is without the components, which are the core's, and without the inputs that an `up` leaves as they are.
    """
    made = []
    for resource in resources.declared():
        kept = adapter.kept_by(resource.type)
        inputs = {name: value for name, value in resource.inputs.items() if name not in kept}
        names = {"aliases": list(resource.aliases), "ignore_changes": list(resource.ignore_changes)}
        made.append({**resource.to_json(), "inputs": inputs, **names})
    return canonical_json(made)


def _with_references(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts, each after those that it is made of, once."""
    seen: set[str] = set()

    def walk(part: Part) -> Iterator[Part]:
        for reference in part.references():
            yield from walk(reference)
        if part.key not in seen:
            seen.add(part.key)
            yield part

    for part in parts:
        yield from walk(part)


def _release(endpoint: Endpoint, spec: Mapping[str, Any], age: int) -> Release:
    return Release(
        stack="specimen",
        endpoint=endpoint.name,
        identity=Identity(
            artifact=digest_json(["artifact", age]),
            runtime=Runtime(name="sklearn", version=f"1.{7 - age}"),
            spec=spec,
            signature={"inputs": [{"name": "wind", "type": "FP64", "required": True}], "outputs": []},
            baseline=digest_json(["baseline", age]),
        ),
        provenance=Provenance(created=f"2013-01-0{2 - age}T00:00:00Z", author="contract", run=f"run-{age}"),
    )


def _steady(part: ResolvedPart, scene: Scene) -> ResolvedPart:
    deployments = []
    for age, deployment in enumerate(part.deployments):
        assert isinstance(part.part, Endpoint)
        release = _release(part.part, {"name": part.part.name}, age)
        deployments.append(replace(deployment, release=release, frozen=deployment.frozen and scene.frozen))
    return replace(part, deployments=deployments)


def _key(scene: Scene) -> str:
    parts = [part.spec() for part in _with_references([scene.part])]
    return digest_json([parts, dict(scene.environment), scene.owner, scene.code, scene.frozen])


def _of_field(variation: Variation, observed: Sequence[Problem]) -> Iterator[Problem]:
    """Yield the refusals that concern the varied field: its own, of what holds it, or of what its part is made of."""
    part = variation.after.part
    kind, _, field = variation.field.partition(".")
    known = {name.partition(".")[2] for name in fields_of(type(part))}
    for problem in observed:
        inside = problem.path.removeprefix(part.key)
        if inside == problem.path or kind != type(part).__name__:
            yield problem
            continue
        # positions in lists and keys of mappings are no fields
        path = ""
        for step in inside.strip(".").split("."):
            longer = f"{path}.{step}".strip(".")
            path = longer if longer in known else path
        if f"{field}.".startswith(f"{path}.") or f"{path}.".startswith(f"{field}.") or not path:
            yield problem
