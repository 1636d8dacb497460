"""mlinfra promote: what it shows, what git has afterwards, and that nothing else was touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlinfra.adapters import ServedRelease, Serving
from mlinfra.releases import Release
from mlinfra.rollout.record import Failure, Phase, RolloutRecord
from tests.cli.test_releases import in_git
from tests.promotion.conftest import world
from tests.promotion.promoting import Run, document, new, old, pinned, promote, snapshot
from tests.promotion.world import LOCK, World, serving

__all__ = ["new", "old", "world"]  # fixtures


class TestThroughARemote:
    def test_one_commit_on_one_branch_and_nothing_else(
        self, world: World, run: Run, old: Release, new: Release
    ) -> None:
        (world.root / LOCK).write_text(f"# ours\n{(world.root / LOCK).read_text()}")
        (world.root / f"releases/diabetes/{new.digest[7:]}.json").unlink()
        (world.root / "environments" / "staging.lock.yaml").unlink()
        world.start(remote=True)
        world.pin("staging", new)
        (world.root / "README.md").write_text("changed")
        world.git("add", "README.md")
        before = snapshot(world)
        result = promote(run)
        branch = f"mlinfra/promote/diabetes/prod/{new.short}"
        assert world.branches() == ["main", branch]
        assert world.git("diff", "--name-only", "main", branch, folder=world.remote).splitlines() == [
            LOCK, f"releases/diabetes/{new.digest[7:]}.json",
        ]  # fmt: skip
        lines = world.at(branch, LOCK).splitlines()
        assert lines[:4] == ["# ours", "diabetes:", f"  release: {new.digest}", f"  previous: {old.digest}"]
        assert world.at(branch, f"releases/diabetes/{new.digest[7:]}.json").encode() == new.to_json().strip()
        assert snapshot(world) == before
        assert world.store("prod").has(new.identity.artifact)
        assert f"{branch} is all there is" in result.stdout
        assert world.git("log", "-1", "--format=%s", branch, folder=world.remote) == (
            f"Promote diabetes to prod: {new.short}"
        )

    def test_twice_the_same_is_adopted(self, world: World, run: Run) -> None:
        world.start(remote=True)
        first, second = document(run)["delivered"], document(run)["delivered"]
        assert (first["adopted"], second["adopted"]) == (False, True)
        assert (second["commit"], second["uploaded"]) == (first["commit"], [])
        assert len(first["uploaded"]) == 2

    def test_a_branch_that_would_conflict_is_made_anew(self, world: World, run: Run, new: Release) -> None:
        world.start(remote=True)
        first = document(run)["delivered"]
        third = world.release(3)
        world.pin("prod", third)
        world.commit("another promotion")
        world.git("push", "-q", "origin", "main")
        again = document(run)["delivered"]
        assert not again["adopted"]
        assert again["branch"] == first["branch"]
        assert f"previous: {third.digest}" in world.at(again["branch"], LOCK)
        world.merge(again["branch"])
        assert document(run)["moves"] == []

    def test_a_branch_whose_lines_somebody_commented_is_made_anew(self, world: World, run: Run, old: Release) -> None:
        world.start(remote=True)
        document(run)
        lock = world.root / LOCK
        lock.write_text(lock.read_text().replace(old.digest, f"{old.digest}  # the good one"))
        world.commit("a comment")
        world.git("push", "-q", "origin", "main")
        again = document(run)["delivered"]
        assert not again["adopted"]
        assert f"previous: {old.digest}  # the good one" in world.at(again["branch"], LOCK)
        world.merge(again["branch"])
        assert document(run)["moves"] == []

    def test_a_clone_that_is_behind_promotes_on_what_is_there(self, world: World, run: Run, monkeypatch: Any) -> None:
        world.start(remote=True)
        behind = world.clone("ann")
        third = world.release(3)
        world.pin("prod", third)
        world.commit("another promotion")
        world.git("push", "-q", "origin", "main")
        monkeypatch.chdir(behind.root)
        found = document(run)
        assert found["moves"][0]["previous"] == third.digest
        assert f"previous: {third.digest}" in world.at(found["delivered"]["branch"], LOCK)

    def test_direct_pushes_to_the_default_branch(self, world: World, run: Run, new: Release) -> None:
        world.start(remote=True)
        before = snapshot(world)
        result = promote(run, "--direct")
        assert world.branches() == ["main"]
        assert f"release: {new.digest}" in world.at("main", LOCK)
        assert snapshot(world) == before
        assert "git pull brings it to your work tree" in result.stdout
        assert promote(run, "--direct").stdout == "diabetes: prod pins what staging serves: nothing to promote\n"

    def test_direct_waits_for_what_is_open(self, world: World, run: Run, old: Release) -> None:
        world.environment("prod", "accept_from: [staging]", "soak: 6h")
        world.start(remote=True)
        promote(run, "--direct", code=4)
        assert f"release: {old.digest}" in world.at("main", LOCK)
        world.environment("prod", "accept_from: [staging]", "approvals: 1")
        assert "--direct asks nobody" in promote(run, "--direct", code=3).stdout

    def test_a_branch_may_be_open_while_something_waits(self, world: World, run: Run, new: Release) -> None:
        world.environment("prod", "accept_from: [staging]", "soak: 6h")
        world.start(remote=True)
        promote(run, code=4)
        assert f"mlinfra/promote/diabetes/prod/{new.short}" in world.branches()

    def test_what_is_refused_pushes_and_uploads_nothing(self, world: World, run: Run, new: Release) -> None:
        del world.truth["staging"]
        world.environment("prod", "accept_from: [staging]", f"artifacts: {world.store('prod').url}")
        world.start(remote=True)
        promote(run, code=3)
        assert world.branches() == ["main"]
        assert not world.store("prod").has(new.identity.artifact)

    def test_an_artifact_that_was_changed_is_refused_before_git(self, world: World, run: Run, new: Release) -> None:
        world.start(remote=True)
        (Path(world.store()._tree_path(new.identity.artifact)) / "file").write_text("another model")
        result = promote(run, code=3)
        assert "was changed" in result.stderr
        assert world.branches() == ["main"]


class TestWithoutARemote:
    def test_a_branch_has_nowhere_to_go(self, world: World, run: Run) -> None:
        world.start(remote=False)
        result = promote(run, code=3)
        assert "there is no remote to push a branch to" in result.stderr
        assert "--direct commits to the branch that is checked out" in result.stderr

    def test_direct_commits_here_and_leaves_other_changes(
        self, world: World, run: Run, old: Release, new: Release
    ) -> None:
        world.start(remote=False)
        (world.root / "README.md").write_text("changed")
        (world.root / "staged.txt").write_text("new")
        world.git("add", "staged.txt")
        before = world.git("status", "--porcelain")
        promote(run, "--direct")
        assert world.git("status", "--porcelain") == before
        assert world.git("show", "--name-only", "--format=", "HEAD").splitlines() == [LOCK]
        assert (world.root / LOCK).read_text() == world.at("HEAD", LOCK) + "\n"
        assert f"previous: {old.digest}" in world.at("HEAD", LOCK)
        assert pinned(world, "prod") == new
        assert "nothing to promote" in promote(run, "--direct").stdout

    def test_the_first_promotion_from_dev(self, world: World, run: Run, new: Release) -> None:
        """What a user of `mlinfra init` and `git init` does first."""
        for name in ("prod", "staging"):
            (world.root / "environments" / f"{name}.lock.yaml").unlink()
        shutil.rmtree(world.root / "releases")
        world.start(remote=False)
        world.store().put_newest("dev", "diabetes", "diabetes", new.digest)
        world.truth = {"dev": serving(new)}
        promote(run, "--direct", source="dev", target="staging")
        assert pinned(world, "staging") == new
        assert world.git("status", "--porcelain") == ""

    def test_a_lock_with_changes_of_its_own_is_refused(self, world: World, run: Run) -> None:
        world.start(remote=False)
        with (world.root / LOCK).open("a") as file:
            file.write("# not committed\n")
        result = promote(run, "--direct", code=3)
        assert f"{LOCK} has changes that are not committed" in result.stderr
        assert world.git("log", "--format=%s").splitlines() == ["everything"]

    def test_what_a_killed_run_wrote_is_committed(self, world: World, run: Run, new: Release) -> None:
        world.start(remote=False)
        before = world.git("rev-parse", "HEAD")
        promote(run, "--direct")
        world.git("update-ref", "refs/heads/main", before)
        written = (world.root / LOCK).read_bytes()
        promote(run, "--direct")
        assert (world.root / LOCK).read_bytes() == written
        assert world.git("status", "--porcelain") == ""

    @pytest.mark.parametrize(("start", "said"), [(False, "git init"), (True, "commit what there is")])
    def test_before_git_or_its_first_commit(self, world: World, run: Run, start: bool, said: str) -> None:
        if start:
            world.git("init", "-q", "-b", "main")
        result = promote(run, "--direct", code=1)
        assert said in result.stderr
        assert "Traceback" not in result.stderr


class TestSeveralEndpoints:
    @pytest.fixture
    def second(self, world: World, new: Release) -> Release:
        """A stack with two endpoints; staging and prod pin `second` too."""
        path = world.root / "stacks" / "diabetes" / "stack.py"
        path.write_text(f'{path.read_text()}\nstack.add(Endpoint("second", model=models, runtime="sklearn"))\n')
        identity = new.identity.model_copy(update={"spec": {**new.identity.spec, "name": "second"}})
        return new.model_copy(update={"endpoint": "second", "identity": identity})

    def pinned_too(self, world: World, environment: str, release: Release) -> None:
        in_git(world.root, release)
        with (world.root / "environments" / f"{environment}.lock.yaml").open("a") as file:
            file.write(f"second:\n  release: {release.digest}\n")

    def test_all_of_them_move_in_one_commit(
        self, world: World, run: Run, old: Release, new: Release, second: Release
    ) -> None:
        self.pinned_too(world, "staging", second)
        world.start(remote=True)
        found = document(run, code=3)
        assert [move["endpoint"] for move in found["moves"]] == ["diabetes", "second"]
        unmet = {
            (item["precondition"], item["endpoint"]) for item in found["preconditions"] if item["verdict"] == "unmet"
        }
        assert unmet == {("verified", "second")}
        world.truth["staging/second"] = serving(second)
        delivered = document(run)["delivered"]
        assert world.git("rev-list", "--count", f"main..{delivered['branch']}", folder=world.remote) == "1"
        lock = world.at(delivered["branch"], LOCK)
        assert f"release: {new.digest}" in lock
        assert lock.endswith(f"second:\n  release: {second.digest}")
        one = document(run, "--release", new.short)
        assert one["delivered"]["branch"] != delivered["branch"]
        assert [move["endpoint"] for move in one["moves"]] == ["diabetes"]

    def test_one_that_is_there_already_stays(self, world: World, run: Run, new: Release, second: Release) -> None:
        self.pinned_too(world, "staging", second)
        self.pinned_too(world, "prod", second)
        world.start(remote=True)
        branch = document(run)["delivered"]["branch"]
        assert world.at(branch, LOCK).endswith(f"second:\n  release: {second.digest}")


def test_after_a_failed_rollout_the_next_one_is_rolled_out_beside_what_serves(world: World, run: Run) -> None:
    failed, good, third = pinned(world, "prod"), world.release(5), world.release(6)
    world.pin("prod", failed, f"previous: {good.digest}")
    world.pin("staging", third)
    in_git(world.root, good)
    world.truth["staging"] = serving(third)
    failure = Failure(release=failed.short, at="2026-11-22T10:00:00+00:00", reason="failed p95_ms <= 50: 80")
    record = RolloutRecord(release=failed.short, phase=Phase.FAILED, previous=good.short, failures=[failure])
    releases = [ServedRelease(good.short, 100, True), ServedRelease(failed.short, 0, True)]
    world.truth["prod"] = Serving("diabetes", "http://127.0.0.1:1", releases, 5, record)
    world.start(remote=True)
    promote(run, "--direct")
    lock = world.at("main", LOCK)
    assert f"release: {third.digest}" in lock
    assert f"previous: {good.digest}" in lock
    assert failed.digest not in lock
