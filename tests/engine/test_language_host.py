"""The language host by its protocol, without an engine: the test calls it, with a stand-in for the interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

# Runs as the interpreter of the virtual environment: `begun` says that it runs, `code` how it ends.
FAKE_PYTHON = f"""#!{sys.executable}
import pathlib, sys, time
project = pathlib.Path(__file__).parent.parent.parent
(project / "begun").touch()
while not (project / "code").exists():
    time.sleep(0.02)
print("some output")
sys.exit(int((project / "code").read_text()))
"""


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        time.sleep(0.02)


class Host:
    """A language host that runs, and a project for it."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "mlinfra_engine.attached", "mlinfra_engine.language_host"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self.process.stdout is not None
        port = int(self.process.stdout.readline())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = language_pb2_grpc.LanguageRuntimeStub(self.channel)
        python = project / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(FAKE_PYTHON)
        python.chmod(0o755)
        options = struct_pb2.Struct()
        options.update({"virtualenv": "venv"})
        self.info = language_pb2.ProgramInfo(
            root_directory=str(project), program_directory=str(project), entry_point=".", options=options
        )

    def begin(self) -> grpc.Future[language_pb2.RunResponse]:
        run: grpc.Future[language_pb2.RunResponse] = self.stub.Run.future(
            language_pb2.RunRequest(pwd=str(self.project), info=self.info)
        )
        wait_for((self.project / "begun").exists, "the program to begin")
        return run

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.channel.close()
    if host.process.poll() is None:
        for program in host.children():
            program.kill()
        host.process.kill()
    host.process.wait()


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (0, language_pb2.RunResponse()),
        (32, language_pb2.RunResponse(bail=True)),
        (7, language_pb2.RunResponse(error="the program ended with exit code 7")),
    ],
)
def test_how_a_program_ends_is_told_to_the_engine(host: Host, code: int, answer: language_pb2.RunResponse) -> None:
    (host.project / "code").write_text(str(code))
    assert host.begin().result(timeout=30) == answer


def test_cancel_ends_the_program_and_lets_no_other_begin(host: Host) -> None:
    run = host.begin()
    host.stub.Cancel(empty_pb2.Empty())
    assert run.result(timeout=30).error == "the program was ended by SIGTERM"
    assert host.children() == []
    again = host.stub.Run(language_pb2.RunRequest(pwd=str(host.project), info=host.info), timeout=30)
    assert again.error == "the program could not be started: the language host is stopping"


def test_a_call_that_is_given_up_ends_the_program(host: Host) -> None:
    run = host.begin()
    (program,) = host.children()
    run.cancel()
    assert psutil.wait_procs([program], timeout=30)[1] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_host_and_its_programs_without_a_word(host: Host, number: signal.Signals) -> None:
    run = host.begin()
    (program,) = host.children()
    host.process.send_signal(number)
    assert host.process.communicate(timeout=30) == ("", "")
    assert host.process.returncode == 0
    assert not program.is_running()
    assert run.exception() is not None


def test_a_killed_host_leaves_no_program(host: Host, tmp_path: Path) -> None:
    # The real interpreter: it is `attached` that ends the policy pack.
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__main__.py").write_text("import time\nprint('loaded', flush=True)\ntime.sleep(600)\n")
    pack = language_pb2.ProgramInfo(program_directory=str(tmp_path / "pack"))
    answers = host.stub.RunPlugin(
        language_pb2.RunPluginRequest(kind="analyzer", args=["127.0.0.1:1"], info=pack), timeout=60
    )
    assert next(answers).stdout == b"loaded\n"
    (program,) = host.children()
    host.process.kill()
    host.process.wait()
    assert psutil.wait_procs([program], timeout=30)[1] == []


def test_a_plugin_is_run_with_its_output_and_exit_code(host: Host) -> None:
    (host.project / "code").write_text("5")
    (host.project / "__main__.py").touch()
    answers = host.stub.RunPlugin(language_pb2.RunPluginRequest(kind="resource", info=host.info), timeout=30)
    assert list(answers) == [
        language_pb2.RunPluginResponse(stdout=b"some output\n"),
        language_pb2.RunPluginResponse(exitcode=5),
    ]


def test_a_folder_that_is_no_plugin_is_refused(host: Host) -> None:
    with pytest.raises(grpc.RpcError, match=r"has no __main__\.py"):
        list(host.stub.RunPlugin(language_pb2.RunPluginRequest(kind="resource", info=host.info), timeout=30))
