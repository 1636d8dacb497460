"""Three environments on one machine: dev follows what is trained, staging and prod what their locks pin.

The tests go on from each other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from mlinfra.releases import Release
from tests.end_to_end.repository import ENDPOINT, Platform

pytestmark = [pytest.mark.engine, pytest.mark.local]

NAMES = ("dev", "staging", "prod")
MORE_MEMORY = "override: {endpoints.crowds.compute.memory_gib: 3}\n"


@dataclass(frozen=True)
class Releases:
    """Two releases of one model: the later one captures more requests."""

    first: Release
    second: Release


@pytest.fixture(scope="module")
def releases(moved: Platform) -> Releases:
    """The release that dev trained, as its store has it, and one that was written on another machine."""
    first = moved.release()
    spec = {**first.identity.spec, "capture": {"percent": 60}}
    second = first.model_copy(update={"identity": first.identity.model_copy(update={"spec": spec})})
    folder = moved.folder / "releases" / "crowds"
    folder.mkdir(parents=True)
    for release, data in ((first, moved.store().release("crowds", first.digest)), (second, second.to_json())):
        (folder / f"{release.digest.removeprefix('sha256:')}.json").write_bytes(data)
    return Releases(first, second)


@pytest.fixture(scope="module")
def platform(moved: Platform, releases: Releases) -> Platform:
    """All three up, made at the same time; prod by plain `pulumi up`, from nothing."""
    pin(moved, "staging", releases.first)
    pin(moved, "prod", releases.second)
    with ThreadPoolExecutor(3) as pool:
        made = [
            pool.submit(moved.mlinfra, "up", "dev"),
            pool.submit(moved.mlinfra, "up", "staging"),
            pool.submit(moved.pulumi, "prod", "up", "--yes", "--skip-preview"),
        ]
    for done in made:
        done.result()
    return moved


def pin(platform: Platform, environment: str, release: Release, previous: Release | None = None) -> None:
    """Write an environment's lock."""
    lines = [f"{ENDPOINT}:", f"  release: {release.digest}"]
    if previous is not None:
        lines.append(f"  previous: {previous.digest}")
    platform.write(f"environments/{environment}.lock.yaml", "\n".join([*lines, ""]))


def servers(platform: Platform, environment: str) -> dict[str, int]:
    """Return the pid of each release's server."""
    programs = platform.programs(environment)
    return {name.split("/")[2][:12]: pid for name, pid in programs.items() if name.startswith("server/")}


def changes(platform: Platform, environment: str) -> dict[str, str]:
    """Return what a plan would do to which resources, where it does anything."""
    return {
        f"{change['type'].rpartition(':')[2]} {change['name']}": change["change"]
        for part in platform.read("plan", environment)["parts"]
        for change in part["changes"]
        if change["change"] != "same"
    }


class TestSideBySide:
    def test_each_serves_what_it_pins(self, platform: Platform, releases: Releases) -> None:
        assert platform.answering("dev") == releases.first.short
        assert platform.answering("staging") == releases.first.short
        assert platform.answering("prod") == releases.second.short

    def test_with_processes_ports_and_sockets_of_its_own(self, platform: Platform) -> None:
        processes = [{process.pid for process in platform.processes(name)} for name in NAMES]
        ports = [set(platform.ports(name).values()) for name in NAMES]
        assert len(set.union(*processes)) == sum(len(found) for found in processes)
        assert len(set.union(*ports)) == sum(len(found) for found in ports)
        assert len({platform.layout(name).supervisor_socket for name in NAMES}) == 3

    def test_only_dev_trained(self, platform: Platform) -> None:
        assert [len(platform.runs(name)) for name in NAMES] == [1, 0, 0]
        assert "training does not happen in prod" in platform.mlinfra("train", "prod", code=1).stderr


class TestPromotion:
    def test_the_previous_release_keeps_its_server(self, platform: Platform, releases: Releases) -> None:
        old, new = releases.first.short, releases.second.short
        [pid], ports = servers(platform, "staging").values(), platform.ports("staging")
        pin(platform, "staging", releases.second, releases.first)
        # what was changed since does not touch the server to which one would go back
        platform.edit("stacks: [crowds]\n", f"stacks: [crowds]\n{MORE_MEMORY}", "environments/staging.yaml")
        assert changes(platform, "staging") == {
            f"ModelVersion crowds-{new}": "create",
            f"Server crowds-{new}": "create",
            "Traffic crowds": "update",
            "DriftSchedule crowds": "update",
        }

        with platform.clients("staging") as asked:
            platform.mlinfra("up", "staging")

        assert asked.failures == []
        assert (asked.releases[0], asked.releases[-1]) == (old, new)
        assert servers(platform, "staging")[old] == pid
        assert platform.ports("staging").items() >= ports.items()
        assert platform.router("staging").observe().weights == {new: 100}
        assert changes(platform, "staging") == {}

    def test_a_split_that_was_set_by_hand_is_left_by_the_engine_and_put_right_by_an_up(
        self, platform: Platform, releases: Releases
    ) -> None:
        weights = {releases.first.short: 30, releases.second.short: 70}
        router, service = platform.router("staging"), platform.session("staging").service
        service.shift(ENDPOINT, weights, service.observe(ENDPOINT).generation + 1)
        platform.pulumi("staging", "refresh", "--yes")
        platform.pulumi("staging", "up", "--yes")
        assert router.observe().weights == weights
        assert changes(platform, "staging") == {}
        assert "30 % to" in platform.mlinfra("verify", "staging", code=1).stdout
        platform.mlinfra("up", "staging")
        assert router.observe().weights == {releases.second.short: 100}

    def test_all_requests_taken_back_by_hand_stay_where_they_are(self, platform: Platform, releases: Releases) -> None:
        weights = {releases.first.short: 100}
        router, service = platform.router("staging"), platform.session("staging").service
        service.shift(ENDPOINT, weights, service.observe(ENDPOINT).generation + 1)
        # the exit code and the table say that this is not what the lock wants
        shown = platform.mlinfra("up", "staging", "--refresh", code=1).stdout
        assert f"healthy, but {releases.second.short} is wanted" in shown
        assert "was taken back by hand" in shown
        # nor does what mends a router that is gone undo it
        platform.supervisor("staging").remove_program(f"router/{ENDPOINT}")
        platform.mlinfra("up", "staging", code=1)
        assert router.observe().weights == weights

    def test_swapping_the_two_lines_brings_the_previous_one_back(self, platform: Platform, releases: Releases) -> None:
        old, new = releases.first.short, releases.second.short
        before = servers(platform, "staging")
        pin(platform, "staging", releases.first, releases.second)
        platform.edit(MORE_MEMORY, "", "environments/staging.yaml")
        assert changes(platform, "staging") == {"Traffic crowds": "update", "DriftSchedule crowds": "update"}
        with platform.clients("staging") as asked:
            platform.mlinfra("up", "staging")
        assert asked.failures == []
        assert asked.releases[-1] == old
        assert platform.router("staging").observe().weights == {old: 100}
        assert servers(platform, "staging") == before
        assert set(before) == {old, new}


class TestDestroyData:
    def test_it_is_confirmed(self, platform: Platform) -> None:
        platform.mlinfra("down", "staging", "--destroy-data", code=2)
        assert platform.answering("staging")

    def test_it_removes_all_of_one_environment_and_nothing_of_the_others(self, platform: Platform) -> None:
        others = [platform.programs(name) for name in ("dev", "prod")]
        platform.mlinfra("down", "staging", "--destroy-data", "--yes")
        assert platform.remains("staging") == []
        assert not platform.layout("staging").folder.exists()
        assert platform.read("plan", "staging")["parts"][0]["changes"][0]["change"] == "create"
        assert [platform.programs(name) for name in ("dev", "prod")] == others
        assert platform.ask("prod").status_code == 200
        platform.mlinfra("down", "staging", "--destroy-data", "--yes")
