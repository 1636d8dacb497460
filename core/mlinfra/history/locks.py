"""What commits changed in an environment's lock: pure, from the content of the lock before and after."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mlinfra.digests import PREFIX, short
from mlinfra.history.events import Event, Kind, Outcome, same_release
from mlinfra.releases import LEAST_DIGITS, Lock, Pin, parse_lock
from mlinfra.yaml_file import read_yaml

_PULL_REQUESTS = (
    re.compile(r"^Merge pull request (#\d+)\b"),  # GitHub
    re.compile(r"^Merge pull request '.*' \((#\d+)\)"),  # Gitea
    re.compile(r"\((#\d+)\)$"),  # a squash, on both
    re.compile(r"^See merge request \S*(!\d+)$"),  # GitLab
)


@dataclass(frozen=True)
class LockCommit:
    """A commit of the main line that changed the lock: what it holds since then (None: there is none).

    `brought` are the commits that a merge brought, newest first; `known` says whether what was before is known, which
    it is not where a clone is cut off.
    """

    sha: str
    who: str
    time: datetime
    subject: str
    body: str
    content: bytes | None
    brought: Sequence[LockCommit] = ()
    known: bool = True


def events_of(commits: Sequence[LockCommit], file: str, releases: Sequence[str]) -> Iterator[Event]:
    """Yield what each commit (oldest first) changed; `releases` are the digests that are known.

    What cannot be read as a lock is an event, and what follows it is compared with the last lines that could be read.
    """
    before: Lock = {}
    pinned: dict[str, list[str]] = {}
    rolled_back: dict[str, str] = {}
    for commit in commits:
        after, problem = _lock(commit.content, file, before)
        if problem:
            yield replace(_edit(commit, commit), note=problem)
        if commit.known:
            for event in _changes(before, after, commit, file, pinned, rolled_back):
                unknown = _unknown(event.release, releases) if event.kind in (Kind.PROMOTION, Kind.ROLLBACK) else ""
                yield replace(event, note="; ".join(filter(None, (event.note, unknown))))
        for endpoint, pin in after.items():
            pinned.setdefault(endpoint, []).append(pin.release)
        before = after


def pull_request(commit: LockCommit) -> str | None:
    """Return the pull request that a commit's message names (`#12`, or `!12` on GitLab), or None."""
    lines = [commit.subject, *commit.body.splitlines()]
    return next((found[1] for line in lines for known in _PULL_REQUESTS if (found := known.search(line.strip()))), None)


def _lock(content: bytes | None, file: str, before: Lock) -> tuple[Lock, str]:
    """Return a lock, and what is wrong with it; of an endpoint whose lines cannot be read, those of before."""
    if content is None:
        return {}, ""
    try:
        lock, problems = parse_lock(read_yaml(content.decode(), file))
    except UnicodeDecodeError:
        return before, f"{file} is not UTF-8 text"
    broken = {problem.path.partition(".")[0] for problem in problems}
    if "" in broken:
        return before, str(problems[0]).splitlines()[0]
    said = str(problems[0]).splitlines()[0] if problems else ""
    return {**{name: pin for name, pin in before.items() if name in broken}, **lock}, said


def _changes(
    before: Lock,
    after: Lock,
    commit: LockCommit,
    file: str,
    pinned: Mapping[str, Sequence[str]],
    rolled_back: dict[str, str],
) -> Iterator[Event]:
    for endpoint in sorted({*before, *after}):
        old, new = before.get(endpoint), after.get(endpoint)
        if old == new:
            continue
        edit = replace(_edit(commit, _author_of(commit, endpoint, new, file)), endpoint=endpoint)
        if new is None:
            yield replace(edit, note="was taken out of the lock")
            continue
        edit = replace(edit, release=new.release)
        moved = old is None or not same_release(old.release, new.release)
        if moved:
            back = old is not None and _goes_back(old, new, pinned.get(endpoint, ()), rolled_back.get(endpoint))
            if back and old is not None:
                rolled_back[endpoint] = old.release
            else:
                rolled_back.pop(endpoint, None)
            kind = Kind.ROLLBACK if back else Kind.PROMOTION
            yield replace(edit, kind=kind, previous=old.release if old else None)
        if old is not None and old.hold and not new.hold:
            yield replace(edit, kind=Kind.RESUME)
        elif new.hold and (old is None or old.hold != new.hold):
            yield replace(edit, kind=Kind.HOLD, why=new.hold.reason, note=f"{new.hold.owner} holds it")
        elif old is not None and not moved:
            yield replace(edit, note=_edited(old, new))


def _goes_back(old: Pin, new: Pin, pinned: Sequence[str], rolled_back: str | None) -> bool:
    """Whether the earlier release comes back: by a swap, or to an older one with a hold.

    A swap that takes a rollback back brings the new release once more.
    """
    if same_release(new.release, rolled_back):
        return False
    if same_release(new.release, old.previous):
        return new.previous is None or same_release(new.previous, old.release)
    return new.hold is not None and any(same_release(new.release, earlier) for earlier in pinned)


def _edited(old: Pin, new: Pin) -> str:
    if old.previous and not new.previous:
        return f"{short(old.previous)} is no longer kept"
    if new.previous and not same_release(old.previous, new.previous):
        return f"the previous release is {short(new.previous or 'none')} instead of {short(old.previous or 'none')}"
    if old.warm_until != new.warm_until:
        return f"the previous release is kept warm until {new.warm_until or 'it is taken out'}"
    return "the same release is written in another way"


def _author_of(commit: LockCommit, endpoint: str, pin: Pin | None, file: str) -> LockCommit:
    """Return who wrote what a merge brought: the newest of its commits with the same lines; else the merge itself."""
    for brought in commit.brought:
        lock, problem = _lock(brought.content, file, {})
        if not problem and lock.get(endpoint) == pin:
            return brought
    return commit


def _edit(commit: LockCommit, by: LockCommit) -> Event:
    """Return what is known of every change that a commit made, written `by` the same commit or one that it merged."""
    return Event(
        Kind.EDIT,
        Outcome.DONE,
        "git",
        ended=commit.time,
        who=by.who,
        merged_by=None if by is commit else commit.who,
        why=by.subject,
        commit=commit.sha,
        pull_request=pull_request(commit) or pull_request(by),
    )


def _unknown(release: str | None, releases: Sequence[str]) -> str:
    """Return what is wrong with a pinned release, or nothing."""
    digits = (release or "").removeprefix(PREFIX)
    if len(digits) < LEAST_DIGITS or not re.fullmatch(r"[0-9a-f]{1,64}", digits):
        return f"{release} is no digest"
    found = [digest for digest in releases if digest.removeprefix(PREFIX).startswith(digits)]
    if len(found) > 1:
        return f"{short(digits)} names {len(found)} releases"
    return "" if found else f"{short(digits)} names no release that is known here"
