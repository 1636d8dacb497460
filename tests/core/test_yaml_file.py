"""YAML files: lines of everything, and never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.yaml_file import read_yaml

TEXT = """\
# comment
target: local
stacks: [a,
  b]
override:
  endpoints.a.scale.max: 8
  nested:
    - deep: 1
"""


def test_lines_of_keys_and_items() -> None:
    file = read_yaml(TEXT, "dev.yaml")
    assert file.problems == ()
    assert file.value["override"]["nested"] == [{"deep": 1}]
    assert file.line("target") == 2
    assert file.line("stacks", "1") == 4
    assert file.line("override", "endpoints.a.scale.max") == 6
    assert file.line("override", "nested", "0", "deep") == 8
    assert file.line("override", "not", "there") == 5
    assert file.line("nowhere") == 2
    assert read_yaml("", "dev.yaml").line("target") == 0


def test_a_key_twice_is_a_problem_and_the_first_counts() -> None:
    file = read_yaml("a: 1\nb: {c: 1, c: 2}\na: 3\n", "x.yaml")
    assert file.value == {"a": 1, "b": {"c": 1}}
    assert [str(problem) for problem in file.problems] == [
        "x.yaml:2: b.c: is written twice (first in line 2)",
        "x.yaml:3: a: is written twice (first in line 1)",
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\n b: 2\n", 2, "is not YAML"),
        ("a: [1\n", 2, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: *x\n", 2, "undefined alias"),
        ("a: 1\nb: \x01\n", 2, "U+0001"),
        ("a: 1\nb: !!int x\n", 2, "is no tag:yaml.org,2002:int"),
        ("a: 1\nb: 2013-13-45\n", 2, "is no tag:yaml.org,2002:timestamp"),
        ("a: 1\nb: !mine x\n", 2, "is no !mine"),
        ("a: 1\nb: &x [*x]\n", 2, "is an alias of what it is in"),
    ],
)
def test_what_is_no_yaml_is_a_problem_with_its_line(text: str, line: int, message: str) -> None:
    (problem,) = read_yaml(text, "x.yaml").problems
    assert (problem.file, problem.line) == ("x.yaml", line)
    assert message in problem.message


def test_deep_nesting_is_a_problem() -> None:
    assert read_yaml("[" * 1500, "x.yaml").problems


def test_booleans_are_those_of_yaml_1_2() -> None:
    assert read_yaml("a: true\nb: yes\nc: on\n", "x.yaml").value == {"a": True, "b": "yes", "c": "on"}


PIECES = st.sampled_from(
    ["a", "b", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&x ", "*x", "!!int ", "!t ", "|", ">", "'", '"', "#",
     "---", "%", "? ", "<<", "1e9", "2013-99-99", "\t", "\x00", "\ud800", "ä", "~", ".nan"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_nothing_raises(text: str) -> None:
    file = read_yaml(text, "x.yaml")
    assert file.value is None or not file.problems or file.lines
