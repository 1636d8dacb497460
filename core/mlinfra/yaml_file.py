"""YAML with the line of every key, so that a problem can say where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

from mlinfra.problems import Problem


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: `value`, `lines` by path (a tuple of keys and indices; counting from 1), and its problems."""

    name: str
    value: Any
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, *path: str) -> int:
        """Return the line of a path, or of the nearest thing above it; 0 in an empty file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read_yaml(text: str, name: str) -> YamlFile:
    """Parse YAML 1.2; syntax errors and duplicate keys come back as problems, never as exceptions."""
    parser = YAML(typ="safe", pure=True)
    try:
        node = parser.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        return YamlFile(name, None, problems=(Problem(name, line, "", f"is not YAML: {error.problem or error}"),))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"holds a character that YAML does not have: U+{error.character:04X}"
        return YamlFile(name, None, problems=(Problem(name, line, "", message),))
    except RecursionError:
        return YamlFile(name, None, problems=(Problem(name, 0, "", "is nested too deeply"),))
    lines: dict[tuple[str, ...], int] = {}
    problems: list[Problem] = []

    def build(current: Node, path: tuple[str, ...], within: tuple[Node, ...] = ()) -> Any:
        lines.setdefault(path, current.start_mark.line + 1)
        if any(current is outer for outer in within):
            problems.append(Problem(name, current.start_mark.line + 1, ".".join(path), "is an alias of what it is in"))
            return None
        if isinstance(current, MappingNode):
            made: dict[str, Any] = {}
            for key_node, value_node in current.value:
                key = str(key_node.value)
                line = key_node.start_mark.line + 1
                if key in made:
                    first = lines[(*path, key)]
                    problems.append(
                        Problem(name, line, ".".join((*path, key)), f"is written twice (first in line {first})")
                    )
                    continue
                lines[(*path, key)] = line
                made[key] = build(value_node, (*path, key), (*within, current))
            return made
        if isinstance(current, SequenceNode):
            return [build(item, (*path, str(index)), (*within, current)) for index, item in enumerate(current.value)]
        try:
            return parser.constructor.construct_object(current)
        except Exception:  # noqa: BLE001  constructors raise what their parsing happens to meet
            problems.append(Problem(name, current.start_mark.line + 1, ".".join(path), f"is no {current.tag}"))
            return None

    value = build(node, ()) if node is not None else None
    return YamlFile(name, value, lines, tuple(problems))
