"""The model registry of the local target: real MLflow on SQLite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlinfra.artifacts import ArtifactStore
from mlinfra.digests import short
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.registry import Registry


class Place:
    """A repository with a registry, and a way to make artifacts."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root, "dev")
        self.store = ArtifactStore(self.layout.artifacts_url)
        self.registry = Registry(self.layout, self.store)

    def artifact(self, content: str) -> str:
        folder = self.layout.repository / "made"
        folder.mkdir(exist_ok=True)
        (folder / "model.joblib").write_text(content)
        return self.store.put_tree(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("repository"))
    with place.registry:
        yield place


@pytest.mark.local
class TestRegistry:
    def test_a_model_is_created_once(self, place: Place) -> None:
        assert place.registry.read("created") is None
        first = place.registry.ensure("created", {"owner": "a@example.com"})
        assert first == {"name": "created", "tags": {"owner": "a@example.com"}, "aliases": {}, "versions": []}
        assert place.registry.ensure("created") == first
        assert place.registry.ensure("created", {"owner": "b"})["tags"] == {"owner": "b"}
        assert place.registry.delete("created")
        assert not place.registry.delete("created")
        assert place.registry.read("created") is None

    def test_the_same_digest_is_the_same_version(self, place: Place) -> None:
        place.registry.ensure("versions")
        one, two = place.artifact("one"), place.artifact("two")
        assert place.registry.register("versions", one, tags={"signature": "{}"}) == 1
        assert place.registry.register("versions", two) == 2
        assert place.registry.register("versions", one, tags={"release": "r1"}) == 1
        model = place.registry.read("versions")
        assert model is not None
        assert [version["digest"] for version in model["versions"]] == [one, two]
        assert model["versions"][0]["tags"] == {"signature": "{}", "release": "r1"}

    def test_aliases_move_and_go(self, place: Place) -> None:
        place.registry.ensure("aliases")
        for content in ("one", "two"):
            place.registry.register("aliases", place.artifact(content))
        place.registry.alias("aliases", "production", 1)
        place.registry.alias("aliases", "production", 2)
        model = place.registry.read("aliases")
        assert model is not None
        assert model["aliases"] == {"production": 2}
        assert [version["aliases"] for version in model["versions"]] == [[], ["production"]]
        place.registry.alias("aliases", "production", None)
        place.registry.alias("aliases", "production", None)
        model = place.registry.read("aliases")
        assert model is not None
        assert model["aliases"] == {}
        with pytest.raises(MlinfraError, match=r"no version 7, only: \[1, 2\]"):
            place.registry.alias("aliases", "production", 7)

    def test_a_deleted_version_is_seen_and_registered_again(self, place: Place) -> None:
        place.registry.ensure("deleted")
        digest = place.artifact("one")
        place.registry.register("deleted", digest)
        assert place.registry.delete_version("deleted", 1)
        assert not place.registry.delete_version("deleted", 1)
        model = place.registry.read("deleted")
        assert model is not None
        assert model["versions"] == []
        assert place.registry.register("deleted", digest) >= 1

    def test_an_artifact_is_fetched_by_every_name_of_its_version(self, place: Place, tmp_path: Path) -> None:
        place.registry.ensure("fetched")
        digest = place.artifact("fetched")
        place.registry.register("fetched", digest)
        place.registry.alias("fetched", "production", 1)
        references: list[str | int] = [1, "1", digest, short(digest), "production"]
        for number, reference in enumerate(references):
            version = place.registry.fetch("fetched", reference, tmp_path / str(number))
            assert version["version"] == 1
            assert (tmp_path / str(number) / "model.joblib").read_text() == "fetched"
        with pytest.raises(MlinfraError, match="no version 'prodction', only: 1, production") as caught:
            place.registry.fetch("fetched", "prodction", tmp_path / "none")
        assert caught.value.remedy == "did you mean 'production'?"

    def test_a_changed_artifact_is_refused(self, place: Place, tmp_path: Path) -> None:
        place.registry.ensure("changed")
        digest = place.artifact("changed")
        place.registry.register("changed", digest)
        stored = place.layout.artifacts / "trees" / digest.removeprefix("sha256:") / "model.joblib"
        stored.write_text("evil")
        with pytest.raises(Refused, match=r"was changed: expected sha256:\w{64}, found sha256:\w{64}"):
            place.registry.fetch("changed", 1, tmp_path / "model")
        assert not (tmp_path / "model").exists()

    def test_what_is_not_there_is_named(self, place: Place, tmp_path: Path) -> None:
        with pytest.raises(MlinfraError, match="no registered model 'nothing'"):
            place.registry.register("nothing", place.artifact("one"))
        with pytest.raises(MlinfraError, match="no registered model 'nothing'"):
            place.registry.fetch("nothing", 1, tmp_path / "model")
        with pytest.raises(MlinfraError, match="abababababab is not in file:///"):
            place.registry.register("nothing", "sha256:" + "ab" * 32)

    def test_a_moved_project_still_works(self, place: Place, tmp_path: Path) -> None:
        place.registry.ensure("moved")
        digest = place.artifact("moved")
        place.registry.register("moved", digest)
        moved = Layout(shutil.copytree(place.layout.repository, tmp_path / "moved"), "dev")
        with Registry(moved, ArtifactStore(moved.artifacts_url)) as registry:
            version = registry.fetch("moved", 1, tmp_path / "model")
        assert version["source"] == f"{moved.artifacts_url}/trees/{digest.removeprefix('sha256:')}"


def test_the_library_is_light() -> None:
    heavy = "('mlflow', 'pandas', 'sqlalchemy')"
    modules = "mlinfra_providers.local.registry, mlinfra_providers.local.runs"
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
