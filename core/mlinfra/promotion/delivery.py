"""Bringing a promotion into git: one commit, on a branch of its own with a pull request, or on the default branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlinfra.digests import digest_json, short
from mlinfra.git import GitError, GitRepository, Raced
from mlinfra.problems import Refused
from mlinfra.promotion.difference import Move, Promotion
from mlinfra.promotion.local_branch import commit_here, current_branch
from mlinfra.promotion.lock_file import promoted
from mlinfra.releases import Lock, Release, parse_lock, parse_release
from mlinfra.resolve import release_file
from mlinfra.yaml_file import read_yaml

if TYPE_CHECKING:
    from mlinfra.hosts import PullRequest

_ATTEMPTS = 5
BRANCHES = "mlinfra/promote"


@dataclass(frozen=True)
class Base:
    """The commit that a promotion is made on: the branch that holds it, the lock in it, and its releases."""

    branch: str
    commit: str
    lock: str
    releases: Mapping[str, Release]


@dataclass(frozen=True)
class Delivered:
    """What git has of a promotion. `adopted`: it was there already."""

    branch: str
    commit: str
    adopted: bool = False
    pull_request: PullRequest | None = None
    uploaded: Sequence[str] = ()
    notes: Sequence[str] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `promote --json` prints."""
        request = self.pull_request
        return {
            "branch": self.branch,
            "commit": self.commit,
            "adopted": self.adopted,
            "pull_request": (
                {"number": request.number, "url": request.url, "state": request.state} if request else None
            ),
            "uploaded": list(self.uploaded),
            "notes": list(self.notes),
        }


def lock_path(environment: str) -> str:
    """Return where an environment's lock is, from the repository's root."""
    return f"environments/{environment}.lock.yaml"


def base_of(git: GitRepository, target: str, *, remote: bool) -> Base:
    """Return what a promotion to `target` is made on: the remote's default branch as it is now, or what is here.

    Raises:
        GitError: the remote cannot be read, or there is no commit yet.
        MlinfraError: a release in it is damaged.
    """
    if remote:
        branch = git.default_branch()
        found = git.fetch(branch)
        if found is None:
            raise GitError(f"the remote branch {branch} is gone", remedy="run this again")
        commit = found
    else:
        branch, commit = current_branch(git), git.head()
    known = [name for name in git.listed(commit, "releases") if name.endswith(".json")]
    missing = known if remote else ()
    releases = [
        parse_release(git.read(commit, name) or b"", name) for name in missing if not (git.root / name).exists()
    ]
    lock = git.read(commit, lock_path(target)) or b""
    return Base(branch, commit, lock.decode("utf-8", "replace"), {release.digest: release for release in releases})


def branch_of(promotion: Promotion) -> str:
    """Return the name of a promotion's branch: the same releases to the same environment have the same."""
    releases = [move.release.digest for move in promotion.moves]
    name = short(releases[0] if len(releases) == 1 else digest_json(releases))
    return f"{BRANCHES}/{promotion.stack}/{promotion.target.environment.name}/{name}"


def files_of(git: GitRepository, base: Base, promotion: Promotion, now: datetime) -> dict[str, bytes]:
    """Return the files of the commit: the lock, and the releases that the base does not have.

    Raises:
        Problems: the lock of the base is no lock.
        MlinfraError: it cannot be edited in place.
    """
    path = lock_path(promotion.target.environment.name)
    text = base.lock
    for move in promotion.moves:
        until = (now.astimezone(UTC) + timedelta(seconds=move.warm_seconds)).isoformat(timespec="seconds")
        instead = move.previous.digest if move.previous is not None and move.instead else None
        text = promoted(text, path, move.endpoint, move.release.digest, until, previous=instead)
    releases = {str(release_file(move.release)): move.release.to_json() for move in promotion.moves}
    there = {name: content for name, content in releases.items() if git.read(base.commit, name) is None}
    return {**there, path: text.encode()}


def message_of(promotion: Promotion) -> str:
    """Return the commit's message: who reads the history sees what moved, from where, and on what grounds."""
    source = promotion.source.environment.name
    lines = [title_of(promotion), "", *(f"{_told(move)}, from {source}" for move in promotion.moves), ""]
    lines += [f"{item.verdict.value}: {item.name}: {item.detail}" for item in promotion.preconditions]
    lines += ["", *(f"To {what}: {line}" for what, line in promotion.commands.items() if what.startswith("roll"))]
    return "\n".join(lines) + "\n"


def title_of(promotion: Promotion) -> str:
    """Return the first line of the commit's message, and the pull request's title."""
    moved = ", ".join(move.release.short for move in promotion.moves)
    return f"Promote {promotion.stack} to {promotion.target.environment.name}: {moved}"


def body_of(promotion: Promotion) -> str:
    """Return what the pull request says before its comment."""
    lines = [f"- {_told(move)}, from {promotion.source.environment.name}" for move in promotion.moves]
    again = promotion.commands["look at this again"]
    return "\n".join([*lines, "", f"A comment says what differs and what must hold; `{again}` renews it."])


def _told(move: Move) -> str:
    before = f"{move.previous.short} → " if move.previous else ""
    return f"{move.endpoint}: {before}{move.release.short}"


def on_branch(git: GitRepository, base: Base, promotion: Promotion, now: datetime) -> Delivered | None:
    """Push the promotion's branch, or adopt the one that is there and still right; nothing is pushed that is refused.

    Raises:
        Raced: others move the branch again and again.
        GitError: the remote refuses, or cannot be reached.
    """
    branch, files = branch_of(promotion), files_of(git, base, promotion, now)
    for _ in range(_ATTEMPTS):
        tip = git.fetch(branch)
        if tip is not None and _is_right(git, base, promotion, tip, files):
            return Delivered(branch, tip, adopted=True)
        if promotion.refused:
            return None
        commit = git.commit(base.commit, files, message_of(promotion))
        try:
            git.push(commit, branch, expect=tip)
        except Raced:
            continue
        return Delivered(branch, commit)
    raise Raced(f"{branch} is pushed by somebody else again and again", remedy="run this again")


def _is_right(git: GitRepository, base: Base, promotion: Promotion, tip: str, files: Mapping[str, bytes]) -> bool:
    """Whether a branch holds just this promotion, on the lock as it is now: it merges without a conflict."""
    path = lock_path(promotion.target.environment.name)
    before, after = git.read(f"{tip}^", path) if git.resolve(f"{tip}^") else None, git.read(tip, path)
    if after is None or (before or b"").decode("utf-8", "replace") != base.lock:
        return False
    there = all(git.read(tip, name) == content for name, content in files.items() if name != path)
    return there and _same_pins(after, files[path])


def _same_pins(one: bytes, other: bytes) -> bool:
    """Whether two locks pin the same, whatever they say of how long the previous release is warm."""
    return _pins(one) == _pins(other)


def _pins(text: bytes) -> Lock | None:
    pins, problems = parse_lock(read_yaml(text.decode("utf-8", "replace"), ""))
    return None if problems else {name: pin.model_copy(update={"warm_until": None}) for name, pin in pins.items()}


def on_default_branch(git: GitRepository, base: Base, promotion: Promotion, now: datetime) -> Delivered:
    """Push the promotion's commit to the remote's default branch.

    Raises:
        Raced: somebody else changed the lock at the same time; nothing was pushed.
        GitError: the remote refuses, or cannot be reached.
    """
    path = lock_path(promotion.target.environment.name)
    for _ in range(_ATTEMPTS):
        commit = git.commit(base.commit, files_of(git, base, promotion, now), message_of(promotion))
        try:
            git.push(commit, base.branch, expect=base.commit)
        except Raced:
            newer = base_of(git, promotion.target.environment.name, remote=True)
            if newer.lock != base.lock:
                raise Raced(
                    f"somebody else changed {path} on {base.branch} at the same time; nothing of this was pushed",
                    remedy="run this again: it starts from what is there now",
                ) from None
            base = newer
            continue
        return Delivered(base.branch, commit, notes=["git pull brings it to your work tree"])
    raise Raced(f"{base.branch} moves faster than it can be pushed to", remedy="run this again")


def in_work_tree(git: GitRepository, base: Base, promotion: Promotion, now: datetime) -> Delivered:
    """Commit the promotion to the branch that is checked out, and write its files: there is no remote.

    Raises:
        Refused: the lock, or a release, has changes of its own.
        Raced: the branch moved meanwhile.
    """
    files = files_of(git, base, promotion, now)
    for path in files:
        if not git.is_dirty(path):
            continue
        found = (git.root / path).read_bytes() if (git.root / path).exists() else b""
        if found == files[path] or (path.endswith(".lock.yaml") and _same_pins(found, files[path])):
            files[path] = found  # a run that was killed wrote it
            continue
        raise Refused(f"{path} has changes that are not committed", remedy=f"commit them, or: git restore {path}")
    commit = commit_here(git, base.commit, files, message_of(promotion))
    return Delivered(base.branch, commit)
