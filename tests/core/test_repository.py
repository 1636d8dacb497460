"""Repositories on disk: everything is read, and everything that is wrong is said at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.problems import MlinfraError, Problems
from mlinfra.releases import Release
from mlinfra.repository import Repository
from mlinfra.resolve import resolve

STACK = """\
from mlinfra import *

stack = Stack("flights", owner="me@example.com")
train = stack.add(TrainingJob("train", code="train.py"))
model = stack.add(ModelRegistry("model", trained_by=train))
stack.add(Endpoint("api", model=model, runtime="sklearn"))
"""

WRONG = """\
stack.add(Endpoint("b", model=model, runtime="x", scal=1))
Compute(cpus=0)
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Repository]:
    """Writes a repository: a sound one, and the files that are given."""

    def make(**files: str) -> Repository:
        texts = {
            "Pulumi.yaml": "name: mlinfra\n",
            "environments/dev.yaml": "target: local\nstacks: [flights]\n",
            "stacks/flights/stack.py": STACK,
            "stacks/flights/train.py": "pass\n",
            **files,
        }
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return Repository(tmp_path)

    return make


def said(repository: Repository, name: str = "dev") -> list[str]:
    with pytest.raises(Problems) as raised:
        repository.load(name)
    assert raised.value.exit_code == 2
    return [str(problem) for problem in raised.value.problems]


def test_a_sound_repository(write: Callable[..., Repository]) -> None:
    repository = write()
    declared = repository.load("dev")
    assert [part.key for part in resolve(declared, load_adapter("local")).parts] == [
        "training_jobs.train",
        "model_registries.model",
        "endpoints.api",
    ]
    assert Repository.find(repository.root / "stacks" / "flights").root == repository.root
    assert not list((repository.root / "stacks").rglob("__pycache__"))


def test_no_repository_and_no_environment(write: Callable[..., Repository], tmp_path: Path) -> None:
    with pytest.raises(MlinfraError, match="is not in an mlinfra repository") as raised:
        Repository.find(Path("/"))
    assert raised.value.remedy == "mlinfra init FOLDER makes one"
    repository = write(**{"environments/dev.lock.yaml": "", "environments/prod.yaml": ""})
    assert repository.environments() == ["dev", "prod"]
    with pytest.raises(
        MlinfraError, match=r"no environment 'dex' \(did you mean 'dev'\?\); there are: dev, prod"
    ) as no:
        repository.load("dex")
    assert no.value.exit_code == 2


def test_every_problem_of_every_file_at_once(write: Callable[..., Repository]) -> None:
    repository = write(
        **{
            "environments/dev.yaml": """\
                target: locl
                stacks: [flights, flihgts]
                train: perhaps
                relases: latest
                state: bucket
                override:
                  endpoints.api.scale.max: many
                """,
            "environments/dev.lock.yaml": "apj: {release: 0123456789abcdef}\napi: {relase: x}\n",
            "stacks/flights/stack.py": STACK
            + 'stack.add(Endpoint("b", model=model, runtime="x", scal=1))\nCompute(cpus=0)\n',
            "releases/flights/x.json": "{}",
        }
    )
    found = said(repository)
    text = "\n".join(found)
    for piece in (
        "environments/dev.yaml:1: target: no adapter of this name is installed (found locl, expected ",
        "did you mean 'local'?",
        "environments/dev.yaml:2: stacks: there is no stacks/flihgts/stack.py (found flihgts, expected flights, "
        "did you mean 'flights'?)",
        "environments/dev.yaml:3: train: is not valid (found 'perhaps'",
        "environments/dev.yaml:4: relases: is no field here",
        "environments/dev.yaml:5: state: is not a URL",
        "environments/dev.lock.yaml:2: api.relase: is no field here",
        "environments/dev.lock.yaml:2: api.release: is missing",
        "stacks/flights/stack.py:7: Endpoint('b').runtime: is not valid",
        "stacks/flights/stack.py:7: Endpoint('b').scal: is no field here",
        "stacks/flights/stack.py:8: Compute.cpus: is not valid",
    ):
        assert piece in text
    assert "sha256:" not in text


def test_what_resolving_finds_is_said_with_the_rest(write: Callable[..., Repository]) -> None:
    found = said(
        write(
            **{
                "environments/dev.yaml": """\
                    target: locl
                    stacks: [flights]
                    override:
                      endpoints.api.scale.mx: 2
                      endpoints.api.runtime: custom
                    """,
                "environments/dev.lock.yaml": "apj: {release: 0123456789abcdef}\n",
                "releases/flights/x.json": "{}",
            }
        )
    )
    assert [text.partition(": ")[0] for text in found] == [
        "environments/dev.lock.yaml:1",
        "environments/dev.yaml:1",
        "environments/dev.yaml:4",
        "releases/flights/x.json",
    ]
    assert "apj: is no endpoint here (expected api, did you mean 'api'?)" in found[0]


def test_refusals_are_said_with_the_problems_of_files(write: Callable[..., Repository]) -> None:
    found = said(
        write(
            **{
                "environments/dev.yaml": """\
                    target: local
                    stacks: [flights]
                    override: {endpoints.api.runtime: custom}
                    """,
                "environments/dev.lock.yaml": "api: {relase: x}\n",
            }
        )
    )
    assert any("endpoints.api.runtime: local refuses this" in text for text in found)
    assert any("api.relase" in text for text in found)


@pytest.mark.parametrize(
    ("stack", "problem"),
    [
        ("x = (\n", "stacks/flights/stack.py:1: is not Python"),
        ("import mlinfra\n\n1 / 0\n", "stacks/flights/stack.py:3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "stacks/flights/stack.py:2: SystemExit: 3"),
        ("import nowhere_to_be_found\n", "stacks/flights/stack.py:1: ModuleNotFoundError"),
        ("x = 1\n", 'stacks/flights/stack.py: stack: is not there (expected stack = Stack("name", owner=…))'),
        ("stack = 5\n", "stacks/flights/stack.py: stack: is not there"),
    ],
)
def test_a_stack_that_cannot_be_read(write: Callable[..., Repository], stack: str, problem: str) -> None:
    (found,) = said(write(**{"stacks/flights/stack.py": stack}))
    assert found.startswith(problem)


def test_a_stack_may_print_and_have_dataclasses(
    write: Callable[..., Repository], capsys: pytest.CaptureFixture[str]
) -> None:
    own = "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
    own += "@dataclass\nclass Own:\n    x: int\n    y: ClassVar[int] = 1\nprint('hello')\n"
    before = sys.dont_write_bytecode
    assert write(**{"stacks/flights/stack.py": own + STACK}).load("dev")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")
    assert sys.dont_write_bytecode is before


def test_the_digest_of_a_stack_is_of_its_code(write: Callable[..., Repository]) -> None:
    code = write().load("dev").stacks[0].code
    assert write(**{"stacks/flights/stack.py": STACK + "# more\n"}).load("dev").stacks[0].code == code
    assert write(**{"stacks/flights/train.py": "1\n"}).load("dev").stacks[0].code != code


def test_releases_of_git_are_read(write: Callable[..., Repository], make_release: Callable[..., Release]) -> None:
    declared = write().load("dev")
    release = make_release(declared.stacks[0].stack)
    name = release.digest.removeprefix("sha256:")
    lock = f"api: {{release: '{release.short}'}}\n"
    files = {f"releases/flights/{name}.json": release.to_json().decode(), "environments/dev.lock.yaml": lock}
    declared = write(**files).load("dev")
    assert list(declared.releases) == [release.digest]
    (deployment,) = resolve(declared, load_adapter("local")).part("endpoints.api").deployments
    assert deployment.release == release


def test_a_release_changed_by_hand_is_refused(
    write: Callable[..., Repository], make_release: Callable[..., Release]
) -> None:
    release = make_release(write().load("dev").stacks[0].stack)
    edited = release.to_json().decode().replace('"version": "1.7.0"', '"version": "1.8.0"')
    (text,) = said(write(**{"releases/flights/x.json": edited}))
    assert "releases/flights/x.json: releases/flights/x.json" not in text
    assert text.startswith("releases/flights/x.json: was changed by hand")
    assert "→ releases are immutable" in text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "environments/dev.yaml:1: is empty or no mapping"),
        ("target: [\n", "environments/dev.yaml:2: is not YAML"),
        ("target: local\nstacks: [flights]\nreleases: latest\n", "environments/dev.yaml:3: releases: latest follows"),
    ],
)
def test_environments_that_do_not_hold_together(write: Callable[..., Repository], text: str, problem: str) -> None:
    (found,) = said(write(**{"environments/dev.yaml": text}))
    assert found.startswith(problem)


def test_one_mistake_is_one_problem(write: Callable[..., Repository]) -> None:
    """Nothing is said about what follows from a mistake that was said already."""
    assert len(said(write(**{"environments/dev.yaml": "target: 5\nstacks: [flights]\n"}))) == 1
    text = "target: local\nstacks: [flights]\ntrain: perhaps\nreleases: latest\n"
    assert len(said(write(**{"environments/dev.yaml": text}))) == 1


def test_text_that_is_not_utf_8(write: Callable[..., Repository]) -> None:
    repository = write()
    (repository.root / "environments/dev.yaml").write_bytes(b"target: \xff\n")
    assert said(repository)[0].startswith("environments/dev.yaml: is not UTF-8 text")
