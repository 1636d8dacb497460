"""A commit as history shows it, read from `git log`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FORMAT = "tformat:%H%x00%P%x00%aN%x00%aE%x00%cI%x00%s%x00%b"
"""For `git log -z`: seven fields a commit, each ended by NUL, which no message can hold."""

_FIELDS = 7


@dataclass(frozen=True)
class Commit:
    """One commit. `time` is when it was committed (with its zone), `parents` its parents' identities."""

    sha: str
    author: str
    email: str
    time: datetime
    subject: str
    body: str
    parents: tuple[str, ...]


def parse(output: bytes) -> list[Commit]:
    """Return the commits of `git log -z --format=FORMAT`, newest first."""
    fields = output.decode("utf-8", "replace").split("\0")[:-1]
    commits = []
    for start in range(0, len(fields), _FIELDS):
        sha, parents, author, email, time, subject, body = fields[start : start + _FIELDS]
        commits.append(
            Commit(
                sha=sha.strip(),
                author=author,
                email=email,
                time=datetime.fromisoformat(time),
                subject=subject,
                body=body.strip(),
                parents=tuple(parents.split()),
            )
        )
    return commits
