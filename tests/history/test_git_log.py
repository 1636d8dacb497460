"""The main line of a real repository: merges, a shallow clone, a folder inside, and no repository at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlinfra.git import GitError
from mlinfra.history.git_log import GitLog

FILE = "environments/prod.lock.yaml"


class Work:
    """A repository in which one commits."""

    def __init__(self, root: Path, inside: str = "") -> None:
        self.root = root
        self.folder = root / inside
        self.folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments: str, who: str = "Ann") -> str:
        settings = (f"user.name={who}", f"user.email={who}@example.com", "commit.gpgsign=false")
        identity = [piece for setting in settings for piece in ("-c", setting)]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, content: str, subject: str, *, who: str = "Ann", file: str = FILE) -> str:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", subject, who=who)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_commits_that_touch_the_file_oldest_first(work: Work) -> None:
    one = work.commit("1", "One")
    work.commit("x", "Something else", file="README.md")
    two = work.commit("2", "Two\n\nwith a body", who="Bob")
    found = GitLog(work.root).main_line(FILE)
    assert [(commit.sha, commit.who, commit.subject, commit.body, commit.content) for commit in found] == [
        (one, "Ann", "One", "", b"1"),
        (two, "Bob", "Two", "with a body", b"2"),
    ]
    assert all(commit.known and commit.time.tzinfo for commit in found)


def test_a_file_that_is_removed_holds_nothing(work: Work) -> None:
    work.commit("1", "One")
    work.git("rm", "--quiet", FILE)
    work.git("commit", "--quiet", "-m", "Remove it")
    assert [commit.content for commit in GitLog(work.root).main_line(FILE)] == [b"1", None]


def test_a_merge_is_one_change_and_knows_what_it_brought(work: Work) -> None:
    work.commit("1", "One")
    work.git("checkout", "--quiet", "-b", "promote")
    first = work.commit("2", "Two", who="Bob")
    second = work.commit("3", "Three", who="Bob")
    work.git("checkout", "--quiet", "main")
    work.commit("x", "Meanwhile", file="README.md")
    work.git("merge", "--quiet", "--no-ff", "-m", "Merge it", "promote", who="Cat")
    one, merge = GitLog(work.root).main_line(FILE)
    assert (one.content, list(one.brought)) == (b"1", [])
    assert (merge.who, merge.subject, merge.content) == ("Cat", "Merge it", b"3")
    assert [(commit.sha, commit.who, commit.content) for commit in merge.brought] == [
        (second, "Bob", b"3"),
        (first, "Bob", b"2"),
    ]


def test_a_shallow_clone_says_so(work: Work, tmp_path: Path) -> None:
    work.commit("1", "One")
    work.commit("2", "Two")
    work.commit("3", "Three")
    clone = tmp_path / "clone"
    work.git("clone", "--quiet", "--depth=2", work.root.as_uri(), str(clone))
    log = GitLog(clone)
    assert log.shallow
    assert [(commit.content, commit.known) for commit in log.main_line(FILE)] == [(b"2", False), (b"3", True)]
    assert not GitLog(work.root).shallow


def test_a_repository_inside_of_another_folder(tmp_path: Path) -> None:
    work = Work(tmp_path / "mono", "teams/ml platform")
    work.commit("1", "One")
    assert [commit.content for commit in GitLog(work.folder).main_line(FILE)] == [b"1"]


def test_times_and_first_commits(work: Work) -> None:
    sha = work.commit("1", "One", file="releases/a.json")
    work.commit("2", "Two", file="releases/a.json")
    log = GitLog(work.root)
    time = log.time_of(sha)
    assert time is not None
    assert time.isoformat() == work.git("show", "-s", "--format=%cI", sha).replace("Z", "+00:00")
    assert log.time_of("0" * 40) is None
    assert log.time_of("") is None
    assert log.time_of("--output=/nowhere") is None
    first = log.first_of("releases/a.json")
    assert first is not None
    assert first.sha == sha
    assert log.first_of("releases/b.json") is None


def test_what_is_not_committed(work: Work) -> None:
    work.commit("1", "One")
    log = GitLog(work.root)
    assert not log.differs(FILE)
    (work.root / FILE).write_text("2")
    assert log.differs(FILE)


def test_no_commit_yet_and_no_repository(work: Work, tmp_path: Path) -> None:
    log = GitLog(work.root)
    assert log.main_line(FILE) == []
    assert log.first_of(FILE) is None
    assert log.time_of("HEAD") is None
    (tmp_path / "plain").mkdir()
    with pytest.raises(GitError, match="cannot be used as a git repository"):
        GitLog(tmp_path / "plain")
