"""Editing a lock file in place: every byte that is not about the release stays, comments and quotes included.

A comment behind a digest belongs to that digest, and moves with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from mlinfra.problems import MlinfraError, Problems
from mlinfra.releases import Pin, parse_lock
from mlinfra.yaml_file import read_yaml


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


def promoted(text: str, name: str, endpoint: str, release: str, warm_until: str) -> str:
    """Return the lock with `release` (a digest) pinned; what was pinned is the previous one, warm until then.

    A `hold` and other endpoints stay as they are. `name` is the file's, for messages.

    Raises:
        Problems: the file is no lock.
        MlinfraError: it is written in a way that cannot be edited.
    """
    pins = _pins(text, name)
    pin = pins.get(endpoint)
    if pin is None:
        wanted = Pin(release=release)
        return _checked(_appended(text, endpoint, release), name, {**pins, endpoint: wanted})
    wanted = pin.model_copy(update={"release": release, "previous": pin.release, "warm_until": warm_until})

    def edit(written: _Written) -> None:
        before = written.value("release")
        written.put("release", (release, ""))
        written.put("previous", before, after="release")
        written.put("warm_until", (f"'{warm_until}'", written.comment("warm_until")), after="previous")

    return _checked(_edited(text, endpoint, edit), name, {**pins, endpoint: wanted})


def swapped(text: str, name: str, endpoint: str) -> str:
    """Return the lock with the release and the previous one of an endpoint exchanged.

    Raises:
        Problems: the file is no lock.
        MlinfraError: there is no previous one, or the file is written in a way that cannot be edited.
    """
    pins = _pins(text, name)
    pin = pins.get(endpoint)
    if pin is None or pin.previous is None:
        raise MlinfraError(f"{name}: {endpoint} has no previous release")
    wanted = pin.model_copy(update={"release": pin.previous, "previous": pin.release})

    def edit(written: _Written) -> None:
        release, previous = written.value("release"), written.value("previous")
        written.put("release", previous)
        written.put("previous", release)

    return _checked(_edited(text, endpoint, edit), name, {**pins, endpoint: wanted})


class _Written:
    """The lines of one endpoint as they are written, and the edits to them."""

    def __init__(self, text: str, node: MappingNode) -> None:
        self.edits: list[_Edit] = []
        self._text = text
        self._flow = bool(node.flow_style)
        self._nodes: dict[str, tuple[Node, Node]] = {key.value: (key, value) for key, value in node.value}
        self._indent = node.start_mark.column
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._inserted: dict[str, str] = {}

    def value(self, field: str) -> tuple[str, str]:
        """Return a value as it is written, and the comment behind it."""
        _, node = self._nodes[field]
        return self._text[node.start_mark.index : node.end_mark.index], self.comment(field)

    def comment(self, field: str) -> str:
        """Return what is behind a value in its line: blanks and a comment."""
        if self._flow or field not in self._nodes:
            return ""
        end = self._nodes[field][1].end_mark.index
        return self._text[end : self._line_end(end)]

    def put(self, field: str, written: tuple[str, str], *, after: str = "") -> None:
        """Write a value and the comment behind it; a new field comes after the field `after`."""
        value, comment = ("".join(written), "") if not self._flow else (written[0], "")
        if field not in self._nodes:
            self._insert(field, value + comment, after)
            return
        node = self._nodes[field][1]
        start, end = node.start_mark.index, node.end_mark.index
        blank = " " if start == end else ""
        self.edits.append(_Edit(start, end if self._flow else self._line_end(end), blank + value))

    def _insert(self, field: str, value: str, after: str) -> None:
        # what was just inserted has no node: the next one goes behind it, at the same place
        anchor = self._inserted.get(after, after)
        self._inserted[field] = anchor
        end = self._nodes[anchor][1].end_mark.index
        place = end if self._flow else self._line_end(end)
        line = f", {field}: {value}" if self._flow else f"{self._newline}{' ' * self._indent}{field}: {value}"
        self.edits.append(_Edit(place, place, line))

    def _line_end(self, index: int) -> int:
        found = self._text.find(self._newline, index)
        return len(self._text) if found < 0 else found


def _edited(text: str, endpoint: str, edit: Callable[[_Written], None]) -> str:
    root = YAML(typ="safe", pure=True).compose(text)
    node = next(value for key, value in root.value if key.value == endpoint)
    written = _Written(text, node)
    edit(written)
    # from the end, so that places stay what they were; of several insertions at one place the last comes last
    for _, item in sorted(enumerate(written.edits), key=lambda pair: (pair[1].start, pair[0]), reverse=True):
        text = text[: item.start] + item.text + text[item.end :]
    return text


def _appended(text: str, endpoint: str, release: str) -> str:
    root = YAML(typ="safe", pure=True).compose(text)
    if isinstance(root, MappingNode) and root.flow_style:
        end = root.end_mark.index - 1
        comma = ", " if root.value else ""
        return f"{text[:end].rstrip()}{comma}{endpoint}: {{release: {release}}}{text[end:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    between = newline if text and not text.endswith("\n") else ""
    return f"{text}{between}{endpoint}:{newline}  release: {release}{newline}"


def _pins(text: str, name: str) -> dict[str, Pin]:
    pins, problems = parse_lock(read_yaml(text, name))
    if problems:
        raise Problems(problems)
    return pins


def _checked(text: str, name: str, wanted: Mapping[str, Pin]) -> str:
    pins, problems = parse_lock(read_yaml(text, name))
    if problems or pins != wanted:
        raise MlinfraError(
            f"{name} is written in a way that cannot be edited in place",
            remedy="write one field a line, without anchors: endpoint:, and below it release: and previous:",
        )
    return text
