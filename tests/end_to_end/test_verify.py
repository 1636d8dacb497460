"""mlinfra verify, on real parts: each way in which lock, state and truth can come apart is named, with what mends it.

The tests go on from each other: each leaves the platform as its lock wants it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlinfra.digests import short
from mlinfra.releases import Release
from tests.cli.test_json import check
from tests.end_to_end.repository import ENDPOINT, Platform, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.local]

KEY = f"endpoints.{ENDPOINT}"
UP, REFRESH = "mlinfra up staging", "mlinfra up staging --refresh"


@pytest.fixture(scope="module")
def old(moved: Platform) -> Release:
    """The release that dev trained."""
    return moved.release()


@pytest.fixture(scope="module")
def new(moved: Platform, old: Release) -> Release:
    """Another one, of the same artifact: it captures more requests."""
    spec = {**old.identity.spec, "capture": {"percent": 60}}
    made = old.model_copy(update={"identity": old.identity.model_copy(update={"spec": spec})})
    (moved.folder / "releases" / "crowds").mkdir(parents=True)
    for release in (old, made):
        name = f"releases/crowds/{release.digest.removeprefix('sha256:')}.json"
        moved.write(name, release.to_json().decode())
    return made


@pytest.fixture(scope="module")
def platform(moved: Platform, old: Release, new: Release) -> Platform:
    """Staging, which pins both and was never up."""
    moved.write("environments/staging.lock.yaml", lock(new, old))
    return moved


def lock(release: Release, previous: Release | None = None) -> str:
    pins = {"release": release.digest, **({"previous": previous.digest} if previous else {})}
    return json.dumps({ENDPOINT: pins})


def differences(platform: Platform, code: int = 1) -> list[tuple[str, list[str], list[str], str]]:
    """Return what verify says: subject, between what, what each says, and the command that mends it."""
    found = platform.read("verify", "staging", code=code)["differences"]
    return [(item["subject"], item["between"], item["says"], item["remedy"]) for item in found]


@contextmanager
def state_with(platform: Platform, change: Any) -> Iterator[None]:
    """Change the recorded resources as `change` does with the list, and take it back."""
    path = platform.folder / ".mlinfra/state/.pulumi/stacks/mlinfra/staging.json"
    text = path.read_text()
    checkpoint = json.loads(text)
    change(checkpoint["checkpoint"]["latest"]["resources"])
    path.write_text(json.dumps(checkpoint))
    try:
        yield
    finally:
        path.write_text(text)


def test_an_environment_that_was_never_up_says_so(platform: Platform) -> None:
    says = ["the stacks declare 5 parts", "the state has nothing: staging was never up, or was taken down"]
    assert differences(platform) == [("staging", ["stacks", "state"], says, UP)]


def test_after_an_up_everything_agrees_and_nothing_is_changed(platform: Platform, old: Release, new: Release) -> None:
    platform.mlinfra("up", "staging")
    before = platform.resources("staging"), platform.programs("staging"), platform.router("staging").observe().weights
    shown = platform.mlinfra("verify", "staging").stdout
    assert shown == "staging: lock, state and truth agree: 1 endpoint, 9 resources\n"
    found = platform.read("verify", "staging")
    assert found["differences"] == []
    [endpoint] = found["endpoints"]
    assert endpoint["wanted"] == [
        {"release": release.digest, "as": role, "artifact": release.identity.artifact}
        for release, role in ((new, "release"), (old, "previous"))
    ]
    assert endpoint["recorded"] == sorted([old.short, new.short])
    assert {item["release"]: item["artifact"] for item in endpoint["releases"]} == {
        old.short: old.identity.artifact,
        new.short: new.identity.artifact,
    }
    assert [item["replicas"] for item in endpoint["releases"]] == [1, 1]
    assert before == (
        platform.resources("staging"),
        platform.programs("staging"),
        platform.router("staging").observe().weights,
    )


def test_weights_that_were_changed_by_hand(platform: Platform, old: Release, new: Release) -> None:
    service = platform.session("staging").service
    weights = {old.short: 30, new.short: 70}
    service.shift(ENDPOINT, weights, service.observe(ENDPOINT).generation + 1)
    split = " and ".join(f"{weight} % to {digits}" for digits, weight in sorted(weights.items()))
    [(subject, between, says, remedy)] = differences(platform)
    assert (subject, between) == (KEY, ["lock", "truth"])
    assert says == [f"the lock names {new.short} for all requests", f"{split} go"]
    line = f"{KEY}: lock and truth disagree: {says[0]}, {says[1]} → {remedy}"
    assert platform.mlinfra("verify", "staging", code=1).stdout == f"staging: 1 difference\n{line}\n"
    check("verify", platform.read("verify", "staging", code=1))
    assert remedy == "mlinfra up staging"
    platform.mlinfra("up", "staging")
    assert differences(platform, code=0) == []


def test_a_model_that_was_changed_then_its_server_then_the_router_ended_for_good(
    platform: Platform, old: Release, new: Release
) -> None:
    supervisor = platform.supervisor("staging")
    [server] = [name for name in platform.programs("staging") if name.startswith(f"server/{ENDPOINT}/{new.short}")]
    served = platform.layout("staging").endpoint(ENDPOINT) / "models" / new.short / "model.joblib"
    served.write_bytes(b"another model")
    supervisor.restart(server)
    wait_for(lambda: "is not tried again" in supervisor.failures().get(server, ""), "the server to end for good")
    [(subject, between, says, remedy)] = differences(platform)
    assert (subject, between, says[0], remedy) == (KEY, ["state", "truth"], f"the state has {new.short}", REFRESH)
    assert says[1].startswith("it is not healthy (")
    assert f"expected {short(new.identity.artifact)}; nothing of it was loaded" in says[1]

    supervisor.remove_program(server)
    expected = (KEY, ["state", "truth"], [f"the state has {new.short}", "it is not healthy"], REFRESH)
    assert differences(platform) == [expected]

    supervisor.remove_program(f"router/{ENDPOINT}")
    both = ", ".join(sorted([old.short, new.short]))
    expected = (KEY, ["state", "truth"], [f"the state has {both}", "nothing answers at the endpoint"], REFRESH)
    assert differences(platform) == [expected]

    platform.mlinfra("up", "staging", "--refresh")
    assert differences(platform, code=0) == []


def test_an_artifact_that_was_changed_in_the_store(platform: Platform, old: Release, new: Release) -> None:
    tree = old.identity.artifact.removeprefix("sha256:")
    path = platform.layout("staging").artifacts / "trees" / tree / "model.joblib"
    with changed(path):
        store = platform.store().url
        assert differences(platform) == [
            (
                KEY,
                ["lock", "store"],
                [f"{digits} needs the artifact {short(old.identity.artifact)}", f"it is changed in {store}"],
                "copy it from where it was stored first",
            )
            for digits in (new.short, old.short)
        ]
        shown = platform.mlinfra("releases", code=1).stdout
        assert [line.split()[-1] for line in shown.splitlines()[1:]] == ["changed", "changed"]
        platform.mlinfra("show", new.short, code=1)


def test_a_lock_that_pins_another_release(platform: Platform, old: Release, new: Release) -> None:
    platform.write("environments/staging.lock.yaml", lock(old, new))
    found = differences(platform)
    assert {(subject, *between, remedy) for subject, between, _, remedy in found} == {
        (KEY, "stacks", "state", UP),
        (KEY, "lock", "truth", UP),
        ("drift_monitors.crowds", "stacks", "state", UP),
    }
    assert any(f'release "{old.short}"' in says[0] and f'release "{new.short}"' in says[1] for _, _, says, _ in found)
    platform.write("environments/staging.lock.yaml", lock(new))
    assert differences(platform) == [
        (KEY, ["lock", "state"], [f"the lock does not name {old.short}", "the state has it"], UP)
    ]
    platform.write("environments/staging.lock.yaml", lock(new, old))


def test_a_state_that_lost_what_holds_data(platform: Platform) -> None:
    def without_store(resources: list[dict[str, Any]]) -> None:
        resources[:] = [item for item in resources if "mlinfra:part:feature_stores" not in item["urn"]]

    def without_protection(resources: list[dict[str, Any]]) -> None:
        for item in resources:
            item.pop("protect", None)

    says = ["the stacks declare it, and it holds data", "the state has nothing of it"]
    with state_with(platform, without_store):
        assert differences(platform) == [("feature_stores.weather", ["stacks", "state"], says, UP)]
    with state_with(platform, without_protection):
        found = differences(platform)
        assert {subject for subject, *_ in found} == {"feature_stores.weather", "model_registries.crowds"}
        assert all(said[0].startswith("the stacks protect ") for _, _, said, _ in found)


def test_a_declaration_that_was_changed_since(platform: Platform) -> None:
    with platform.changed("stacks: [crowds]\n", "stacks: [crowds]\noverride: {drift_monitors.crowds.every: 2h}\n",
                          "environments/staging.yaml"):  # fmt: skip
        [(subject, between, says, remedy)] = differences(platform)
    assert (subject, between, remedy) == ("drift_monitors.crowds", ["stacks", "state"], UP)
    assert says == [
        "the stacks declare DriftSchedule crowds with everySeconds 7200",
        "the state has everySeconds 3600",
    ]


@contextmanager
def changed(path: Path) -> Iterator[None]:
    good = path.read_bytes()
    path.write_bytes(good + b"?")
    try:
        yield
    finally:
        path.write_bytes(good)
