"""Changing a lock file by a commit: on the default branch, or on one of its own with a pull request."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime

from ruamel.yaml import YAML

from mlinfra.files import write_atomically
from mlinfra.git.command import GitError
from mlinfra.git.repository import GitRepository, Raced
from mlinfra.operations.pinning import Pinned
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
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
        return _here(session, pins, path, message, in_git=git is not None)
    branch = git.default_branch()
    for _ in range(_ATTEMPTS):
        base = git.fetch(branch)
        if base is None:
            raise GitError(f"the remote has no branch {branch}", remedy=f"push it: git push -u origin {branch}")
        text = repinned((git.read(base, path) or b"").decode(), pins)
        commit = git.commit(base, {path: text.encode()}, message)
        if not direct:
            return _proposed(git, commit, base, branch, name, message)
        try:
            git.push(commit, branch, expect=base)
        except Raced:
            continue
        return Pinned(f"committed to {branch}; git pull brings it here", commit=commit)
    raise Raced(f"{branch} changes all the time", remedy="run this again")


def repinned(text: str, pins: Mapping[str, Pin]) -> str:
    """Return a lock with other pins; comments and the rest stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    lock = yaml.load(text) or {}
    for endpoint, pin in pins.items():
        lines = {name: value for name, value in pin.model_dump().items() if value is not None}
        known = lock.setdefault(endpoint, {})
        for gone in set(known) - set(lines):
            del known[gone]
        known.update(lines)
    written = io.StringIO()
    yaml.dump(lock, written)
    return written.getvalue()


def _here(session: Session, pins: Mapping[str, Pin], path: str, message: str, *, in_git: bool) -> Pinned:
    file = session.repository.root / path
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    write_atomically(file, repinned(before, pins).encode(), durable=True)
    if not in_git:
        return Pinned(f"written to {path}, which is in no git repository")
    for arguments in (["add", "--", path], ["commit", "--quiet", "--message", message, "--only", "--", path]):
        done = subprocess.run(
            ["git", *arguments], cwd=session.repository.root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise MlinfraError(f"{path} is written, and not committed: {said[-1] if said else 'git did not say why'}")
    return Pinned(f"written to {path}, and committed", commit=GitRepository.open(session.repository.root).head())


def _proposed(git: GitRepository, commit: str, base: str, onto: str, name: str, message: str) -> Pinned:
    import os

    from mlinfra.hosts.detect import host_of

    branch = f"mlinfra/lock/{name}/{datetime.now(UTC):%Y%m%d-%H%M%S}"
    git.push(commit, branch, expect=None)
    subject, _, body = message.partition("\n")
    opened = host_of(git, os.environ).open_or_adopt(branch, onto, commit, subject, body.strip())
    return Pinned(f"proposed on the branch {branch}; it counts once it is merged", commit=commit, url=opened.url)
