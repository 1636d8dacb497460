"""The contract. Its core: no field is ever silently ignored.

Every field of every part is changed in turn; each change must change what the adapter registers, or be refused with
a reason and a way out. Where a field shows in behaviour alone, a test of that behaviour is named in `behaviours`.
Passing is necessary, not sufficient: compare golden files, and run the real thing.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from mlinfra.adapters import Adapter, Instance, Service, load_adapter
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.part import Part
from mlinfra.diff import Change, difference
from mlinfra.problems import Problem, Problems
from mlinfra.resources import Resource, Resources
from mlinfra.testing.judge import Judge, Outcome, environment, record_resolved, resolve_scene
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene, Variation, fields, variations

_NEEDS = [
    Compute(cpus=cpus, memory_gib=memory, gpus=gpus)
    for cpus in (1, 3, 16, 512)
    for memory in (0.5, 2, 100, 24576)
    for gpus in (0, 1, 16)
]
_TRACES = ("Calling __str__ on an Output", "<pulumi.output.Output object")


class AdapterContract:
    """Subclass it as `class TestMine(AdapterContract)` and set `adapter_name` to the name of the entry point."""

    adapter_name: ClassVar[str]

    behaviours: ClassVar[Mapping[str, Callable[[], object]]] = {}
    """Fields that change what the target does, but no resource: each with a test that fails were it not so."""

    without_data: ClassVar[frozenset[str]] = frozenset()
    """Resource types of stateful parts that hold no data, such as a role, and need no protection."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make one test for each field and for each kind of part (pytest calls this)."""
        if "field" in metafunc.fixturenames:
            metafunc.parametrize("field", fields_to_examine())
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])

    # the core of the contract

    def test_no_field_is_ignored(self, field: str) -> None:
        """Each change of a field changes the resources or the behaviour, or is refused."""
        outcomes = []
        for variation in _variations(self.adapter_name).get(field, []):
            verdict = self.judge().verdict(variation)
            outcomes.append(verdict.outcome)
            if verdict.outcome is Outcome.REFUSED:
                _check_refusals(verdict.problems)
            elif verdict.outcome is Outcome.IGNORED and field not in self.behaviours:
                raise AssertionError(
                    f"{field} is ignored: with {variation.value!r} {self.adapter_name} registers the same as before. "
                    f"Honour it, refuse it in refuse(), or name a test of its behaviour in `behaviours`."
                )
        if outcomes and set(outcomes) == {Outcome.UNTOLD}:
            raise AssertionError(f"{field}: nothing could be said, every specimen is refused for another field")
        if field in self.behaviours:
            self.behaviours[field]()

    def test_behaviours_name_fields(self) -> None:
        """What is said about fields is about fields that there are."""
        noted = {entry.partition("=")[0] for entry in self.adapter().not_yet}
        unknown = {*self.behaviours, *noted} - set(fields())
        _expect(not unknown, f"no such fields: {', '.join(sorted(unknown))}")

    # the adapter as such

    def test_loads_by_its_entry_point(self) -> None:
        """The adapter is found under its name, and calls itself so."""
        adapter = self.adapter()
        _expect(adapter.name == self.adapter_name, f"it calls itself {adapter.name!r}")
        _expect(bool(adapter.proved_against.strip()), "proved_against is empty: say what it was tried with")
        kinds = {name.partition(".")[0] for name in fields()}
        unknown = sorted(set(adapter.proofs) - kinds)
        _expect(not unknown, f"proofs: {', '.join(unknown)} is none of {', '.join(sorted(kinds))}")

    def test_speaks_the_protocol(self, tmp_path: Path) -> None:
        """The adapter and its service have all that the protocols demand, with the same parameters."""
        adapter = self.adapter()
        _check_protocol(adapter, Adapter)
        _check_protocol(adapter.service(environment(adapter, {}), tmp_path), Service)

    def test_instances_fit(self) -> None:
        """The machine for a need has what was asked for, and is the same each time; None where there is none."""
        for need in _NEEDS:
            first, again = self.adapter().instance(need), self.adapter().instance(need)
            _expect(first == again, f"{need} gave {first}, then {again}")
            if first is not None:
                _expect(isinstance(first, Instance), f"{need} gave {first!r}, which is no Instance")
                fits = first.cpus >= need.cpus and first.memory_gib >= need.memory_gib and first.gpus >= need.gpus
                _expect(fits, f"{need} gave {first}, which has less")

    def test_is_deterministic_and_pure(self) -> None:
        """The same declarations register the same, byte by byte, in any process; nothing else is done."""
        results = [_fingerprint(self.adapter_name, seed) for seed in ("1", "2")]
        _expect(all(result["same"] for result in results), "recorded twice in one process: not the same")
        same = results[0]["digests"] == results[1]["digests"]
        _expect(same, "recorded with another hash seed: not the same; does something iterate over a set?")
        _expect(not results[0]["deeds"], f"declaring did more than declare: {'; '.join(results[0]['deeds'])}")

    # what is declared

    def test_declares_before_the_first_release(self, kind: type[Part]) -> None:
        """An endpoint without a release, and what is made of it, can be declared."""
        if (accepted := self._accepted(kind)) is not None:
            resources = record_resolved(self.adapter(), resolve_scene(self.adapter(), accepted, released=False))
            _expect(bool(_own(resources, accepted.part)), f"{kind.__name__} registers nothing before a release")

    def test_resources_belong_to_their_parts(self, kind: type[Part]) -> None:
        """Every part registers something, under its own component, so that plans and policies can name the part."""
        if (accepted := self._accepted(kind)) is not None:
            resources = self._resources(accepted)
            _expect(bool(_own(resources, accepted.part)), f"{kind.__name__} registers nothing under its component")
            for resource in resources.declared():
                _expect(
                    resources.part_of(resource) is not None, f"{resource.urn} is under no part: parent=links.parent"
                )

    def test_stateful_parts_are_protected(self, kind: type[Part]) -> None:
        """What holds data cannot be destroyed by an edit."""
        if not kind.stateful or (accepted := self._accepted(kind)) is None:
            return
        own = _own(self._resources(accepted), accepted.part)
        for resource in own:
            good = resource.protect or resource.type in self.without_data
            _expect(good, f"{resource.type} of a {kind.__name__} is not protected: protect=True, or `without_data`")
        _expect(any(resource.protect for resource in own), f"nothing of a {kind.__name__} is protected")

    def test_knows_what_replaces(self, kind: type[Part]) -> None:
        """For its own types the adapter says which inputs replace, which are kept; of others it knows nothing."""
        adapter, foreign = self.adapter(), "contract:no:Type"
        _expect(adapter.replaced_by(foreign) is None, "replaced_by() answers for a type that is not its own")
        _expect(adapter.kept_by(foreign) == frozenset(), "kept_by() answers for a type that is not its own")
        _expect(adapter.loses(foreign, {}, {}) is None, "loses() answers for a type that is not its own")
        if (accepted := self._accepted(kind)) is not None:
            known = adapter.id_of(resolve_scene(adapter, accepted).environment, foreign, {})
            _expect(known is None, "id_of() answers for a type that is not its own")
            for resource in _own(self._resources(accepted), accepted.part):
                same = adapter.loses(resource.type, resource.inputs, resource.inputs)
                _expect(same is None, f"loses({resource.type!r}) answers where nothing changes: {same!r}")
                for method in (adapter.replaced_by, adapter.kept_by):
                    answer = method(resource.type)
                    good = isinstance(answer, frozenset)
                    _expect(good, f"{method.__name__}({resource.type!r}) is {answer!r}, no frozenset")

    def test_unknown_stays_unknown(self, kind: type[Part]) -> None:
        """What is known only after an `up` is passed on as a Pulumi output, never put into a text."""
        if (accepted := self._accepted(kind)) is not None:
            for resource in self._resources(accepted).declared():
                text = json.dumps(resource.to_json()["inputs"], ensure_ascii=False)
                _expect(not any(trace in text for trace in _TRACES), f"{resource.urn} has an output inside of a text")

    def test_long_names_survive(self, kind: type[Part]) -> None:
        """Two names of 63 letters that differ in the last one stay two things."""
        if (accepted := self._accepted(kind)) is None:
            return
        longest = "a0-" + "b" * 59
        one, other = (replace(accepted.part, name=f"{longest}{last}") for last in "xy")
        resolved = resolve_scene(self.adapter(), replace(accepted, part=other), beside=[one])
        resources = record_resolved(self.adapter(), resolved)
        urns = [resource.urn for resource in resources.all]
        _expect(len(urns) == len(set(urns)), f"two parts register {next((u for u in urns if urns.count(u) > 1), '')}")
        texts = [
            {
                (resource.type, path, text)
                for resource in _own(resources, part)
                for path, text in _texts(resource.inputs)
            }
            for part in (one, other)
        ]
        shared = [text for _, _, text in sorted(texts[0] & texts[1]) if longest[:20] in text]
        _expect(not shared, f"two parts share {shared[:3]}: shorten a name by a digest of it, not by cutting")

    def test_a_rename_keeps_data(self, kind: type[Part]) -> None:
        """A part with `renamed_from` is the same things under a new name: none is made, replaced or removed."""
        if not kind.stateful or (accepted := self._accepted(kind)) is None:
            return
        renamed = replace(accepted, part=replace(accepted.part, name="renamed", renamed_from=accepted.part.name))
        before, after = self._resources(accepted), self._resources(renamed)
        for change in difference(after, before, self.adapter().replaced_by, self.adapter().kept_by):
            good = change.change in (Change.SAME, Change.UPDATE)
            _expect(good, f"renaming a {kind.__name__} would {change.change} {change.resource.urn}")

    # helpers

    @classmethod
    def adapter(cls) -> Adapter:
        """Return the adapter, found by its entry point."""
        return cls.judge().adapter

    @classmethod
    def judge(cls) -> Judge:
        """Return what declares specimens through the adapter; kept, because many tests ask for the same."""
        return _judge(cls.adapter_name)

    def _accepted(self, kind: type[Part]) -> Scene | None:
        """Return the small specimen, or None where the target refuses the kind as such."""
        scene = Scene(SMALL[kind])
        observed = self.judge().observe(scene)
        if isinstance(observed, Resources):
            return scene
        _check_refusals(observed)
        return None

    def _resources(self, scene: Scene) -> Resources:
        observed = self.judge().observe(scene)
        if not isinstance(observed, Resources):
            raise AssertionError(str(Problems(observed)))
        return observed


def fields_to_examine() -> list[str]:
    """Return the fields that have a variation, in order."""
    return [field for field in fields() if field in _variations()]


@cache
def _variations(adapter_name: str | None = None) -> Mapping[str, list[Variation]]:
    found: dict[str, list[Variation]] = {}
    for variation in variations(load_adapter(adapter_name).place if adapter_name else None):
        found.setdefault(variation.field, []).append(variation)
    return found


@cache
def _judge(name: str) -> Judge:
    return Judge(load_adapter(name))


def _expect(good: bool, message: str) -> None:
    # not `assert`: pytest rewrites it only in modules that it knows, and -O drops it
    if not good:
        raise AssertionError(message)


def _check_refusals(problems: Iterator[Problem] | Any) -> None:
    for problem in problems:
        _expect(bool(problem.path), f"a refusal names no field: {problem}")
        _expect(bool(problem.message.strip()), f"the refusal of {problem.path} gives no reason")
        _expect(bool(problem.remedy.strip()), f"the refusal of {problem.path} names no way out: remedy=…")


def _check_protocol(found: object, protocol: type) -> None:
    name = type(found).__name__
    for attribute in protocol.__annotations__:
        _expect(hasattr(found, attribute), f"{name} has no {attribute}")
    for method, expected in inspect.getmembers(protocol, inspect.isfunction):
        if method.startswith("_"):
            continue
        own = getattr(found, method, None)
        _expect(callable(own), f"{name} has no {method}()")
        wanted = [(item.name, item.kind) for item in list(inspect.signature(expected).parameters.values())[1:]]
        has = [(item.name, item.kind) for item in inspect.signature(own).parameters.values()]  # type: ignore[arg-type]
        shown = ", ".join(item for item, _ in wanted)
        _expect(has[: len(wanted)] == wanted, f"{name}.{method} does not take ({shown}) as the protocol says")


def _own(resources: Resources, part: Part) -> list[Resource]:
    return [resource for resource in resources.declared() if resources.part_of(resource) == part.key]


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)


def _fingerprint(name: str, seed: str) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "mlinfra.testing.fingerprint", name],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    _expect(run.returncode == 0, f"recording in a process of its own failed:\n{run.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(run.stdout)
    return result
