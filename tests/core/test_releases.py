"""Releases and locks: named by content, and not to be changed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.digests import digest_json
from mlinfra.problems import MlinfraError
from mlinfra.releases import Identity, Pin, Provenance, Release, Runtime, find_release, parse_lock, parse_release
from mlinfra.yaml_file import read_yaml

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")
IDENTITIES = st.builds(
    Identity,
    artifact=DIGESTS,
    runtime=st.builds(Runtime, name=TEXTS, version=TEXTS),
    spec=OBJECTS,
    signature=OBJECTS,
    baseline=DIGESTS,
)
PROVENANCES = st.builds(
    Provenance,
    created=TEXTS,
    author=TEXTS,
    run=TEXTS,
    metrics=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    data=st.dictionaries(TEXTS, TEXTS, max_size=2),
    code=TEXTS,
    commit=st.none() | TEXTS,
)
RELEASES = st.builds(Release, stack=TEXTS, endpoint=TEXTS, identity=IDENTITIES, provenance=PROVENANCES)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(item) for key, item in reversed(value.items())}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(RELEASES)
def test_the_file_gives_the_release_back(release: Release) -> None:
    again = parse_release(release.to_json(), "x.json")
    assert again == release
    assert again.digest == release.digest
    assert again.to_json() == release.to_json()
    assert release.short == release.digest[7:19]


@settings(deadline=None)
@given(RELEASES, PROVENANCES, TEXTS, TEXTS)
def test_the_name_is_of_the_identity_alone(release: Release, other: Provenance, stack: str, endpoint: str) -> None:
    moved = release.model_copy(update={"provenance": other, "stack": stack, "endpoint": endpoint})
    assert moved.digest == release.digest
    turned = json.dumps(reversed_keys(json.loads(release.to_json()))).encode()
    assert parse_release(turned, "x.json").digest == release.digest


@settings(deadline=None)
@given(IDENTITIES, IDENTITIES, PROVENANCES)
def test_another_identity_is_another_release(one: Identity, other: Identity, provenance: Provenance) -> None:
    digests = [
        Release(stack="s", endpoint="e", identity=identity, provenance=provenance).digest for identity in (one, other)
    ]
    assert (digests[0] == digests[1]) == (one.model_dump(mode="json") == other.model_dump(mode="json"))


@pytest.mark.parametrize(
    "path", ["artifact", "baseline", "runtime.name", "runtime.version", "spec.runtime", "signature.inputs"]
)
def test_each_piece_of_the_identity_counts(make_release: Callable[..., Release], make_stack: Any, path: str) -> None:
    release = make_release(make_stack())
    shown = json.loads(release.to_json())
    *steps, last = path.split(".")
    inner = shown["identity"]
    for step in steps:
        inner = inner[step]
    inner[last] = digest_json("other") if path in ("artifact", "baseline") else "other"
    with pytest.raises(MlinfraError, match=r"x\.json: was changed by hand: it says sha256:.*, its identity is sha256:"):
        parse_release(json.dumps(shown).encode(), "x.json")
    shown.pop("digest")
    assert Release.model_validate(shown).digest != release.digest


def test_whole_numbers_and_floats_are_the_same_json(make_release: Callable[..., Release], make_stack: Any) -> None:
    release = make_release(make_stack())
    spec = {**release.identity.spec, "memory": 2.0}
    one, other = (
        release.model_copy(update={"identity": release.identity.model_copy(update={"spec": {**spec, "memory": value}})})
        for value in (2.0, 2)
    )
    assert one.digest == other.digest


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"5", b"\xff", b'{"digest": "x"}', b'{"digest": 5, "a": 1}'])
def test_what_is_no_release(data: bytes) -> None:
    with pytest.raises(MlinfraError, match=r"^x\.json: not a release") as raised:
        parse_release(data, "x.json")
    assert raised.value.remedy


def test_a_format_of_the_future_is_refused(make_release: Callable[..., Release], make_stack: Any) -> None:
    shown = json.loads(make_release(make_stack()).to_json())
    with pytest.raises(MlinfraError, match="not a release"):
        parse_release(json.dumps({**shown, "version": 2}).encode(), "x.json")


def test_a_file_is_readable(make_release: Callable[..., Release], make_stack: Any) -> None:
    text = make_release(make_stack()).to_json().decode()
    assert text.endswith("}\n")
    assert text.startswith('{\n  "digest": "sha256:')
    assert list(json.loads(text)) == sorted(json.loads(text))


def parse(text: str) -> tuple[dict[str, Pin], list[str]]:
    pins, problems = parse_lock(read_yaml(text, "prod.lock.yaml"))
    return pins, [str(problem) for problem in problems]


def test_a_lock() -> None:
    pins, problems = parse("api:\n  release: 3f9c2ab1\n  previous: 91d04e77a\nother: {release: sha256:abcdef0123}\n")
    assert problems == []
    assert pins == {
        "api": Pin(release="3f9c2ab1", previous="91d04e77a"),
        "other": Pin(release="sha256:abcdef0123"),
    }
    assert parse("") == ({}, [])


def test_every_problem_of_a_lock() -> None:
    pins, problems = parse(
        "api:\n  release: 12345678\n  previus: 91d04e77\nother:\n  previous: 91d04e77a\nthird: 3f9c2ab1\n"
        "fourth: {release: 3f9c2ab1}\n"
    )
    assert problems == [
        "prod.lock.yaml:2: api.release: is no text (found 12345678, expected a digest in quotes)",
        "prod.lock.yaml:3: api.previus: is no field here (found '91d04e77', expected release, previous, "
        "warm_until, hold, did you mean 'previous'?)",
        "prod.lock.yaml:4: other.release: is missing (found {'previous': '91d04e77a'}, expected a digest)",
        "prod.lock.yaml:6: third: is no pin (found '3f9c2ab1', expected {release: digest})",
    ]
    assert set(pins) == {"fourth"}
    assert parse("- a\n")[1] == ["prod.lock.yaml:1: is no mapping (expected endpoint: {release: …})"]


def test_a_release_is_found_by_its_first_digits(make_release: Callable[..., Release], make_stack: Any) -> None:
    stack = make_stack()
    releases = {release.digest: release for release in (make_release(stack, 1), make_release(stack, 2))}
    one, _ = releases.values()
    for wanted in (one.digest, one.digest[7:], one.short, one.digest[7:15]):
        assert find_release(wanted, releases) is one
    for wanted in (one.digest[7:14], "sha256:" + one.digest[7:14], "0" * 8, ""):
        assert find_release(wanted, releases) is None
    twin = {"sha256:" + one.digest[7:20] + "0" * 51: one, one.digest: one}
    assert find_release(one.digest[7:15], twin) is None
