"""resolve(): pure, deterministic; locked and latest; every problem and refusal at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra import Compute, Stack
from mlinfra.adapters import Instance, load_adapter
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem, Problems
from mlinfra.releases import Pin, Release
from mlinfra.resolve import Declared, Refusals, release_file, resolve

LOCAL = load_adapter("local")
Make = Callable[..., Any]


@dataclass
class Choosy:
    """A target that refuses what it is told to."""

    name: str = "choosy"
    proved_against: str = ""
    shared: bool = False
    largest: int = 512
    refused: tuple[str, ...] = ()
    environment_refused: tuple[str, ...] = ()

    def refuse_environment(self, environment: Environment) -> Iterable[tuple[str, str, str]]:
        return [(field, "has no use for this", "remove it") for field in self.environment_refused]

    def refuse(self, part: Part, environment: Environment) -> Iterable[Problem]:
        if part.key in self.refused:
            yield Problem("", 0, f"{part.key}.compute", f"cpus {part.spec()['compute']['cpus']}", remedy="fewer")

    def instance(self, need: Compute) -> Instance | None:
        return Instance(f"m{need.cpus}", need.cpus, need.memory_gib) if need.cpus <= self.largest else None


def resolved(declared: Declared, adapter: Any = LOCAL) -> Any:
    return resolve(declared, adapter)


def said(declared: Declared, adapter: Any = LOCAL, kind: type[Problems] = Problems) -> list[str]:
    with pytest.raises(kind) as raised:
        resolve(declared, adapter)
    assert type(raised.value) is kind
    return [str(problem) for problem in raised.value.problems]


def test_parts_keep_their_order_and_their_stack(pinned: Declared) -> None:
    found = resolved(pinned)
    assert [part.key for part in found.parts] == [
        "feature_stores.weather", "training_jobs.train", "model_registries.model", "endpoints.api",
        "drift_monitors.api",
    ]  # fmt: skip
    part = found.part("endpoints.api")
    assert (part.stack, part.owner, part.folder) == ("flights", "me@example.com", "flights")
    assert [item.key for item in found.of_kind(type(part.part))] == ["endpoints.api"]


def test_parts_with_compute_get_an_instance(pinned: Declared) -> None:
    found = resolved(pinned, Choosy())
    assert {part.key: part.instance.name for part in found.parts if part.instance} == {
        "training_jobs.train": "m1",
        "endpoints.api": "m2",
    }


def test_locked_serves_the_pinned_release_and_freezes_the_previous(pinned: Declared) -> None:
    new, old = resolved(pinned).part("endpoints.api").deployments
    assert (new.release.provenance.run, new.frozen) == ("run-2", False)
    assert (old.release.provenance.run, old.frozen) == ("run-1", True)


def test_an_endpoint_without_a_pin_has_no_release(make_stack: Make, make_declared: Make, make_release: Make) -> None:
    stack = make_stack()
    declared = make_declared(stack, releases=[make_release(stack)])
    assert resolved(declared).part("endpoints.api").deployments == []


def test_latest_serves_what_was_accepted_last(make_stack: Make, make_declared: Make, make_release: Make) -> None:
    stack = make_stack()
    first, second = make_release(stack, 1), make_release(stack, 2)
    declared = make_declared(stack, releases=[second, first], newest={"api": Pin(release=first.digest)}, train=True)
    declared = replace(declared, environment=declared.environment.model_copy(update={"releases": "latest"}))
    (deployment,) = resolved(declared).part("endpoints.api").deployments
    assert (deployment.release.digest, deployment.frozen) == (first.digest, False)
    assert resolved(replace(declared, newest={})).part("endpoints.api").deployments == []


def test_a_release_is_realized_as_it_was_declared(make_stack: Make, make_declared: Make, make_release: Make) -> None:
    before, today = make_stack(), make_stack(endpoints={"compute": Compute(cpus=9)})
    release = make_release(before)
    endpoint = resolved(make_declared(today, releases=[release], lock={"api": Pin(release=release.digest)})).part(
        "endpoints.api"
    )
    assert endpoint.part.compute.cpus == 9
    assert endpoint.deployments[0].part.compute.cpus == 2


def test_releases_of_renamed_parts_are_found(make_stack: Make, make_declared: Make, make_release: Make) -> None:
    release = make_release(make_stack())
    renamed = make_stack(
        endpoints={"name": "new-api", "renamed_from": "api"},
        model_registries={"name": "new-model", "renamed_from": "model"},
    )
    override = {"endpoints.new-api.compute.cpus": 7}
    declared = make_declared(
        renamed, releases=[release], lock={"new-api": Pin(release=release.digest)}, override=override
    )
    (deployment,) = resolved(declared).part("endpoints.new-api").deployments
    assert deployment.part.model.key == "model_registries.new-model"
    assert deployment.part.compute.cpus == 7
    latest = replace(
        declared,
        environment=declared.environment.model_copy(update={"releases": "latest", "train": True}),
        lock={},
        newest={"api": Pin(release=release.digest)},
    )
    assert len(resolved(latest).part("endpoints.new-api").deployments) == 1
    (text,) = said(replace(declared, lock={"api": Pin(release=release.digest)}))
    assert "did you mean 'new-api'?" in text


@pytest.mark.parametrize(
    ("lock", "text"),
    [
        ({"api": Pin(release="0123456789")}, "dev.lock.yaml:2: api.release: names no release, or more than one"),
        ({"api": Pin(release="a")}, "names no release"),
        ({"apl": Pin(release="0123456789")}, "apl: is no endpoint here (expected api, did you mean 'api'?)"),
    ],
)
def test_pins_that_name_nothing(make_stack: Make, make_declared: Make, lock: Mapping[str, Pin], text: str) -> None:
    (found,) = said(make_declared(make_stack(), lock=lock))
    assert text in found


def test_a_missing_release_says_the_way_out(pinned: Declared) -> None:
    (text,) = said(replace(pinned, releases={}, lock={"api": Pin(release=next(iter(pinned.releases)))}))
    assert text.startswith("environments/dev.lock.yaml:2: api.release: names no release")
    assert "→ mlinfra promote" in text


def test_pins_that_fit_badly(pinned: Declared, make_stack: Make, make_release: Make) -> None:
    new = pinned.lock["api"].release
    (text,) = said(replace(pinned, lock={"api": Pin(release=new, previous=new)}))
    assert "dev.lock.yaml:3: api.previous: is the serving release itself" in text
    other = make_release(make_stack(), 1, endpoint="other")
    lock = {"api": Pin(release=other.digest)}
    (text,) = said(replace(pinned, releases={other.digest: other}, lock=lock))
    assert "is a release of 'other'" in text
    latest = pinned.environment.model_copy(update={"releases": "latest"})
    (text,) = said(replace(pinned, environment=latest))
    assert "releases: is latest, but there is a lock file" in text


def test_a_release_that_no_longer_fits_names_its_file(pinned: Declared) -> None:
    release = pinned.releases[pinned.lock["api"].release]
    spec = {**release.identity.spec, "runtime": "tensorflow", "model": "model_registries.gone"}
    broken = release.model_copy(update={"identity": release.identity.model_copy(update={"spec": spec})})
    found = said(replace(pinned, releases={broken.digest: broken}, lock={"api": Pin(release=broken.digest)}))
    assert [text.partition(": is")[0] for text in found] == [
        f"{release_file(broken)}: identity.spec.model",
        f"{release_file(broken)}: identity.spec.runtime",
    ]


def test_two_stacks_cannot_declare_the_same_part(pinned: Declared, make_stack: Make) -> None:
    other = make_stack()
    other.name = "other"
    again = replace(pinned.stacks[0], stack=other, folder="other")
    found = said(replace(pinned, stacks=[*pinned.stacks, again]))
    assert len(found) == 5
    assert "stacks/other/stack.py: endpoints.api: is also declared by stack 'flights'; both live in dev" in found[1]


def test_posting_nowhere_is_a_problem(make_stack: Make, make_declared: Make) -> None:
    stack = make_stack(drift_monitors={"on_drift": "webhook"})
    (text,) = said(make_declared(stack))
    assert "webhook: is missing: drift_monitors.api would post nowhere" in text
    assert resolved(make_declared(stack, webhook="https://example.com"))
    assert resolved(make_declared(stack, override={"drift_monitors.api.on_drift": "log"}))


def test_refusals_are_all_said_with_a_way_out(pinned: Declared) -> None:
    adapter = Choosy(shared=True, largest=1, refused=("training_jobs.train",), environment_refused=("train",))
    found = said(pinned, adapter, Refusals)
    assert len(found) == 5
    assert all("→" in text for text in found)
    text = "\n".join(found)
    assert "endpoints.api.compute: fits no machine of choosy (found 2 CPUs, 2 GiB, 0 GPUs)" in text
    assert "environments/dev.yaml: state: is missing: choosy needs one that the whole team and CI reach" in text
    assert "environments/dev.yaml: train: choosy has no use for this" in text
    assert "training_jobs.train.compute: cpus 1" in text
    assert Refusals(()).exit_code == 3


def test_what_a_release_needs_is_refused_too(make_stack: Make, make_declared: Make, make_release: Make) -> None:
    release = make_release(make_stack())
    today = make_stack(endpoints={"compute": Compute(cpus=1)})
    declared = make_declared(today, releases=[release], lock={"api": Pin(release=release.digest)})
    found = said(declared, Choosy(refused=("endpoints.api",)), Refusals)
    assert [text.partition(": ")[2].partition("\n")[0] for text in found] == ["cpus 1", "cpus 2"]


def test_problems_come_with_refusals(pinned: Declared) -> None:
    environment = pinned.environment.model_copy(update={"override": {"nothing.here": 1}})
    found = said(replace(pinned, environment=environment), Choosy(largest=1))
    assert len(found) == 2
    assert Problems(()).exit_code == 2


def _shuffled(value: Any, order: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _shuffled(item, order) for key, item in order(list(value.items()))}
    return value


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_the_same_input_gives_the_same_bytes(data: st.DataObject) -> None:
    """Whatever order the mappings of the input are in; and the input is not changed."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("builders", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    builders = module_from_spec(spec)
    spec.loader.exec_module(builders)

    def declared(order: Callable[[list[Any]], list[Any]]) -> Declared:
        params = _shuffled({"depth": 3, "rate": 0.1, "solver": "x"}, order)
        stack: Stack = builders.build_stack(training_jobs={"params": params})
        new, old = builders.build_release(stack, 2), builders.build_release(stack, 1)
        override = _shuffled(
            {
                "endpoints.api.compute.cpus": 3,
                "endpoints.api.compute.memory_gib": 5,
                "training_jobs.train.params.depth": 5,
                "feature_stores.weather.ttl": "2h",
            },
            order,
        )
        lock = {"api": Pin(release=new.digest, previous=old.digest)}
        made: Declared = builders.build_declared(stack, releases=order([new, old]), lock=lock, override=override)
        return made

    plain = declared(list)
    mixed = declared(lambda items: data.draw(st.permutations(items)))
    first = resolve(plain, LOCAL).to_json()
    assert resolve(mixed, LOCAL).to_json() == first
    assert resolve(plain, LOCAL).to_json() == first


def test_release_file(pinned: Declared) -> None:
    release: Release = pinned.releases[pinned.lock["api"].release]
    assert str(release_file(release)) == f"releases/flights/{release.digest[7:]}.json"
