"""Environments: every problem of a file at once, with line, path, found, expected and the nearest name."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mlinfra.environment import Environment, environment_schema, parse_environment
from mlinfra.yaml_file import read_yaml

FIELDS = ", ".join(sorted(set(Environment.model_fields) - {"name"}))


def parse(text: str) -> tuple[Environment | None, list[str]]:
    environment, problems = parse_environment(read_yaml(text, "environments/dev.yaml"), "dev")
    return environment, [str(problem) for problem in problems]


def test_a_small_file_and_its_defaults() -> None:
    environment, problems = parse("target: local\nstacks: [flight_delay]\n")
    assert problems == []
    assert environment is not None
    assert environment.name == "dev"
    assert (environment.train, environment.releases, environment.state) == (False, "locked", None)


def test_a_full_file() -> None:
    environment, problems = parse(
        "target: local\nstacks: [a, b]\ntrain: true\nreleases: latest\nstate: s3://bucket/state\n"
        "secrets_provider: awskms://alias/x\nartifacts: file:///tmp/x\nwebhook: https://example.com/x\n"
        "override: {endpoints.a.scale.max: 8}\n"
    )
    assert problems == []
    assert environment is not None
    assert environment.override == {"endpoints.a.scale.max": 8}


def test_all_problems_are_said() -> None:
    environment, problems = parse(
        "name: dev\n"
        "targt: local\n"
        "stacks: [flight-delay, 5]\n"
        "train: perhaps\n"
        "releases: lates\n"
        "state: bucket\n"
        "artifacts: https://me:secret@example.com/x\n"
        "webhook: ftp://example.com\n"
        "override: [1]\n"
        "train: true\n"
        "destroy_data:\n"
        "  - {resorce: feature_stores.weather, reason: gone}\n"
    )
    assert environment is not None, "what is sound is still there, so that the rest can be checked"
    found = "\n".join(problems)
    for text in (
        "dev.yaml:1: name: is the file's own name",
        f"dev.yaml:2: targt: is no field here (expected {FIELDS}, did you mean 'target'?)",
        "dev.yaml:12: destroy_data.0.resorce: is no field here (expected reason, resource, did you mean 'resource'?)",
        "dev.yaml:12: destroy_data.0.resource: is missing",
        "target: is missing",
        "dev.yaml:3: stacks.0: is not valid (found 'flight-delay'",
        "dev.yaml:3: stacks.1: is not valid (found 5",
        "dev.yaml:4: train: is not valid (found 'perhaps'",
        "dev.yaml:5: releases: is not valid (found 'lates', expected 'locked' or 'latest', did you mean 'latest'?)",
        "dev.yaml:6: state: is not a URL",
        "dev.yaml:7: artifacts: holds credentials",
        "dev.yaml:8: webhook: is not an http or https URL",
        "dev.yaml:9: override: is not valid",
        "dev.yaml:10: train: is written twice (first in line 4)",
    ):
        assert text in found
    assert "me:secret" not in found


@pytest.mark.parametrize("text", ["", "just text", "- a\n- b\n", "5"])
def test_what_is_no_mapping(text: str) -> None:
    environment, problems = parse(text)
    assert environment is None
    assert problems == [
        "environments/dev.yaml:1: is empty or no mapping (expected target: and stacks:)",
    ]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("s3://bucket/path", True),
        ("file:///tmp/x", True),
        ("azblob://container", True),
        ("s3://key:secret@bucket", False),
        ("https://me@example.com", False),
        ("bucket", False),
    ],
)
def test_urls_hold_no_credentials(url: str, good: bool) -> None:
    _, problems = parse(f"target: local\nstacks: [a]\nstate: {url}\n")
    assert (problems == []) is good
    assert "secret@" not in "".join(problems)


def test_stacks_may_not_be_empty() -> None:
    _, problems = parse("target: local\nstacks: []\n")
    assert "stacks: is not valid" in problems[0]


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"target": "local", "stacks": ["a"]}, True),
        ({"target": "local", "stacks": ["a"], "name": "x"}, False),
        ({"target": "local"}, False),
        ({"target": "local", "stacks": ["a"], "releases": "newest"}, False),
        ({"target": "local", "stacks": ["a"], "more": 1}, False),
    ],
)
def test_the_schema_says_the_same(value: dict[str, Any], good: bool) -> None:
    schema = environment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(value) is good
    assert all("description" in field for field in schema["properties"].values())
