"""mlinfra releases, show and diff: what is found where, what is said of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.repository import Repository

Run = Callable[..., Result]


@pytest.fixture
def store(repository: Path) -> ArtifactStore:
    return ArtifactStore((repository / ".mlinfra" / "artifacts").as_uri())


@pytest.fixture
def old(repository: Path, store: ArtifactStore) -> Release:
    return made(repository, store, 1)


@pytest.fixture
def new(repository: Path, store: ArtifactStore, old: Release) -> Release:
    return made(repository, store, 2)


def made(repository: Path, store: ArtifactStore, number: int, **spec: Any) -> Release:
    """Store a release of the repository's endpoint, with trees of its own."""
    trees = []
    for what in ("artifact", "baseline"):
        folder = repository / ".mlinfra" / "made" / f"{what}-{number}"
        folder.mkdir(parents=True)
        (folder / "file").write_text(f"{what} {number}")
        trees.append(store.put_tree(folder))
    [endpoint] = Repository(repository).load("dev").stacks[0].stack.of_kind(Endpoint)
    release = Release(
        stack="diabetes",
        endpoint="diabetes",
        identity=Identity(
            artifact=trees[0],
            baseline=trees[1],
            runtime=Runtime(name="sklearn", version=f"1.{number}"),
            spec={**endpoint.spec(), "capture": {"percent": 10 * number}, **spec},
            signature={
                "inputs": [{"name": "age", "type": "FP64" if number == 1 else "INT64", "required": True}],
                "outputs": [{"name": "prediction", "type": "FP64" if number == 1 else "INT64"}],
            },
        ),
        provenance=Provenance(
            created=f"2026-03-0{number}T10:20:30.123456+00:00",
            author="me",
            run=f"diabetes-{number}",
            metrics={"r2": 0.4 + number / 100},
            data={"patients": f"sha256:{number}"},
            code=f"sha256:{number}",
        ),
    )
    store.put_release(release.stack, release.digest, release.to_json())
    return release


def in_git(repository: Path, release: Release) -> Path:
    path = repository / "releases" / release.stack / f"{release.digest.removeprefix('sha256:')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(release.to_json())
    return path


def listed(run: Run, *arguments: str, code: int = 0) -> Any:
    result = run("releases", *arguments, "--json")
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


class TestReleases:
    def test_there_is_none_yet(self, repository: Path, run: Run) -> None:
        result = run("releases")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == "there is no release yet: mlinfra train makes one of each accepted run\n"

    def test_the_newest_is_first_with_all_that_is_known(
        self, repository: Path, run: Run, store: ArtifactStore, old: Release, new: Release
    ) -> None:
        in_git(repository, old)
        in_git(repository, new)
        lock = repository / "environments" / "prod.lock.yaml"
        lock.write_text(f"diabetes:\n  release: {old.short}\n  previous: {new.digest}\n")
        store.put_newest("dev", "diabetes", "diabetes", new.digest)
        result = run("releases")
        assert result.exit_code == 0
        assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
            "release endpoint run made metrics wanted in artifact",
            f"{new.short} diabetes diabetes-2 2026-03-02 10:20 r2 0.42 prod (previous), dev (latest) whole",
            f"{old.short} diabetes diabetes-1 2026-03-01 10:20 r2 0.41 prod (release) whole",
        ]
        assert listed(run, "diabetes") == {**listed(run), "stack": "diabetes"}

    def test_in_a_store_only(self, repository: Path, run: Run, old: Release) -> None:
        [found] = listed(run)["releases"]
        assert (found["release"], found["file"], found["places"]) == (old.digest, None, [])

    def test_in_git_only(self, repository: Path, run: Run, store: ArtifactStore, old: Release) -> None:
        path = in_git(repository, old)
        (repository / ".mlinfra" / "artifacts").rename(repository / "elsewhere")
        [found] = listed(run)["releases"]
        assert found["file"] == str(path.relative_to(repository))
        assert [copy["condition"] for copy in found["artifact"]] == ["missing"]

    def test_stores_of_several_environments_are_told_apart(self, repository: Path, run: Run, old: Release) -> None:
        with (repository / "environments" / "prod.yaml").open("a") as file:
            file.write("artifacts: memory://prod\n")
        assert "whole (dev, staging), missing (prod)" in run("releases").stdout

    def test_an_artifact_that_an_environment_wants_and_lacks_fails(
        self, repository: Path, run: Run, store: ArtifactStore, old: Release
    ) -> None:
        path = Path(store._tree_path(old.identity.artifact)) / "file"
        path.write_text("another one")
        assert listed(run)["releases"][0]["artifact"][0]["condition"] == "changed"
        store.put_newest("dev", "diabetes", "diabetes", old.digest)
        assert listed(run, code=1)["releases"][0]["places"] == [{"environment": "dev", "as": "latest"}]

    def test_what_cannot_be_read_is_named_and_hides_nothing(
        self, repository: Path, run: Run, store: ArtifactStore, old: Release, new: Release
    ) -> None:
        damaged = in_git(repository, new)
        damaged.write_text(damaged.read_text().replace('"1.2"', '"1.3"'))
        (repository / "environments" / "staging.yaml").write_text("target: [\n")
        (repository / "environments" / "prod.lock.yaml").write_text("diabetes:\n  release: 00000000aa\n")
        store.put_newest("dev", "diabetes", "diabetes", f"sha256:{'0' * 64}")
        found = listed(run, code=1)
        assert [known["release"] for known in found["releases"]] == [new.digest, old.digest]
        said = {(problem["file"], problem["message"].split(":")[0]) for problem in found["unread"]}
        assert said == {
            (str(damaged.relative_to(repository)), "was changed by hand"),
            ("environments/staging.yaml", "is not YAML"),
            ("environments/prod.lock.yaml", "names no release of releases/, or more than one"),
            (f"{store.url}/newest/dev/diabetes/diabetes", "names no release that can be read"),
        }
        assert "cannot be read: environments/prod.lock.yaml:2: diabetes.release: names no release" in (
            run("releases").stdout
        )

    def test_a_store_that_cannot_be_reached_is_named(self, repository: Path, run: Run, old: Release) -> None:
        path = repository / "environments" / "prod.yaml"
        path.write_text(path.read_text() + "artifacts: nowhere://bucket\n")
        found = listed(run, code=1)
        assert [known["release"] for known in found["releases"]] == [old.digest]
        [problem] = found["unread"]
        assert problem["file"] == "environments/prod.yaml"
        assert "nowhere://bucket" in problem["message"]

    def test_a_store_that_cannot_be_listed_is_named_and_asked_nothing_more(
        self, repository: Path, run: Run, old: Release
    ) -> None:
        path = repository / "environments" / "prod.yaml"
        path.write_text(path.read_text() + f"artifacts: {path.as_uri()}\n")
        found = listed(run, code=1)
        assert [copy["environments"] for copy in found["releases"][0]["artifact"]] == [["dev", "staging"]]
        assert [problem["message"] for problem in found["unread"]] == [
            f"artifact store {path.as_uri()}: cannot read: Not a directory"
        ]

    def test_a_stack_without_releases_is_refused(self, repository: Path, run: Run, old: Release) -> None:
        result = run("releases", "diabets")
        assert result.exit_code == 2
        assert (
            "there is no release of a stack 'diabets' (did you mean 'diabetes'?); there are of: diabetes"
            in result.stderr
        )


class TestNaming:
    @pytest.mark.parametrize("digits", [8, 12, 64])
    def test_first_digits_are_enough(self, run: Run, old: Release, new: Release, digits: int) -> None:
        for text in (old.digest.removeprefix("sha256:")[:digits], old.digest[: 7 + digits]):
            result = run("show", text)
            assert result.exit_code == 0, result.stderr
            assert result.stdout.startswith(f"{old.digest}, a release of diabetes in diabetes\n")

    @pytest.mark.parametrize("text", ["7f3", "latest", "0" * 65])
    def test_what_is_no_digest(self, run: Run, old: Release, text: str) -> None:
        result = run("show", text)
        assert result.exit_code == 2
        assert f"{text!r} is no digest: give 8 or more of its first hexadecimal digits" in result.stderr

    def test_an_unknown_one_with_the_nearest(self, run: Run, old: Release, new: Release) -> None:
        wrong = old.short[:-1] + ("0" if old.short[-1] != "0" else "1")
        for arguments in (("show", wrong), ("diff", new.short, wrong)):
            result = run(*arguments)
            assert result.exit_code == 2
            assert f"there is no release {wrong} (did you mean {old.short}?)" in result.stderr

    def test_an_ambiguous_one(self, old: Release) -> None:
        from mlinfra.operations.releases import Catalogue
        from mlinfra.problems import WrongUse

        digests = [f"sha256:{'a' * 60}{last}" for last in ("0000", "1111")]
        catalogue = Catalogue(dict.fromkeys(digests, old))
        with pytest.raises(WrongUse) as caught:
            catalogue.find("a" * 12)
        assert caught.value.message == (
            f"{'a' * 12} names 2 releases: {digests[0]} (diabetes), {digests[1]} (diabetes)"
        )
        assert catalogue.find(digests[1]) is old


class TestShow:
    def test_identity_apart_from_provenance(self, repository: Path, run: Run, old: Release) -> None:
        text = run("show", old.short).stdout
        first, identity, provenance, places = (part.splitlines() for part in text.split("\n\n"))
        assert first == [f"{old.digest}, a release of diabetes in diabetes"]
        assert identity[0] == "what it is: these make its digest"
        shown = [" ".join(line.split()) for line in identity]
        assert f"artifact {old.identity.artifact} whole" in shown
        assert f"baseline {old.identity.baseline} whole" in shown
        assert "runtime sklearn 1.1" in shown
        assert "spec.capture.percent 10" in shown
        assert "inputs.age FP64" in shown
        assert provenance[0] == "how it came to be"
        assert [" ".join(line.split()) for line in provenance[1:]] == [
            "run diabetes-1", "made 2026-03-01 10:20 UTC", "author me", "commit -", "code sha256:1",
            "data.patients sha256:1", "metrics.r2 0.41",
        ]  # fmt: skip
        assert [" ".join(line.split()) for line in places[1:]] == ["wanted in -", "file in a store only"]

    def test_json_is_enough_to_make_the_release_again(self, repository: Path, run: Run, old: Release) -> None:
        shown = json.loads(run("show", old.short, "--json").stdout)
        again = Release(
            stack=shown["stack"],
            endpoint=shown["endpoint"],
            identity=Identity.model_validate(shown["identity"]),
            provenance=Provenance.model_validate(shown["provenance"]),
        )
        assert again == old
        assert again.digest == shown["release"]

    def test_a_baseline_that_is_gone_fails_where_the_release_is_wanted(
        self, run: Run, store: ArtifactStore, old: Release
    ) -> None:
        Path(store._listing_path(old.identity.baseline)).unlink()
        assert run("show", old.short).exit_code == 0
        store.put_newest("dev", "diabetes", "diabetes", old.digest)
        assert run("show", old.short).exit_code == 1


class TestDiff:
    def test_everything_that_differs_is_shown(self, run: Run, old: Release, new: Release) -> None:
        result = run("diff", old.short, new.short)
        assert (result.exit_code, result.stderr) == (0, "")
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert lines[0] == f"from {old.short} (diabetes) to {new.short} (diabetes)"
        for line in (
            "r2 0.41 0.42 +0.01",
            "capture.percent 10 → 20",
            "~ age FP64 → INT64",
            "~ prediction FP64 → INT64",
            "runtime.version 1.1 → 1.2",
            f"artifact {old.identity.artifact[7:19]} → {new.identity.artifact[7:19]}",
            "run diabetes-1 → diabetes-2",
            "dev local $0.00 $0.00",
        ):
            assert line in lines

    def test_the_same_release_says_so(self, run: Run, old: Release) -> None:
        lines = run("diff", old.short, old.digest).stdout.splitlines()
        assert lines[0] == f"from {old.short} (diabetes) to {old.short} (diabetes): the same release"
        assert "specification, before overrides" not in lines

    def test_a_release_that_this_version_cannot_serve_says_why(
        self, repository: Path, run: Run, store: ArtifactStore, old: Release
    ) -> None:
        odd = made(repository, store, 3, sidecars=2)
        found = json.loads(run("diff", old.short, odd.short, "--json").stdout)
        dev = next(item for item in found["cost"] if item["environment"] == "dev")
        assert dev["before"] == {"monthly_usd": {"low": 0.0, "likely": 0.0, "high": 0.0}, "unpriced": []}
        assert dev["after"] is None
        assert "identity.spec.sidecars: is no field here" in dev["reason"]

    def test_an_environment_that_is_broken_is_named(
        self, repository: Path, run: Run, old: Release, new: Release
    ) -> None:
        (repository / "environments" / "prod.yaml").write_text("target: local\n")
        found = json.loads(run("diff", old.short, new.short, "--json").stdout)
        assert {item["environment"]: item["reason"] for item in found["cost"]} == {
            "dev": None,
            "prod": "environments/prod.yaml:1: stacks: is missing",
            "staging": None,
        }
