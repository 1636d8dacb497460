"""An environment's file with ten mistakes: all ten at once, each with its line, and nothing is changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.repository import Repository

TEN_MISTAKES = """\
target: lokal
name: development
stacks: [tiny, tinny]
stacks: [tiny]
train: perhaps
releases: newest
state: https://someone:secret@example.com/state
artifacts: bucket
webhook: ftp://example.com
secrets: awskms://alias/key
"""


@pytest.mark.parametrize("command", ["plan", "up", "train", "status", "down"])
def test_ten_mistakes_at_once(tmp_path: Path, command: str) -> None:
    repository = Repository.make(tmp_path / "platform")
    (repository.root / "environments" / "dev.yaml").write_text(TEN_MISTAKES)
    ended = repository.run(command, "dev")
    assert ended.code == 2, ended.seen
    assert ended.stdout == ""
    assert "10 problems; nothing was changed" in ended.stderr
    lines = [int(number) for number in re.findall(r"^environments/dev\.yaml:(\d+): ", ended.stderr, re.MULTILINE)]
    assert lines == list(range(1, 11)), ended.seen
    assert not (repository.root / ".mlinfra").exists()
