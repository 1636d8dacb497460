"""The settings of the rules in a file of their own, for programs that have no environment of mlinfra's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mlinfra.environment import parse_environment
from mlinfra.given_file import name_of, read_given
from mlinfra.policy.settings import Settings
from mlinfra.problems import Problem, Problems, WrongUse
from mlinfra.yaml_file import YamlFile, read_yaml

_WITHIN = ("policies", "settings")
_MOST_BYTES = 1_000_000
_REMEDY = "write settings as JSON or YAML, such as max_replicas: 8; docs/policies.md lists them"


def read_settings(path: Path | str) -> Settings:
    """Return the settings in a JSON or YAML file (`-` is stdin).

    Raises:
        WrongUse: the file cannot be read.
        Problems: every problem of the file, with its line.
    """
    name, content = name_of(path), read_given(path, _REMEDY)
    if len(content) > _MOST_BYTES:
        raise WrongUse(f"{name}: is larger than {_MOST_BYTES // 1000} kB", remedy=_REMEDY)
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        raise WrongUse(f"{name}: is no text", remedy=_REMEDY) from None
    file = _parsed(text, name)
    if not isinstance(file.value, dict):
        raise Problems(file.problems or [Problem(name, 1, "", "holds no settings", remedy=_REMEDY)])
    # an environment holds the same settings: its reader says what is wrong with them
    lines = {(*_WITHIN, *steps): line for steps, line in file.lines.items()}
    whole = {"target": "any", "stacks": ["any"], "policies": {"settings": file.value}}
    environment, problems = parse_environment(YamlFile(name, whole, lines, file.problems), "settings")
    if problems or environment is None:
        raise Problems(_without_prefix(problem) for problem in problems)
    return environment.policies.settings


def _parsed(text: str, name: str) -> YamlFile:
    file = read_yaml(text, name)
    if not file.problems or file.value is not None:
        return file
    try:
        # JSON is YAML, but for tabs between its words
        return YamlFile(name, json.loads(text))
    except (ValueError, RecursionError):
        return file


def _without_prefix(problem: Problem) -> Problem:
    return replace(problem, path=problem.path.removeprefix(".".join(_WITHIN)).removeprefix("."))
