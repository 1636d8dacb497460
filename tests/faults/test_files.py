"""Files that were written whole and are not any more: a clear message with a way out, or mended without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.repository import Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


@contextmanager
def _half(path: Path) -> Iterator[None]:
    """Cut a file in half; bring it back."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        yield
    finally:
        path.write_bytes(whole)


def _only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


def _says(repository: Repository, command: str, *words: str) -> None:
    ended = repository.run(command, "dev")
    assert ended.code == 1, ended.seen
    for word in words:
        assert word in ended.stderr, ended.seen
    assert "→" in ended.stderr


def test_the_state(well: Repository) -> None:
    with _half(well.checkpoint):
        for command in ("plan", "up", "down"):
            _says(well, command, str(well.checkpoint), "is damaged", "dev.json.bak")
        assert well.status()["as_wanted"]
    # the way out that it names
    well.checkpoint.write_bytes(Path(f"{well.checkpoint}.bak").read_bytes())
    well.up("--refresh")
    well.assert_well()


def test_the_passphrase(well: Repository) -> None:
    path = well.root / ".mlinfra" / "passphrase"
    with _half(path):
        _says(well, "up", "another passphrase", str(path), "from a copy")
    well.assert_well()


def test_the_pointer_to_the_newest_release(well: Repository) -> None:
    path = well.root / ".mlinfra" / "artifacts" / "newest" / "dev" / "tiny" / "tiny"
    with _half(path):
        for command in ("plan", "up", "status"):
            _says(well, command, str(path), "is damaged", "mlinfra train dev")
    path.unlink()
    trained = well.run("train", "dev")
    assert trained.code == 0, trained.seen
    well.assert_well()


def test_a_release(well: Repository) -> None:
    artifacts = well.root / ".mlinfra" / "artifacts"
    newest = artifacts / "newest" / "dev" / "tiny"
    release = (
        artifacts
        / "releases"
        / "tiny"
        / f"{json.loads((newest / 'tiny').read_text())['release'].removeprefix('sha256:')}.json"
    )
    with _half(release):
        for command in ("plan", "up", "status"):
            _says(well, command, str(release), "not a release", str(newest), "mlinfra train dev")
    release.unlink()
    (newest / "tiny").unlink()
    trained = well.run("train", "dev")
    assert trained.code == 0, trained.seen
    well.assert_well()


def test_the_ports(well: Repository) -> None:
    path = well.layout.ports
    with _half(path):
        for command in ("status", "up"):
            _says(well, command, str(path), "is damaged", "mlinfra down dev, remove .mlinfra/dev/ports.json")
    well.assert_well()


@pytest.mark.long
def test_the_ports_without_a_copy(well: Repository) -> None:
    well.layout.ports.write_text('{"endpoint/')
    down = well.run("down", "dev")
    assert down.code == 0, down.seen
    well.layout.ports.unlink()
    well.up()
    well.assert_well()


def test_the_split_that_was_asked_for(well: Repository) -> None:
    """Envoy still knows it."""
    path = well.layout.traffic("tiny")
    path.write_bytes(path.read_bytes()[:20])
    assert well.status()["as_wanted"]
    well.another_server()
    well.up()
    well.assert_well()


def test_all_that_can_be_made_again(well: Repository) -> None:
    layout = well.layout
    state = Path(well.variables["XDG_STATE_HOME"]) / "mlinfra"
    files = [
        layout.folder / "jobs" / "tiny.inputs.json",
        _only(layout.folder / "data", "tiny/rows/index.json"),
        *layout.runs.glob("tiny/*/run.json"),
        *layout.runs.glob("tiny/*/tracked.json"),
        state / "environments.json",
    ]
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    well.up()
    well.assert_well()


def test_the_routes_of_a_router_that_dies(well: Repository) -> None:
    for path in well.layout.xds("tiny").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:50])
    before = well.programs()["router/tiny"].pid
    psutil.Process(before).kill()
    until(lambda: well.programs()["router/tiny"].pid not in (None, before), "the router is started again")
    assert not well.status()["as_wanted"]
    well.up()
    well.assert_well()


@pytest.mark.long
def test_the_definition_of_a_program(well: Repository) -> None:
    path = _only(well.layout.supervisor_programs, "server.*.ini")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    [before] = well.supervisor()
    before.kill()
    until(lambda: well.supervisor() not in ([], [before]), "the supervisor comes back")
    until(lambda: not well.status()["as_wanted"], "status says that the server is not well")
    well.up()
    well.assert_well()


def _change(path: Path) -> None:
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def test_a_model_that_was_changed_is_refused_before_it_is_loaded(well: Repository) -> None:
    """The copy that a server reads when it starts. The next `up` takes another copy from the store."""
    serving = well.server()
    release = serving.name.split("/")[2].partition("-")[0]
    _change(well.layout.endpoint("tiny") / "models" / release / "model.joblib")
    assert serving.pid is not None
    psutil.Process(serving.pid).kill()
    until(lambda: well.status()["releases"][0]["last_failure"], "the server says why it does not start")
    [found] = well.status()["releases"]
    assert not found["healthy"]
    assert "nothing of it was loaded" in found["last_failure"]
    well.up()
    well.assert_well()


def test_an_artifact_that_was_changed_in_the_store(well: Repository) -> None:
    """It is never served: where the run's own model is whole, that is stored again (else `up` refuses, see
    tests/end_to_end/test_refresh.py)."""
    state = json.loads(well.checkpoint.read_text())["checkpoint"]["latest"]["resources"]
    [artifact] = [item["inputs"]["artifact"] for item in state if item["type"] == "mlinfra:local:Server"]
    path = well.root / ".mlinfra" / "artifacts" / "trees" / artifact.removeprefix("sha256:") / "model.joblib"
    whole = path.read_bytes()
    _change(path)
    well.another_server()
    well.up()
    well.assert_well()
    assert path.read_bytes() == whole
