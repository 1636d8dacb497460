"""One comment per pull request and key, kept up to date in place.

Its first line is hidden and says what it is: key, revision, and a hash of the text. It is found by its author and that
line, because anybody may write the line. Of comments that runs at the same time created, the oldest is kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

LIMIT = 65_536
"""Characters that GitHub and Gitea take in one comment."""

_MARKER = re.compile(r"<!-- mlinfra key=(?P<key>\S+) revision=(?P<revision>\d+) digest=(?P<digest>[0-9a-f]+) -->")
_DETAILS = re.compile(r"(<details[^>]*>\s*(?:<summary>.*?</summary>)?\n*)(.*?)(?=\n*</details>)", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_LEFT_OUT = "… {} characters are left out here; the whole text is in the log of the run\n\n"
_NOTICE_ROOM = 120


@dataclass(frozen=True)
class Remark:
    """A comment that is there: numbers grow with time."""

    number: int
    url: str
    body: str


class Board(Protocol):
    """The comments of one pull request."""

    def own(self) -> list[Remark]:
        """Return the comments that this user wrote."""

    def create(self, body: str) -> None:
        """Write a comment."""

    def edit(self, remark: Remark, body: str) -> None:
        """Write a comment again."""

    def delete(self, remark: Remark) -> None:
        """Remove a comment, or find it removed."""


def keep_one(board: Board, key: str, revision: int, text: str) -> str:
    """Keep one comment under `key` with the newest revision's text; return its URL."""
    found = _under(board.own(), key)
    if not found:
        board.create(rendered(key, revision, text))
        found = _under(board.own(), key)
    oldest, *others = found
    there = _MARKER.match(oldest.body)
    if there and int(there["revision"]) <= revision and there["digest"] != _digest(text):
        board.edit(oldest, rendered(key, revision, text))
    for other in others:
        board.delete(other)
    return oldest.url


def rendered(key: str, revision: int, text: str) -> str:
    """Return the comment: the marker, and the text cut to what hosts take."""
    marker = f"<!-- mlinfra key={_safe(key)} revision={revision} digest={_digest(text)} -->\n"
    return marker + cut(text, LIMIT - len(marker))


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters: folded details lose their start, one after the other; what is visible stays.

    Code fences stay whole. Only a text that is too long without its details loses its end.
    """
    position = 0
    while len(text) > limit:
        details = _DETAILS.search(text, position)
        if details is None:
            return _without_end(text, limit)
        content = details[2]
        excess = len(text) - limit + _NOTICE_ROOM
        kept = _without_start(content, excess)
        if len(kept) < len(content):
            text = text[: details.start(2)] + kept + text[details.end(2) :]
        position = details.start(2) + len(kept)
    return text


def _without_start(content: str, excess: int) -> str:
    """Return the content without at least `excess` characters of its first lines, or with the notice alone."""
    end = content.find("\n", min(excess, len(content))) + 1 or len(content)
    opened = _open_fence(content[:end])
    first = f"{opened}\n" if opened else ""
    return _LEFT_OUT.format(end) + first + content[end:]


def _without_end(text: str, limit: int) -> str:
    """Return the text without its last lines, with code fences and details closed."""
    room = max(0, limit - _NOTICE_ROOM)
    kept = text[: text.rfind("\n", 0, room) + 1 or room]
    opened = _open_fence(kept)
    fence = _FENCE.match(opened)
    closing = f"\n{fence[1]}\n" if fence else "\n"
    folded = "\n</details>\n" if kept.count("<details") > kept.count("</details>") else ""
    return (kept + closing + folded + _LEFT_OUT.format(len(text) - len(kept)).rstrip())[:limit]


def _open_fence(text: str) -> str:
    """Return the line of the code fence that is open at the end of `text`, or an empty string."""
    opened: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opened is None:
            opened = line
        elif line[1].startswith(opened[1]) and not line[2].strip():
            opened = None
    return opened[0].strip() if opened else ""


def _under(remarks: list[Remark], key: str) -> list[Remark]:
    marked = [(remark, _MARKER.match(remark.body)) for remark in remarks]
    return sorted(
        (remark for remark, found in marked if found and found["key"] == _safe(key)), key=lambda it: it.number
    )


def _safe(key: str) -> str:
    return quote(key, safe="/:").replace("--", "%2D%2D")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
