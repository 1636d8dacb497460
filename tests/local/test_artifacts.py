"""The artifact store: content-addressed, checked on arrival, safe to interrupt."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.artifacts import ArtifactStore, Condition
from mlinfra.digests import digest_json, digest_tree
from mlinfra.problems import MlinfraError, Refused

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A store on the local disk, and one that behaves like an object store."""
    return ArtifactStore((tmp_path / "store").as_uri() if request.param == "file" else f"memory://{uuid4().hex}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.joblib").write_bytes(b"\x80model")
    (folder / "nested" / "signature.json").write_text("{}")
    return folder


def test_a_tree_comes_back_as_it_was(store: ArtifactStore, tree: Path, tmp_path: Path) -> None:
    digest = store.put_tree(tree)
    assert digest == digest_tree(tree)
    assert store.has(digest)
    copy = store.get_tree(digest, tmp_path / "copy")
    assert digest_tree(copy) == digest
    assert store.put_tree(copy) == digest
    assert store.get_tree(digest, copy) == copy


def test_what_is_not_there_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    assert not store.has(DIGEST)
    with pytest.raises(MlinfraError, match="abababababab"):
        store.get_tree(DIGEST, tmp_path / "copy")
    with pytest.raises(MlinfraError, match="no release abababababab of flights"):
        store.release("flights", DIGEST)
    assert store.releases("flights") == []
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("file", ["model.joblib", "nested/signature.json"])
def test_what_became_of_a_tree_is_told(store: ArtifactStore, tree: Path, file: str) -> None:
    assert store.condition(DIGEST) is Condition.MISSING
    digest = store.put_tree(tree)
    local = store.url.startswith("file:")
    assert store.condition(digest) is (Condition.WHOLE if local else Condition.THERE)
    kept = f"{store._tree_path(digest)}/{file}"
    if local:
        Path(kept).write_bytes(b"?")
        assert store.condition(digest) is Condition.CHANGED
    store._files.rm(kept)
    assert store.condition(digest) is Condition.CHANGED


def test_a_changed_listing_is_told(store: ArtifactStore, tree: Path) -> None:
    digest = store.put_tree(tree)
    store._write(store._listing_path(digest), b"{}")
    assert store.condition(digest) is Condition.CHANGED


def test_releases_are_kept_by_stack_and_never_change(store: ArtifactStore) -> None:
    digests = [digest_json({"release": number}) for number in range(3)]
    for number, digest in enumerate(digests):
        store.put_release("flights", digest, str(number).encode())
    store.put_release("flights", digests[0], b"another")
    store.put_release("diamonds", DIGEST, b"{}")
    assert store.releases("flights") == sorted(digests)
    assert store.release("flights", digests[0]) == b"0"
    assert store.stacks() == ["diamonds", "flights"]


def test_a_changed_file_is_refused_before_it_arrives(tree: Path, tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    digest = store.put_tree(tree)
    stored = tmp_path / "store" / "trees" / digest.removeprefix("sha256:") / "model.joblib"
    stored.write_bytes(b"evil")
    with pytest.raises(Refused, match=r"model\.joblib was changed: expected sha256:.*, found sha256:"):
        store.get_tree(digest, tmp_path / "copy")
    stored.unlink()
    with pytest.raises(Refused, match="gone"):
        store.get_tree(digest, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_storing_again_mends_a_tree_that_was_changed(tree: Path, tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    digest = store.put_tree(tree)
    stored = tmp_path / "store" / "trees" / digest.removeprefix("sha256:")
    (stored / "model.joblib").write_bytes(b"something else")
    (stored / "nested" / "signature.json").unlink()
    assert store.put_tree(tree) == digest
    assert digest_tree(store.get_tree(digest, tmp_path / "copy")) == digest


def test_a_changed_listing_is_refused(tree: Path, tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    digest = store.put_tree(tree)
    (tmp_path / "store" / "trees" / (digest.removeprefix("sha256:") + ".json")).write_text("{}")
    with pytest.raises(Refused, match=digest):
        store.get_tree(digest, tmp_path / "copy")


def test_an_existing_folder_is_never_replaced_by_another_tree(tree: Path, tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    digest = store.put_tree(tree)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(Refused):
        store.get_tree(digest, mine)
    assert (mine / "notes.txt").read_text() == "keep"


@pytest.mark.local
def test_a_kill_while_storing_leaves_only_a_temporary_name_which_goes(tree: Path, tmp_path: Path) -> None:
    code = (
        "import os, shutil, sys; from pathlib import Path; from mlinfra.artifacts import ArtifactStore\n"
        "copy = shutil.copyfile\n"
        "def killed(*paths): copy(*paths); os.kill(os.getpid(), 9)\n"
        "shutil.copyfile = killed\n"
        "ArtifactStore(sys.argv[1]).put_tree(Path(sys.argv[2]))"
    )
    url = (tmp_path / "store").as_uri()
    assert subprocess.run([sys.executable, "-c", code, url, str(tree)], check=False).returncode == -9
    trees = tmp_path / "store" / "trees"
    assert [path.name[:10] for path in trees.iterdir()] == [".incoming-"]
    store = ArtifactStore(url)
    digest = digest_tree(tree)
    assert not store.has(digest)
    assert store.put_tree(tree) == digest
    assert sorted(path.name for path in trees.iterdir()) == [digest[7:], f"{digest[7:]}.json"]


def test_many_at_once_store_one_tree(tree: Path, tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: ArtifactStore(url).put_tree(tree), range(16)))
    assert digests == {digest_tree(tree)}
    assert len(list((tmp_path / "store" / "trees").iterdir())) == 2


def test_a_store_that_cannot_be_written_is_an_error_with_a_reason(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    with pytest.raises(MlinfraError, match=r"cannot write: (Not a directory|File exists)"):
        ArtifactStore((tmp_path / "store").as_uri()).put_tree(tree)


def test_a_link_is_no_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "model").symlink_to("/etc/hostname")
    with pytest.raises(MlinfraError, match="symbolic link"):
        ArtifactStore((tmp_path / "store").as_uri()).put_tree(folder)


NAMES = st.text(st.sampled_from("abcé ._-"), min_size=1, max_size=8).filter(lambda name: set(name) - set(". "))


@settings(max_examples=25, deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=5))
def test_any_tree_survives_the_way(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for url in ((folder.parent / f"{folder.name}-store").as_uri(), f"memory://{uuid4().hex}"):
        store = ArtifactStore(url)
        copy = store.get_tree(store.put_tree(folder), folder.parent / f"{folder.name}-copy-{url[:4]}")
        assert {path.name: path.read_bytes() for path in copy.iterdir()} == files
