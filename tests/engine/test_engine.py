"""A tiny project on the real engine: programs, errors, interrupts, policy packs, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2

from mlinfra_engine.install import ensure
from mlinfra_engine.language_host import interpreter

# A dynamic resource whose creation takes as long as the file `wait` exists.
PROGRAM = """
import pathlib, sys, time
import pulumi, pulumi.dynamic
import beside

class Provider(pulumi.dynamic.ResourceProvider):
    def create(self, inputs):
        pathlib.Path(inputs["folder"], "creating").touch()
        while pathlib.Path(inputs["folder"], "wait").exists():
            time.sleep(0.05)
        return pulumi.dynamic.CreateResult("thing-1", dict(inputs))

class Thing(pulumi.dynamic.Resource):
    def __init__(self, name, inputs):
        super().__init__(Provider(), name, inputs)

Thing("thing", {"folder": str(pathlib.Path(__file__).parent.parent), "color": beside.COLOR})
pulumi.export("folder", str(pathlib.Path.cwd()))
pulumi.export("python", sys.executable)
pulumi.export("greeting", pulumi.Config().get_secret("greeting"))
"""

POLICY = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def no_red(arguments, report):
    if arguments.props.get("color") == "red":
        report("things are not red")

PolicyPack("colors", [ResourceValidationPolicy(
    name="no-red", description="No red things.", validate=no_red,
    enforcement_level=EnforcementLevel.MANDATORY)])
"""


class Project:
    """A project with a file backend in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = ensure()
        (folder / "program").mkdir()
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\nmain: program\n")
        (folder / "program" / "beside.py").write_text("COLOR = 'blue'\n")
        self.write(PROGRAM)
        self.environment = os.environ | self.engine.environment()
        self.environment |= {
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PULUMI_DEBUG_COMMANDS": "true",
        }
        self.run("stack", "init", "dev", "--non-interactive", code=0)

    def write(self, program: str) -> None:
        (self.folder / "program" / "__main__.py").write_text(program)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.engine.path, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == code, output
        return output

    def up(self) -> dict[str, int]:
        """Run `pulumi up` and return how many resources each operation had."""
        output = self.run("up", "--yes", "--skip-preview", "--json", code=0)
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        changes: dict[str, int] = next(e["summaryEvent"] for e in events if "summaryEvent" in e)["resourceChanges"]
        return changes

    def preview(self, *, code: int) -> str:
        return self.run("preview", "--non-interactive", *PLAIN, code=code)


PLAIN = ("--color", "never", "--suppress-progress")
UP = ("up", "--yes", "--skip-preview", "--non-interactive", *PLAIN)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for tests that change no state and write the program themselves."""
    return Project(tmp_path_factory.mktemp("shared"))


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        time.sleep(0.05)


@pytest.mark.engine
def test_preview_up_and_up_again(project: Project) -> None:
    project.run("config", "set", "--secret", "greeting", "hello there", code=0)
    plan = project.preview(code=0)
    assert "+ 2 to create" in plan
    assert "warning" not in plan
    assert project.up() == {"create": 2}
    assert project.up() == {"same": 2}
    outputs = json.loads(project.run("stack", "output", "--json", "--show-secrets", code=0))
    assert outputs == {
        "folder": str(project.folder / "program"),
        "python": sys.executable,
        "greeting": "hello there",
    }
    assert "hello there" not in project.run("stack", "output", "--json", code=0)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("program", "shown", "hidden"),
    [
        pytest.param(
            "import pulumi\nraise pulumi.RunError('the registry is closed')",
            ["error: the registry is closed"],
            ["Traceback", "exit code"],
            id="RunError",
        ),
        pytest.param(
            "from mlinfra.problems import MlinfraError\nraise MlinfraError('no such view', remedy='declare it')",
            ["error: no such view", "→ declare it"],
            ["Traceback", "exit code"],
            id="MlinfraError",
        ),
        pytest.param(
            "def inner():\n    raise ValueError('seven')\ninner()",
            ["unhandled exception", "Traceback", "__main__.py", "line 2, in inner", "ValueError: seven"],
            ["run_program.py", "runpy", "attached.py", "exit code"],
            id="ValueError",
        ),
        pytest.param(
            "if True\n    pass",
            ["__main__.py", "line 1", "SyntaxError"],
            ["run_program.py", "runpy", "exit code"],
            id="SyntaxError",
        ),
        pytest.param("raise SystemExit(3)", ["exit code 3"], ["Traceback"], id="SystemExit"),
        pytest.param(None, ["there is no Python program at"], ["Traceback", "exit code"], id="no program"),
    ],
)
def test_what_a_failing_program_shows(
    shared_project: Project, program: str | None, shown: list[str], hidden: list[str]
) -> None:
    project = shared_project
    if project.engine.language_host == "official":
        pytest.skip("these are the words of our own language host")
    project.write(program or "")
    if program is None:
        (project.folder / "program" / "__main__.py").unlink()
    output = project.preview(code=1)
    assert [text for text in shown if text not in output] == []
    assert [text for text in hidden if text in output] == []


@pytest.mark.engine
def test_an_interrupt_lets_the_running_operation_end_and_up_goes_on(project: Project) -> None:
    (project.folder / "wait").touch()
    process = project.start(*UP)
    wait_for((project.folder / "creating").exists, "the creation to begin")
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    (project.folder / "wait").unlink()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "update canceled" in output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    # The operation that was running is in the state, and no lock is left: nothing needs `pulumi cancel`.
    assert project.up() == {"same": 2}


@pytest.mark.engine
def test_an_interrupt_ends_a_program_that_hangs(project: Project) -> None:
    project.write(
        "import pathlib, time\npathlib.Path('../creating').touch()\ntime.sleep(600)",
    )
    process = project.start(*UP)
    wait_for((project.folder / "creating").exists, "the program to begin")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "SIGTERM" not in output
    project.write(PROGRAM)
    assert project.up() == {"create": 2}


@pytest.mark.engine
def test_a_killed_engine_leaves_no_process(project: Project) -> None:
    if project.engine.language_host == "official":
        pytest.skip("the official language host outlives an engine that is killed")
    (project.folder / "wait").touch()
    process = project.start(*UP)
    wait_for((project.folder / "creating").exists, "the creation to begin")
    children = psutil.Process(process.pid).children(recursive=True)
    commands = " ".join(" ".join(child.cmdline()) for child in children)
    assert "dynamic_provider" in commands
    assert "run_program" in commands
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    # Its lock stays, and the operation is pending: what a user does then.
    (project.folder / "wait").unlink()
    assert "locked" in project.run(*UP, code=1)
    project.run("cancel", "--yes", code=0)
    assert project.up() == {"create": 1, "same": 1}


@pytest.mark.engine
def test_a_mandatory_policy_fails_the_preview(project: Project, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(POLICY)
    checked = ("preview", "--non-interactive", "--policy-pack", str(pack), *PLAIN)
    assert "colors" in project.run(*checked, code=0)
    (project.folder / "program" / "beside.py").write_text("COLOR = 'red'\n")
    output = project.run(*checked, code=1)
    assert "things are not red" in output
    assert "no-red" in output
    assert "Traceback" not in output


@pytest.mark.engine
def test_about_lists_the_dependencies_of_the_program(project: Project) -> None:
    about = json.loads(project.run("about", "--transitive", "--json", code=0))
    assert about["runtime"]["executable"] == sys.executable
    names = {dependency["name"].lower() for dependency in about["dependencies"]}
    assert {"pulumi", "pulumi-policy"} <= names


def information(root: Path, **options: str) -> language_pb2.ProgramInfo:
    given = struct_pb2.Struct()
    given.update(options)
    return language_pb2.ProgramInfo(root_directory=str(root), options=given)


def test_the_programs_interpreter(tmp_path: Path) -> None:
    assert interpreter(language_pb2.ProgramInfo(root_directory=str(tmp_path))) == sys.executable
    assert interpreter(information(tmp_path, virtualenv="venv")) == sys.executable
    assert interpreter(information(tmp_path, toolchain="uv")) == sys.executable
    venv.create(tmp_path / "venv", symlinks=True)
    venv.create(tmp_path / ".venv", symlinks=True)
    assert interpreter(information(tmp_path, virtualenv="venv")) == str(tmp_path / "venv" / "bin" / "python")
    assert interpreter(information(tmp_path, toolchain="uv")) == str(tmp_path / ".venv" / "bin" / "python")
    assert interpreter(information(tmp_path, virtualenv=str(tmp_path / "venv"), toolchain="uv")) == str(
        tmp_path / "venv" / "bin" / "python"
    )
