"""Two at once, and a run that ends in the middle: one wins, the other is told, and repeating finishes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.git import GitRepository
from tests.promotion.world import LOCK, World

Run = Callable[..., Result]
PROMOTE = ("promote", "diabetes", "--from", "staging", "--to", "prod")


def before_push(monkeypatch: pytest.MonkeyPatch, rival: Callable[[], object]) -> None:
    """Let `rival` happen just before the first push."""
    push, waiting = GitRepository.push, [rival]

    def pushing(git: GitRepository, commit: str, branch: str, *, expect: str | None) -> None:
        if waiting:
            waiting.pop()()
        push(git, commit, branch, expect=expect)

    monkeypatch.setattr(GitRepository, "push", pushing)


def test_the_lock_that_somebody_else_changed_meanwhile_is_theirs(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(remote=True)
    other, third = world.clone("ann"), world.release(3)

    def rival() -> None:
        other.pin("prod", third)
        other.commit("theirs")
        other.git("push", "-q", "origin", "main")

    before_push(monkeypatch, rival)
    result = run(*PROMOTE, "--direct")
    assert result.exit_code == 1
    assert f"somebody else changed {LOCK} on main at the same time; nothing of this was pushed" in result.stderr
    assert third.digest in world.at("main", LOCK)
    again = json.loads(run(*PROMOTE, "--direct", "--json").stdout)
    assert again["moves"][0]["previous"] == third.digest
    assert f"previous: {third.digest}" in world.at("main", LOCK)


def test_what_else_was_pushed_meanwhile_stays(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start(remote=True)
    other = world.clone("ann")

    def rival() -> None:
        (other.root / "README.md").write_text("theirs")
        other.commit("theirs")
        other.git("push", "-q", "origin", "main")

    before_push(monkeypatch, rival)
    assert run(*PROMOTE, "--direct").exit_code == 0
    assert world.at("main", "README.md") == "theirs"
    assert world.git("log", "-2", "--format=%an", "main", folder=world.remote).splitlines() == ["Me", "ann"]


def test_the_same_promotion_of_somebody_else_is_adopted(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(remote=True)
    other = world.clone("ann")
    found: list[Any] = []

    def rival() -> None:
        with monkeypatch.context() as there:
            there.chdir(other.root)
            found.append(json.loads(run(*PROMOTE, "--json").stdout)["delivered"])

    before_push(monkeypatch, rival)
    ours = json.loads(run(*PROMOTE, "--json").stdout)["delivered"]
    assert (found[0]["adopted"], ours["adopted"]) == (False, True)
    assert ours["commit"] == found[0]["commit"]


def test_a_run_that_ended_before_its_push_is_finished_by_the_next(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(remote=True)

    def killed() -> None:
        raise KeyboardInterrupt

    before_push(monkeypatch, killed)
    assert run(*PROMOTE).exit_code == 130
    assert world.branches() == ["main"]
    found = json.loads(run(*PROMOTE, "--json").stdout)["delivered"]
    assert (found["adopted"], found["uploaded"], len(world.branches())) == (False, [], 2)


def test_two_without_a_remote_one_commit(world: World, run: Run) -> None:
    """Two processes; `up` of an environment holds the same lock."""
    world.start(remote=False)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mlinfra.operations.alone import alone\n"
        "from mlinfra.repository import Repository\n"
        "with alone(Repository(Path(sys.argv[1])), 'prod', 'mlinfra promote diabetes'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(world.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        result = run(*PROMOTE, "--direct")
        assert result.exit_code == 1
        assert "another run holds the lock of prod: mlinfra promote diabetes (pid" in result.stderr
    finally:
        holder.communicate("")
    assert run(*PROMOTE, "--direct").exit_code == 0
    assert world.git("rev-list", "--count", "HEAD") == "2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("diabetes:\n  release: 00000000aa\n", f"{LOCK}:2: diabetes.release: names no release, or more than one"),
        ("<<<<<<< HEAD\ndiabetes:\n=======\n", f"{LOCK}:2: is not YAML"),
        ("diabets:\n  release: abcdef1234\n", "did you mean 'diabetes'?"),
    ],
)
def test_a_lock_edited_by_hand_is_refused_with_its_line(world: World, run: Run, text: str, said: str) -> None:
    (world.root / LOCK).write_text(text)
    world.start(remote=True)
    for arguments in ((*PROMOTE, "--dry-run"), PROMOTE):
        result = run(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr
    assert world.branches() == ["main"]


def test_swapped_lines_are_a_release_and_its_previous(world: World, run: Run) -> None:
    third, old = world.release(3), world.release(5)
    world.pin("prod", third)
    world.pin("prod", old, f"previous: {third.digest}")
    (world.root / LOCK).write_text(f"diabetes:\n  previous: {old.digest}\n  release: {third.digest}\n")
    world.start(remote=True)
    assert json.loads(run(*PROMOTE, "--json").stdout)["moves"][0]["previous"] == third.digest


def test_a_damaged_release_in_git_is_refused(world: World, run: Run) -> None:
    world.start(remote=True)
    for path in Path(world.root, "releases", "diabetes").glob("*.json"):
        path.write_text(path.read_text().replace('"1.1"', '"1.9"'))
    result = run(*PROMOTE)
    assert result.exit_code == 2
    assert "was changed by hand" in result.stderr
