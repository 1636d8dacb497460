"""Git by plumbing: what is read and written, who wins a race, and that nothing of the user's is touched."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mlinfra.git import GitError, GitRepository, Raced, command, without_credentials
from tests.git.conftest import LOCK, git

NEW = {"releases/flight-delay/bbb.json": b"{}\n", LOCK: b"flight-delay: {release: bbb}\n"}


def everything(work: Path) -> dict[str, object]:
    """What a user could notice: the files and their times, the index to the byte, HEAD, refs and reflogs."""
    index = work / ".git" / "index"
    files = {
        str(path.relative_to(work)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(work.rglob("*"))
        if path.is_file() and not path.is_relative_to(work / ".git" / "objects")
    }
    return {
        "status": subprocess.run(
            ["git", "--no-optional-locks", "-C", str(work), "status", "--porcelain=v2", "--branch"],
            capture_output=True,
            check=True,
        ).stdout,
        "refs": git(work, "for-each-ref"),
        "index": (index.read_bytes(), index.stat().st_mtime_ns),
        "files": files,
    }


def change_in_every_stage(work: Path) -> None:
    (work / "staged.txt").write_text("staged")
    git(work, "add", "staged.txt")
    (work / LOCK).write_text("staged: {}\n")
    git(work, "add", LOCK)
    (work / LOCK).write_text("edited: {}\n")
    (work / "run.sh").write_text("#!/bin/sh\nexit 1\n")
    (work / "untracked.txt").write_text("untracked")
    git(work, "rm", "-q", "--cached", "run.sh")


def test_a_commit_and_a_push_leave_the_users_work_untouched(work: Path, stranger: GitRepository) -> None:
    change_in_every_stage(work)
    stranger.push(stranger.commit(stranger.head(), {"theirs": b"1"}, "Theirs"), "main", expect=stranger.head())
    (work / ".git" / "hooks" / "pre-push").write_text("#!/bin/sh\nexit 1\n")
    (work / ".git" / "hooks" / "pre-push").chmod(0o755)
    before = everything(work)

    repository = GitRepository.open(work)
    base = repository.fetch("main")
    assert base is not None
    commit = repository.commit(base, NEW, "Promote flight-delay to prod\n\nv7\n")
    repository.push(commit, "promote/prod", expect=None)
    repository.push(repository.commit(commit, {"more": b""}, "More"), "promote/prod", expect=commit)
    assert repository.default_branch() == "main"
    assert repository.is_dirty(LOCK)

    assert everything(work) == before


def test_the_commit_holds_the_files_and_keeps_the_rest(repository: GitRepository, work: Path) -> None:
    parent = repository.head()
    commit = repository.commit(parent, NEW | {"run.sh": b"#!/bin/sh\ntrue\n"}, "Promote\n\nby mlinfra")
    assert repository.read(commit, LOCK) == NEW[LOCK]
    assert repository.listed(commit, "releases") == ["releases/flight-delay/bbb.json"]
    assert repository.listed(commit, "") == [LOCK, "releases/flight-delay/bbb.json", "run.sh"]
    assert git(work, "ls-tree", commit, "run.sh").startswith("100755 ")
    assert (
        git(work, "log", "-1", "--format=%an <%ae>|%cn|%B", commit) == "Ada <ada@example.com>|Ada|Promote\n\nby mlinfra"
    )
    assert git(work, "rev-parse", f"{commit}^") == parent
    removed = repository.commit(commit, {LOCK: None, "never-there": None}, "Remove")
    assert repository.read(removed, LOCK) is None
    assert repository.read(removed, "releases") is None
    assert repository.listed(removed, "environments") == []


def test_bytes_are_written_as_they_are(repository: GitRepository, work: Path) -> None:
    git(work, "config", "core.autocrlf", "input")
    content = bytes(range(256)) + b"\r\n"
    commit = repository.commit(repository.head(), {"a b/ü.bin": content}, "Bytes")
    assert repository.read(commit, "a b/ü.bin") == content
    assert repository.listed(commit, "a b") == ["a b/ü.bin"]


def test_the_same_content_is_no_commit(repository: GitRepository) -> None:
    head = repository.head()
    assert repository.commit(head, {LOCK: repository.read(head, LOCK)}, "Nothing") == head


def test_a_folder_of_a_larger_repository(repository: GitRepository, work: Path) -> None:
    below = GitRepository.open(work / "environments")
    assert below.read("HEAD", "prod.lock.yaml") == repository.read("HEAD", LOCK)
    commit = below.commit(below.head(), {"dev.lock.yaml": b"{}"}, "Below")
    assert below.listed(commit, "") == ["dev.lock.yaml", "prod.lock.yaml"]
    assert repository.listed(commit, "environments") == ["environments/dev.lock.yaml", LOCK]
    assert [item.subject for item in below.log("prod.lock.yaml")] == ["First"]
    assert below.listed(below.commit(commit, {"prod.lock.yaml": None}, "Remove"), "") == ["dev.lock.yaml"]


def test_authors(repository: GitRepository, work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    head = repository.head()
    commit = repository.commit(head, {"x": b"1"}, "X", author="Grace Hopper <grace@example.com>")
    assert git(work, "log", "-1", "--format=%an %ae %cn", commit) == "Grace Hopper grace@example.com Ada"
    with pytest.raises(GitError, match="'Name <email>'"):
        repository.commit(head, {"x": b"1"}, "X", author="grace")
    (tmp_path / "gitconfig").write_text("[user]\n useConfigOnly = true\n")
    commit = repository.commit(head, {"x": b"2"}, "X", author="Grace Hopper <grace@example.com>")
    assert git(work, "log", "-1", "--format=%an %cn", commit) == "Grace Hopper Grace Hopper"
    with pytest.raises(GitError, match="does not know who you are") as caught:
        repository.commit(head, {"x": b"3"}, "X")
    assert "user.name" in caught.value.remedy


def test_history(repository: GitRepository, work: Path) -> None:
    (work / LOCK).write_text("flight-delay: {release: bbb}\n")
    git(work, "commit", "-q", "-am", "Promote bbb\n\nwhy: soaked\nsecond line")
    first, second = repository.log(LOCK)[::-1]
    assert second.subject == "Promote bbb"
    assert second.body == "why: soaked\nsecond line"
    assert second.parents == (first.sha,)
    assert (second.author, second.email) == ("Ada", "ada@example.com")
    assert second.time.tzinfo is not None
    assert first.parents == ()
    assert first.body == ""
    assert repository.log(LOCK, limit=1) == [second]
    assert repository.log("never-there") == []
    assert [item.sha for item in repository.log("run.sh")] == [first.sha]


def test_resolve(repository: GitRepository) -> None:
    head = repository.head()
    assert repository.resolve("origin/main") == repository.resolve(head[:10]) == head
    for nothing in ("nothing", "--all", "-h", "", "HEAD:run.sh", "0" * 40):
        assert repository.resolve(nothing) is None
    with pytest.raises(GitError, match="the revision 'nothing' is not here"):
        repository.read("nothing", LOCK)


def test_fetch_sees_the_remote_as_it_is_now(repository: GitRepository, stranger: GitRepository) -> None:
    theirs = stranger.commit(stranger.head(), {"theirs": b"1"}, "Theirs")
    stranger.push(theirs, "main", expect=stranger.head())
    assert repository.fetch("main") == theirs
    assert repository.read(theirs, "theirs") == b"1"
    assert repository.resolve("origin/main") == repository.head()
    assert repository.fetch("never-there") is None


def test_two_creators_of_one_branch(repository: GitRepository, stranger: GitRepository) -> None:
    ours = repository.commit(repository.head(), {"ours": b"1"}, "Ours")
    theirs = stranger.commit(stranger.head(), {"theirs": b"1"}, "Theirs")
    stranger.push(theirs, "promote/prod", expect=None)
    with pytest.raises(Raced, match=f"promote/prod is at {theirs[:12]}, not absent"):
        repository.push(ours, "promote/prod", expect=None)
    assert repository.fetch("promote/prod") == theirs
    with pytest.raises(Raced, match="is absent, not at"):
        repository.push(ours, "never-there", expect=theirs)


def test_of_many_at_once_one_wins(repository: GitRepository) -> None:
    head = repository.head()
    commits = [repository.commit(head, {"who": str(number).encode()}, f"{number}") for number in range(6)]

    def push(commit: str) -> str | None:
        try:
            repository.push(commit, "promote/prod", expect=None)
        except Raced:
            return None
        return commit

    with ThreadPoolExecutor(6) as pool:
        won = [commit for commit in pool.map(push, commits) if commit]
    assert won == [repository.fetch("promote/prod")]


def test_what_is_there_already_is_pushed(repository: GitRepository) -> None:
    commit = repository.commit(repository.head(), {"x": b"1"}, "X")
    repository.push(commit, "promote/prod", expect=None)
    repository.push(commit, "promote/prod", expect=None)


def test_a_refusal_of_the_remote_is_told_in_its_words(repository: GitRepository, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="main is protected") as caught:
        repository.push(repository.commit(repository.head(), {"x": b"1"}, "X"), "main", expect=repository.head())
    assert not isinstance(caught.value, Raced)
    assert "pull request" in caught.value.remedy


def test_dirty(repository: GitRepository, work: Path) -> None:
    assert not repository.is_dirty(LOCK)
    (work / "environments" / "new.yaml").write_text("x")
    assert repository.is_dirty("environments")
    assert not repository.is_dirty(LOCK)
    (work / LOCK).write_text("x")
    assert repository.is_dirty(LOCK)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@git.example.com/a/b.git", "https://git.example.com/a/b.git"),
        ("https://ghp_secret@github.com/a/b", "https://github.com/a/b"),
        ("https://git.example.com/a/b@c", "https://git.example.com/a/b@c"),
        ("ssh://git:secret@git.example.com:2222/a/b", "ssh://git@git.example.com:2222/a/b"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
    ],
)
def test_remotes_are_shown_without_credentials(repository: GitRepository, work: Path, url: str, shown: str) -> None:
    git(work, "remote", "set-url", "origin", url)
    assert repository.remote() == shown
    assert repository.remote("upstream") is None
    assert "secret" not in without_credentials(f"fatal: unable to access '{url}/': no")


def test_no_message_holds_credentials(repository: GitRepository, work: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    git(work, "remote", "set-url", "origin", f"http://user:s3cret@127.0.0.1:{port}/a.git")
    asked: list[Callable[[], object]] = [
        repository.default_branch,
        lambda: repository.fetch("main"),
        lambda: repository.push(repository.head(), "main", expect=None),
    ]
    for ask in asked:
        with pytest.raises(GitError) as caught:
            ask()
        assert "127.0.0.1" in caught.value.message
        assert "s3cret" not in caught.value.message + caught.value.remedy


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_hanging_remote_ends_in_time(repository: GitRepository, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "NETWORK_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        git(work, "remote", "set-url", "origin", f"http://127.0.0.1:{port}/a.git")
        with pytest.raises(GitError, match=re.escape("git ls-remote did not end within 0.5 s")):
            repository.fetch("main")
        with pytest.raises(GitError, match=re.escape("git push did not end within 0.5 s")):
            repository.push(repository.head(), "x", expect=None)
        assert [process for process in psutil.process_iter() if f"127.0.0.1:{port}" in " ".join(_line(process))] == []


def test_ssh_is_called_as_the_user_configured_it_and_finds_nobody_to_ask(
    repository: GitRepository, work: Path, tmp_path: Path
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\n(: < /dev/tty) 2> /dev/null && echo asks >> {tmp_path}/asked\nexit 1\n")
    ssh.chmod(0o755)
    git(work, "config", "core.sshCommand", f"touch {tmp_path}/called; {ssh}")
    git(work, "remote", "set-url", "origin", "git@git.example.com:a/b.git")
    with pytest.raises(GitError, match=r"git@git\.example\.com:a/b\.git cannot be read"):
        repository.fetch("main")
    assert (tmp_path / "called").exists()
    assert not (tmp_path / "asked").exists()


def test_outside_of_a_repository(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="not a git repository"):
        GitRepository.open(tmp_path)
    with pytest.raises(GitError, match="there is no folder"):
        GitRepository.open(tmp_path / "never-there")
    git(tmp_path, "init", "-q")
    with pytest.raises(GitError, match="there is no commit yet"):
        GitRepository.open(tmp_path).head()
    with pytest.raises(GitError, match="there is no remote origin"):
        GitRepository.open(tmp_path).fetch("main")


def test_an_empty_remote_has_no_default_branch(repository: GitRepository, work: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "-q", "--bare", str(empty))
    git(work, "remote", "set-url", "origin", str(empty))
    with pytest.raises(GitError, match="names no default branch"):
        repository.default_branch()


def test_without_git(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GitError, match="git does not start") as caught:
        GitRepository.open(work)
    assert "install git" in caught.value.remedy


def test_the_variables_of_a_hook_lead_nowhere_else(
    repository: GitRepository, stranger: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(stranger.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(stranger.root / ".git" / "index"))
    monkeypatch.setenv("GIT_TRACE", "1")
    before = (stranger.root / ".git" / "index").read_bytes()
    commit = repository.commit(repository.head(), {"x": b"1"}, "X")
    assert repository.read(commit, "x") == b"1"
    monkeypatch.delenv("GIT_DIR")
    assert stranger.resolve(commit) is None
    assert (stranger.root / ".git" / "index").read_bytes() == before


def test_a_file_where_a_folder_should_be(repository: GitRepository) -> None:
    for path in ("run.sh/x", "../out", ".git/config", "/etc/x"):
        with pytest.raises(GitError, match="the commit cannot be written"):
            repository.commit(repository.head(), {path: b"1"}, "X")
