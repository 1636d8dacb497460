"""A moved repository that plain `pulumi up` brings back, and what happens to running parts behind its back.

The tests go on from each other: each leaves the platform as declared.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib  # type: ignore[import-untyped]
import pytest

from mlinfra.digests import digest_file, digest_tree, short
from mlinfra_providers.local.registry import Registry
from tests.end_to_end.conftest import First
from tests.end_to_end.repository import ENDPOINT, Platform, wait_for, without_place

pytestmark = [pytest.mark.engine, pytest.mark.local]

KINDS = {"server", "router", "drift"}


@pytest.fixture(scope="module")
def platform(moved: Platform) -> Platform:
    """The moved repository, brought up by plain `pulumi up`."""
    moved.pulumi("dev", "up", "--yes", "--skip-preview")
    return moved


@pytest.fixture
def foreigner(moved: Platform) -> Iterator[tuple[int, int]]:
    """A program of somebody else that listens on the endpoint's port: its pid, and the port."""
    code = (
        "import socket, sys; one = socket.create_server(('127.0.0.1', 0)); print(one.getsockname()[1], flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        moved.layout().ports.write_text(json.dumps({f"endpoint/{ENDPOINT}": port}))
        yield process.pid, port
        process.kill()


def test_a_port_that_somebody_else_holds_is_named_with_who_holds_it(
    moved: Platform, foreigner: tuple[int, int]
) -> None:
    pid, port = foreigner
    ended = moved.mlinfra("up", "dev", code=1)
    assert f"port {port} of endpoint/{ENDPOINT} in dev is held by pid {pid}" in ended.stderr
    assert f"stop it (kill {pid})" in ended.stderr


class TestPlainPulumi:
    def test_it_makes_the_same_resources(self, first: First, platform: Platform) -> None:
        made = without_place(platform.resources(), platform.ports().values())
        assert made == without_place(first.resources, first.ports.values())

    def test_nothing_is_trained_again_at_another_place(self, first: First, platform: Platform) -> None:
        assert len(platform.runs()) == len(first.runs)
        assert platform.answering() == first.release.short

    def test_after_it_neither_changes_anything(self, platform: Platform) -> None:
        before, programs = platform.resources(), platform.programs()
        assert "nothing changed, 7 as before" in platform.mlinfra("up", "dev").stdout
        assert platform.resources() == before
        assert "13 unchanged" in platform.pulumi("dev", "up", "--yes").stdout
        assert platform.resources() == before
        assert platform.programs() == programs


def test_a_refresh_finds_what_was_removed_and_the_next_up_mends_it(platform: Platform) -> None:
    release, layout, online = platform.release(), platform.layout(), platform.online_rows()
    for name in platform.programs():
        platform.supervisor().remove_program(name)
    with Registry(layout, platform.store()) as registry:
        model = registry.read(ENDPOINT)
        assert model is not None
        assert registry.delete_version(ENDPOINT, model["versions"][0]["version"])
    with sqlite3.connect(layout.features / "online.db") as database:
        for table in online:
            database.execute(f'DROP TABLE "{table}"')
    assert changed(platform) == set()

    platform.pulumi("dev", "refresh", "--yes")

    assert changed(platform) == {"Server", "Traffic", "DriftSchedule", "ModelVersion", "FeatureView"}
    platform.mlinfra("up", "dev")
    assert changed(platform) == set()
    assert kinds(platform) == KINDS
    assert platform.answering() == release.short
    assert platform.online_rows() == online != {}
    with Registry(layout, platform.store()) as registry:
        model = registry.read(ENDPOINT)
    assert model is not None
    assert [version["digest"] for version in model["versions"]] == [release.identity.artifact]


def test_a_tick_reads_old_rows_again_and_says_what_fails_while_the_rest_goes_on(platform: Platform) -> None:
    source, fine = "stacks/crowds/features.py", platform.online_rows()
    hourly = ('source="features.py:weather"', 'source="features.py:weather", refresh="1s"')
    with platform.changed(*hourly):
        with platform.changed("days = pd", "raise OSError('the station is down')\n    days = pd", source):
            [told] = platform.read("tick", "dev", code=1)["environments"]
            assert [endpoint["state"] for endpoint in told["endpoints"]] == ["done"]
            [problem] = told["problems"]
            assert problem["path"] == "feature_stores.weather"
            assert "the station is down" in problem["message"]
            assert "the station is down" in platform.mlinfra("up", "dev", code=1).stderr
            assert platform.online_rows() == fine
        with platform.changed('"cph": 5.0', '"cph": 5.0, "dub": 8.0', source):
            ended = platform.mlinfra("tick", "dev")
            assert "weather: 80 rows are in the feature store" in ended.stderr
            assert sum(platform.online_rows().values()) > sum(fine.values())
    platform.mlinfra("up", "dev")


def test_after_a_reboot_up_brings_everything_back(platform: Platform) -> None:
    runs, before = platform.runs(), inputs(platform)
    for process in platform.processes("dev"):
        process.kill()
    wait_for(lambda: not platform.processes("dev"), "the processes to end")
    shutil.rmtree(platform.layout().sockets)

    up = platform.mlinfra("up", "dev")

    assert "the processes of dev were not running: started again" in up.stderr
    assert kinds(platform) == KINDS
    assert platform.answering() == platform.release().short
    assert platform.runs() == runs
    assert inputs(platform) == before


class TestChangedArtifact:
    """A pickle that would write a file, in the place of the model that was registered."""

    def test_it_is_never_loaded(self, platform: Platform, tmp_path: Path) -> None:
        release, marker = platform.release(), tmp_path / "unpickled"
        served = platform.layout().endpoint(ENDPOINT) / "models" / release.short
        stored = platform.layout().artifacts / "trees" / release.identity.artifact.removeprefix("sha256:")
        joblib.dump(Bomb(marker), served / "model.joblib")
        [server] = [name for name in platform.programs() if name.startswith("server/")]

        # beside the endpoint, by a server that starts again
        platform.supervisor().restart(server)
        wait_for(lambda: server in platform.supervisor().failures(), "the server to end")
        assert platform.ask().status_code == 503
        shown = platform.mlinfra("status", "dev", code=1).stdout
        expected, found = short(release.identity.artifact), short(digest_tree(served))
        assert f"its digest is {found}, expected {expected}; nothing of it was loaded" in shown

        # in the store, by the engine that wants to take a good copy from there
        good = digest_file(stored / "model.joblib")
        joblib.dump(Bomb(marker), stored / "model.joblib")
        bad = digest_file(stored / "model.joblib")
        platform.pulumi("dev", "refresh", "--yes")
        ended = platform.pulumi("dev", "up", "--yes", "--skip-preview", code=1)
        assert f"{stored}/model.joblib was changed: expected {good}, found {bad}" in ended.stdout + ended.stderr

        assert not marker.exists()
        joblib.load(stored / "model.joblib").close()
        assert marker.exists()

    def test_the_run_that_made_it_mends_it(self, platform: Platform) -> None:
        release, runs = platform.release(), platform.runs()
        platform.mlinfra("up", "dev")
        assert platform.answering() == release.short
        assert platform.runs() == runs
        folder = platform.layout().endpoint(ENDPOINT) / "models" / release.short
        assert digest_tree(folder) == release.identity.artifact


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.marker), "w")


def changed(platform: Platform) -> set[str]:
    """Return the kinds of the resources that a plan would change."""
    parts = platform.read("plan", "dev")["parts"]
    return {
        change["type"].rpartition(":")[2] for part in parts for change in part["changes"] if change["change"] != "same"
    }


def kinds(platform: Platform) -> set[str]:
    """Return what kinds of programs run."""
    return {name.partition("/")[0] for name in platform.programs()}


def inputs(platform: Platform) -> dict[str, object]:
    """Return the inputs of every resource of the state."""
    return {urn: item.get("inputs") for urn, item in platform.resources().items()}
