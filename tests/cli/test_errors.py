"""What people see when something is wrong: the whole of stdout and stderr, and the exit code."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlinfra.adapters import adapter_names
from mlinfra.problems import MlinfraError, Waiting, WrongUse

Run = Callable[..., Result]
TEN_MISTAKES = """\
target: locl
stacks: [diabetes]
train: perhaps
releases: newest
state: my-folder
artifacts: s3://me:secret@bucket
webhook: ftp://example.com
secrets_provider: [awskms]
target: local
colour: red
override:
  endpoints.diabetis.scale.max: 2
  endpoints.diabetes.scale.maxx: 3
  endpoints.diabetes.capture.percent: 400
"""
INSTALLED = ", ".join(adapter_names())
TEN_PLACES = [
    f":1: target: no adapter of this name is installed (found locl, expected {INSTALLED}, did you mean 'local'?)",
    ":3: train: is not valid (found 'perhaps', ",
    ":4: releases: is not valid (found 'newest', ",
    ":5: state: is not a URL: s3://bucket, gs://bucket, azblob://container, file:///path",
    ":6: artifacts: holds credentials: a secret is never kept in this file",
    ":7: webhook: is not an http or https URL",
    ":8: secrets_provider: is not valid (found ['awskms'], ",
    ":9: target: is written twice (first in line 1)",
    ":10: colour: is no field here (expected ",
    ":12: override.endpoints.diabetis.scale.max: names no part here (expected ",
    ":13: override.endpoints.diabetes.scale.maxx: 'maxx' is no field (expected min, max, ",
    ":14: override.endpoints.diabetes.capture.percent: is not valid (found 400, ",
]


def failed(result: Result, code: int) -> str:
    """Return what was said on stderr by a command that ended as it must."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stderr


def test_an_unknown_environment(repository: Path, run: Run) -> None:
    result = run("plan", "dve")
    assert failed(result, 2) == (
        "error: no environment 'dve' (did you mean 'dev'?); there are: dev, prod, staging\n"
        "  → write environments/dve.yaml\n"
    )
    assert result.stdout == ""


@pytest.mark.parametrize(
    "command", [["plan", "dev"], ["up", "dev"], ["status", "dev"], ["logs", "dev"], ["env", "dev"]]
)
def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, command: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*command)
    assert failed(result, 2) == (
        f"error: {tmp_path} is not in an mlinfra repository (no Pulumi.yaml beside environments/ here or above)\n"
        "  → mlinfra init FOLDER makes one\n"
    )


def test_ten_mistakes_are_shown_at_once(repository: Path, run: Run) -> None:
    (repository / "environments" / "dev.yaml").write_text(TEN_MISTAKES)
    result = run("plan", "dev")
    first, *lines = failed(result, 2).splitlines()
    assert first == f"error: {len(TEN_PLACES)} problems; nothing was changed"
    problems = [line for line in lines if not line.startswith("  →")]
    assert len(problems) == len(TEN_PLACES) >= 10
    for place, line in zip(TEN_PLACES, problems, strict=True):
        assert line.startswith(f"environments/dev.yaml{place}")
    assert "secret@" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "environments/dev.yaml: is not UTF-8 text: invalid start byte"),
        (b"", "environments/dev.yaml:1: is empty or no mapping (expected target: and stacks:)"),
        (b"- target\n", "environments/dev.yaml:1: is empty or no mapping (expected target: and stacks:)"),
        (b"target: [local\n", "environments/dev.yaml:2: is not YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_a_file_that_is_none(repository: Path, run: Run, content: bytes, said: str) -> None:
    (repository / "environments" / "dev.yaml").write_bytes(content)
    told = failed(run("plan", "dev"), 2)
    assert told.splitlines()[:2] == ["error: 1 problem; nothing was changed", said]


def test_refusals_of_the_target_exit_3(repository: Path, run: Run) -> None:
    with (repository / "environments" / "dev.yaml").open("a") as file:
        file.write("override:\n  endpoints.diabetes.compute.gpus: 2\n  training_jobs.diabetes.compute.gpus: 1\n")
    for command in ("plan", "up", "status"):
        result = run(command, "dev")
        told = failed(result, 3)
        assert "error: 2 problems; nothing was changed\n" in told
        assert "endpoints.diabetes.compute.gpus: local refuses this: " in told
        assert "training_jobs.diabetes.compute.gpus: local refuses this: " in told
        assert told.count("  → ") == 2
        assert result.stdout == ""


def test_a_stack_that_raises_is_named_with_its_line(repository: Path, run: Run) -> None:
    path = repository / "stacks" / "diabetes" / "stack.py"
    path.write_text(path.read_text() + "\n1 / 0\n")
    line = len(path.read_text().splitlines())
    assert failed(run("plan", "dev"), 2) == (
        f"error: 1 problem; nothing was changed\nstacks/diabetes/stack.py:{line}: ZeroDivisionError: division by zero\n"
    )


def test_a_defect_is_one_line_and_a_file(repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr("mlinfra.operations.plan.plan", broken)
    told = failed(run("plan", "dev"), 1)
    first, second = told.splitlines()
    assert first == "this is a defect in mlinfra: KeyError: 'odd'"
    kept = Path(second.removeprefix("  → the details for a report are in "))
    assert kept.parent == repository / ".mlinfra" / "logs"
    assert "mlinfra plan dev" in kept.read_text()
    assert "in broken" in kept.read_text()


def test_a_defect_outside_of_a_repository_is_kept_too(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr("mlinfra.operations.doctor.doctor", broken)
    told = failed(run("doctor"), 1)
    assert told.splitlines()[0] == "this is a defect in mlinfra: RuntimeError: without a message"
    assert len(list((tmp_path / "temporary").glob("defect-*.txt"))) == 1


def test_debug_shows_the_traceback(repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[BaseException] = []
    monkeypatch.setattr(traceback, "print_exception", shown.append)
    monkeypatch.setenv("MLINFRA_DEBUG", "1")
    run("plan", "dve")
    assert [type(error) for error in shown] == [WrongUse]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted; `mlinfra up dev` goes on from here\n"),
        (
            OSError(28, "No space left on device", "/x"),
            1,
            "error: No space left on device: /x\n  → make room on the disk\n",
        ),
        (Waiting("a gate is open"), 4, "error: a gate is open\n"),
        (MlinfraError("it failed\nin two lines", remedy="mend it"), 1, "error: it failed\nin two lines\n  → mend it\n"),
    ],
)
def test_how_up_ends(
    repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mlinfra.operations.up.up", broken)
    assert failed(run("up", "dev"), code) == said


def test_an_interrupted_engine_names_the_command_that_was_typed(
    repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        error = MlinfraError("interrupted", remedy="something else")
        error.exit_code = 130
        raise error

    monkeypatch.setattr("mlinfra.operations.down.down", broken)
    assert failed(run("down", "dev"), 130) == "interrupted; `mlinfra down dev` goes on from here\n"


def test_an_interrupted_reader_says_no_more(repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlinfra.operations.plan.plan", broken)
    assert failed(run("plan", "dev"), 130) == "interrupted\n"
