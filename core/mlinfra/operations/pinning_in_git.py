"""Changing a lock file by a commit: on the default branch, or on one of its own with a pull request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from mlinfra.files import write_atomically
from mlinfra.git.command import GitError
from mlinfra.git.repository import GitRepository, Raced
from mlinfra.hosts.detect import host_of
from mlinfra.hosts.host import NoPullRequests
from mlinfra.operations.pinning import Pinned
from mlinfra.operations.session import Session
from mlinfra.promotion.local_branch import commit_here
from mlinfra.promotion.lock_file import repinned
from mlinfra.releases import Pin

_ATTEMPTS = 3


def pin_in_git(session: Session, pins: Mapping[str, Pin], message: str, *, direct: bool) -> Pinned:
    """Commit the lock with other pins; a repository without a remote is changed here.

    Raises:
        MlinfraError: git or its host does not take it.
    """
    root, name = session.repository.root, session.environment.name
    path = f"environments/{name}.lock.yaml"
    try:
        git = GitRepository.open(root)
        remote = git.remote()
    except GitError:
        git, remote = None, None
    if git is None or remote is None:
        return _here(session, pins, path, message, git)
    branch = git.default_branch()
    for _ in range(_ATTEMPTS):
        base = git.fetch(branch)
        if base is None:
            raise GitError(f"the remote has no branch {branch}", remedy=f"push it: git push -u origin {branch}")
        text = repinned((git.read(base, path) or b"").decode(), path, pins)
        commit = git.commit(base, {path: text.encode()}, message)
        if not direct:
            return _proposed(git, commit, base, branch, name, message)
        try:
            git.push(commit, branch, expect=base)
        except Raced:
            continue
        return Pinned(f"committed to {branch}; git pull brings it here", commit=commit)
    raise Raced(f"{branch} changes all the time", remedy="run this again")


def _here(session: Session, pins: Mapping[str, Pin], path: str, message: str, git: GitRepository | None) -> Pinned:
    """Change the file in the work tree, and commit it where there is git."""
    file = session.repository.root / path
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    text = repinned(before, path, pins).encode()
    if git is None:
        write_atomically(file, text, durable=True)
        return Pinned(f"written to {path}, which is in no git repository")
    commit = commit_here(git, git.head(), {path: text}, message)
    return Pinned(f"written to {path}, and committed", commit=commit)


def _proposed(git: GitRepository, commit: str, base: str, onto: str, name: str, message: str) -> Pinned:
    branch = f"mlinfra/lock/{name}/{datetime.now(UTC):%Y%m%d-%H%M%S}-{commit[:8]}"
    git.push(commit, branch, expect=None)
    subject, _, body = message.partition("\n")
    try:
        opened = host_of(git, os.environ).open_or_adopt(branch, onto, commit, subject, body.strip())
    except NoPullRequests as error:
        return Pinned(f"proposed on the branch {branch}, without a pull request: {error.remedy}", commit=commit)
    return Pinned(f"proposed on the branch {branch}; it counts once it is merged", commit=commit, url=opened.url)
