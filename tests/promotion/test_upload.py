"""A release travels whole, and is checked where it arrives."""

from __future__ import annotations

from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest

from mlinfra.artifacts import ArtifactStore, Condition
from mlinfra.problems import MlinfraError, Refused
from mlinfra.promotion.upload import upload
from mlinfra.releases import Release
from tests.promotion.world import World


@pytest.fixture
def release(world: World) -> Release:
    return world.release(7)


@pytest.fixture
def far() -> ArtifactStore:
    """A store that is no folder."""
    return ArtifactStore("memory://far")


@pytest.fixture(autouse=True)
def _empty() -> None:
    fsspec.filesystem("memory").store.clear()


def trees(release: Release) -> list[str]:
    return [release.identity.artifact, release.identity.baseline]


def test_all_of_it_is_sent_once(world: World, release: Release, far: ArtifactStore) -> None:
    for target, condition in ((world.store("prod"), Condition.WHOLE), (far, Condition.THERE)):
        assert upload(release, world.store(), target) == trees(release)
        assert [target.condition(tree) for tree in trees(release)] == [condition, condition]
        assert target.release(release.stack, release.digest) == release.to_json()
        assert upload(release, world.store(), target) == []


def test_what_an_interrupted_upload_left_is_completed(world: World, release: Release, far: ArtifactStore) -> None:
    upload(release, world.store(), far)
    far._files.rm(far._listing_path(release.identity.baseline))
    assert upload(release, world.store(), far) == [release.identity.baseline]


def test_a_signature_goes_along(world: World, release: Release, far: ArtifactStore) -> None:
    world.store().put_signature(release.stack, release.digest, b"signed")
    upload(release, world.store(), far)
    assert far.signature(release.stack, release.digest) == b"signed"


def test_what_was_changed_before_it_left_is_refused(world: World, release: Release, far: ArtifactStore) -> None:
    (Path(world.store()._tree_path(release.identity.artifact)) / "file").write_text("another model")
    for target in (far, world.store()):
        with pytest.raises(Refused):
            upload(release, world.store(), target)
    assert not far.has(release.identity.artifact)


def test_what_arrives_otherwise_is_refused(
    world: World, release: Release, far: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(far._files).put_file

    def spoiling(files: object, source: str, path: str, **more: object) -> None:
        put(files, source, path, **more)
        fsspec.filesystem("memory").pipe_file(path, b"cut o")

    monkeypatch.setattr(type(far._files), "put_file", spoiling)
    for _ in range(2):
        with pytest.raises(Refused, match="was changed: expected"):
            upload(release, world.store(), far)
    monkeypatch.undo()
    assert upload(release, world.store(), far) == trees(release)


def test_what_is_nowhere_is_no_upload(world: World, release: Release, far: ArtifactStore) -> None:
    with pytest.raises(MlinfraError, match="does not hold the artifact"):
        upload(release, far, ArtifactStore("memory://further"))
