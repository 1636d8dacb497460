"""Editing a lock file in place: every byte that is not about the release stays, comments and quotes included.

A comment behind a digest belongs to that digest, and moves with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from mlinfra.digests import PREFIX
from mlinfra.history.events import same_release
from mlinfra.problems import MlinfraError, Problems
from mlinfra.releases import Hold, Pin, parse_lock
from mlinfra.yaml_file import read_yaml

FIELDS = tuple(Pin.model_fields)


def promoted(text: str, name: str, endpoint: str, release: str, warm_until: str, *, previous: str | None = None) -> str:
    """Return the lock with `release` (a digest) pinned; what was pinned is the previous one, warm until then.

    `previous` is another one, where what was pinned failed its rollout and something else serves. A `hold` and other
    endpoints stay as they are. Raises as `repinned` does.
    """
    pin = _pins(text, name).get(endpoint)
    wanted = Pin(release=release)
    if pin is not None:
        lines = {"release": release, "previous": previous or pin.release, "warm_until": warm_until}
        wanted = Pin.model_validate({**pin.model_dump(), **lines})
    return repinned(text, name, {endpoint: wanted})


def repinned(text: str, name: str, pins: Mapping[str, Pin]) -> str:
    """Return the lock with these pins, and the others as they are. `name` is the file's, for messages.

    Raises:
        Problems: the file is no lock.
        MlinfraError: it is written in a way that cannot be edited.
    """
    wanted = {**_pins(text, name), **pins}
    for endpoint, pin in pins.items():
        text = _pinned(text, endpoint, pin, _pins(text, name).get(endpoint))
    found, problems = parse_lock(read_yaml(text, name))
    if problems or found != wanted:
        raise MlinfraError(
            f"{name} is written in a way that cannot be edited in place",
            remedy="write one field a line, without anchors: endpoint:, and below it release: and previous:",
        )
    return text


def _pins(text: str, name: str) -> dict[str, Pin]:
    pins, problems = parse_lock(read_yaml(text, name))
    if problems:
        raise Problems(problems)
    return pins


def _pinned(text: str, endpoint: str, pin: Pin, before: Pin | None) -> str:
    if before is None:
        return _appended(text, endpoint, pin)
    root = YAML(typ="safe", pure=True).compose(text)
    written = _Written(text, next(value for key, value in root.value if key.value == endpoint))
    known = {value: field for field in ("release", "previous") if (value := getattr(before, field)) is not None}
    last = ""
    for field in FIELDS:
        value = getattr(pin, field)
        if value is None:
            written.remove(field)
        elif field in ("release", "previous"):
            from_ = next((known[each] for each in known if same_release(each, value)), None)
            same = from_ is not None and getattr(before, from_) == value
            raw = written.raw(from_) if from_ and same else _shown(field, value)
            written.put(field, raw, written.comment(from_) if from_ else "", after=last)
        elif value != getattr(before, field):
            written.put(field, _shown(field, value), written.comment(field), after=last)
        last = field if value is not None else last
    return written.edited()


def _shown(field: str, value: Any) -> str:
    """Return a value as it is written for the first time."""
    if isinstance(value, Hold):
        lines = ", ".join(f"{name}: {_shown(name, text)}" for name, text in value.model_dump().items())
        return f"{{{lines}}}"
    plain = field in ("release", "previous") and value.startswith(PREFIX)
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


class _Written:
    """The lines of one endpoint as they are written, and the edits to them."""

    def __init__(self, text: str, node: MappingNode) -> None:
        self._text = text
        self._flow = bool(node.flow_style)
        self._nodes: dict[str, tuple[Node, Node]] = {key.value: (key, value) for key, value in node.value}
        self._indent = node.start_mark.column
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._anchors: dict[str, str] = {}
        self._edits: list[_Edit] = []

    def raw(self, field: str) -> str:
        """Return a value as it is written."""
        node = self._nodes[field][1]
        return self._text[node.start_mark.index : node.end_mark.index]

    def comment(self, field: str) -> str:
        """Return what is behind a value in its line: blanks and a comment."""
        if self._flow or field not in self._nodes:
            return ""
        end = self._end(field)
        return self._text[end : self._line_end(end)]

    def put(self, field: str, value: str, comment: str, *, after: str) -> None:
        """Write a value and the comment behind it; a field that is new comes after the field `after`."""
        shown = value if self._flow else f"{value}{comment}"
        if field in self._nodes:
            start, end = self._nodes[field][1].start_mark.index, self._end(field)
            blank = " " if start == end else ""
            self._edits.append(_Edit(start, end if self._flow else self._line_end(end), blank + shown))
            return
        # what was just inserted has no place: the next one goes to that of its anchor, behind it
        anchor = self._anchors.get(after, after)
        self._anchors[field] = anchor
        end = self._end(anchor)
        place = end if self._flow else self._line_end(end)
        line = f", {field}: {shown}" if self._flow else f"{self._newline}{' ' * self._indent}{field}: {shown}"
        self._edits.append(_Edit(place, place, line))

    def remove(self, field: str) -> None:
        """Take a field away, with its line."""
        if field not in self._nodes:
            return
        key, end = self._nodes[field][0].start_mark.index, self._end(field)
        if not self._flow:
            start = self._text.rfind(self._newline, 0, key)
            self._edits.append(_Edit(start, self._line_end(end), ""))
            return
        names = list(self._nodes)
        index = names.index(field)
        if index:
            self._edits.append(_Edit(self._end(names[index - 1]), end, ""))
        else:
            self._edits.append(_Edit(key, self._nodes[names[1]][0].start_mark.index, ""))

    def edited(self) -> str:
        """Return the text with all edits made."""
        text = self._text
        # from the end, so that places stay what they were; at one place what is inserted last comes last
        order = sorted(enumerate(self._edits), key=lambda pair: (pair[1].start, pair[1].end, pair[0]), reverse=True)
        for _, item in order:
            text = text[: item.start] + item.text + text[item.end :]
        return text

    def _end(self, field: str) -> int:
        """Return where a value ends: a block is said to end where the next thing begins."""
        node = self._nodes[field][1]
        while isinstance(node, MappingNode) and not node.flow_style:
            node = node.value[-1][1]
        return int(node.end_mark.index)

    def _line_end(self, index: int) -> int:
        found = self._text.find(self._newline, index)
        return len(self._text) if found < 0 else found


def _appended(text: str, endpoint: str, pin: Pin) -> str:
    lines = {field: _shown(field, value) for field in FIELDS if (value := getattr(pin, field)) is not None}
    root = YAML(typ="safe", pure=True).compose(text)
    if isinstance(root, MappingNode) and root.flow_style:
        end = root.end_mark.index - 1
        comma = ", " if root.value else ""
        shown = ", ".join(f"{field}: {value}" for field, value in lines.items())
        return f"{text[:end].rstrip()}{comma}{endpoint}: {{{shown}}}{text[end:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    between = newline if text and not text.endswith("\n") else ""
    return (
        text
        + between
        + "".join(
            f"{line}{newline}" for line in (f"{endpoint}:", *(f"  {field}: {value}" for field, value in lines.items()))
        )
    )
