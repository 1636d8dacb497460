"""The supervisor with a real supervisord: what comes back after which death, and that nothing is left after stop()."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlinfra.problems import MlinfraError
from mlinfra_providers.local import processes
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.programs import Program, render, render_supervisor
from mlinfra_providers.local.supervisor import Supervisor
from tests.local.routing import until

pytestmark = pytest.mark.local

SERVE = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    repository = tmp_path / "a repository with 100 %"
    repository.mkdir()
    found = Supervisor(Layout(repository, "dev"))
    try:
        yield found
    finally:
        found.stop()


def program(supervisor: Supervisor, name: str, code: str, *arguments: str, **more: Any) -> Program:
    layout = supervisor.layout
    script = layout.repository / f"{name.replace('/', '-')}.py"
    script.write_text(code)
    command = (sys.executable, "-I", "-S", str(script), *arguments)
    return Program(name, command, layout.repository, layout.log(name), **more)


def sleeper(supervisor: Supervisor, name: str = "worker/one", **more: Any) -> Program:
    return program(supervisor, name, "import time; time.sleep(600)", **more)


def pid_of(supervisor: Supervisor, name: str = "worker/one") -> int | None:
    state = supervisor.status().get(name)
    return state.pid if state and state.running else None


def begun(supervisor: Supervisor) -> psutil.Process:
    """The process of worker/one, once it is that and no more the fork that becomes it."""
    process = psutil.Process(until(lambda: pid_of(supervisor)))
    until(lambda: process.cmdline()[3:4] == [str(supervisor.layout.repository / "worker-one.py")])
    return process


def gone(pid: int) -> bool:
    try:
        return not processes.alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return True


def supervisor_pid(supervisor: Supervisor) -> int:
    return int(supervisor.layout.supervisor_pid.read_text())


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def guardian_pid(supervisor: Supervisor) -> int | None:
    for process in processes.of_environment(supervisor.layout):
        if any(part.endswith("guardian.py") for part in command_of(process)):
            return process.pid
    return None


def mentions(folder: Path) -> list[str]:
    commands = [" ".join(command_of(process)) for process in psutil.process_iter() if process.pid != os.getpid()]
    return [command for command in commands if str(folder) in command]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_runs_in_a_session_of_its_own_and_stop_leaves_nothing(supervisor: Supervisor) -> None:
    port = free_port()
    supervisor.ensure()
    assert supervisor.set_program(program(supervisor, "server/one", SERVE, str(port)))
    supervisor.wait_ready(f"http://127.0.0.1:{port}/", 15, "server/one")
    daemon = psutil.Process(supervisor_pid(supervisor))
    assert os.getsid(daemon.pid) != os.getsid(0)
    assert daemon.terminal() is None
    assert supervisor.status()["server/one"].pid in {child.pid for child in daemon.children()}
    assert mentions(supervisor.layout.folder)

    supervisor.stop()

    assert mentions(supervisor.layout.folder) == []
    assert processes.of_environment(supervisor.layout) == []
    assert not supervisor.layout.sockets.exists()
    assert gone(daemon.pid)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    supervisor.stop()


def test_same_definition_leaves_the_process_alone_and_another_replaces_it(supervisor: Supervisor) -> None:
    supervisor.ensure()
    assert supervisor.set_program(sleeper(supervisor)) is True
    first = until(lambda: pid_of(supervisor))
    supervisor.ensure()
    assert supervisor.set_program(sleeper(supervisor)) is False
    assert pid_of(supervisor) == first
    assert supervisor.set_program(sleeper(supervisor, environment={"COLOUR": "red"})) is True
    second = begun(supervisor)
    assert second.pid != first
    assert second.environ()["COLOUR"] == "red"
    supervisor.restart("worker/one")
    assert until(lambda: pid_of(supervisor)) not in (first, second.pid)
    supervisor.remove_program("worker/one")
    assert supervisor.status() == {}
    supervisor.remove_program("worker/one")


def test_a_definition_written_by_a_run_that_was_killed_is_taken(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    first = until(lambda: pid_of(supervisor))
    changed = sleeper(supervisor, environment={"COLOUR": "blue"})
    (supervisor.layout.supervisor_programs / "worker.one.ini").write_text(render(changed))
    assert supervisor.set_program(changed) is True
    assert until(lambda: pid_of(supervisor)) != first


def test_autostart_false_waits_to_be_told(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor, autostart=False))
    assert supervisor.status()["worker/one"].state == "STOPPED"
    supervisor.start("worker/one")
    assert until(lambda: pid_of(supervisor))


def test_secrets_of_the_caller_are_not_handed_on(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct horse")
    supervisor.ensure()
    awkward = {"PERCENT": "100 %(none)s", "JSON": '{"a": [1, "b c"]}', "EMPTY": "", "COMMAS": "a=1,b=2;c"}
    supervisor.set_program(sleeper(supervisor, environment=awkward))
    environment = begun(supervisor).environ()
    assert {name: environment[name] for name in awkward} == awkward
    for process in processes.of_environment(supervisor.layout):
        assert "correct horse" not in process.environ().values()


def test_arguments_arrive_as_they_were_given(supervisor: Supervisor) -> None:
    awkward = ("a b", "#no comment", "x ; y # z", "100%", "it's", '"q"', "back\\slash", "", "ü", "%(here)s")
    supervisor.ensure()
    supervisor.set_program(program(supervisor, "worker/one", "import time; time.sleep(600)", *awkward))
    assert tuple(begun(supervisor).cmdline()[4:]) == awkward


@pytest.mark.parametrize("value", ['"quoted"', "both ' and \"", "a #comment", "%(here)s", "two\nlines"])
def test_a_value_that_cannot_be_written_is_refused(supervisor: Supervisor, value: str) -> None:
    with pytest.raises(ValueError, match=r"not a value|more than one line"):
        render(sleeper(supervisor, environment={"NAME": value}))


def test_a_repository_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlinfraError, match="supervisor cannot work in a path"):
        render_supervisor(Layout(tmp_path / "work [1]", "dev"))


def test_a_killed_program_comes_back(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    until(lambda: supervisor.status()["worker/one"].state == "RUNNING")
    first = pid_of(supervisor)
    assert first
    os.kill(first, signal.SIGKILL)
    assert until(lambda: (found := pid_of(supervisor)) != first and found)


def test_a_killed_guardian_comes_back(supervisor: Supervisor) -> None:
    supervisor.ensure()
    first = until(lambda: guardian_pid(supervisor))
    os.kill(first, signal.SIGKILL)
    assert until(lambda: (found := guardian_pid(supervisor)) != first and found)


def test_a_killed_supervisord_comes_back_with_its_programs_and_a_guardian(supervisor: Supervisor) -> None:
    port = free_port()
    supervisor.ensure()
    supervisor.set_program(program(supervisor, "server/one", SERVE, str(port)))
    supervisor.wait_ready(f"http://127.0.0.1:{port}/", 15, "server/one")
    for _ in range(2):
        daemon, server = supervisor_pid(supervisor), pid_of(supervisor, "server/one")
        until(lambda: guardian_pid(supervisor))
        assert server
        os.kill(daemon, signal.SIGKILL)
        until(lambda: supervisor.running() and supervisor_pid(supervisor) != daemon)  # noqa: B023
        supervisor.wait_ready(f"http://127.0.0.1:{port}/", 15, "server/one")
        assert gone(server)
    # supervisord, its guardian and the server; the guardians before are gone once their work is done.
    until(lambda: len(processes.of_environment(supervisor.layout)) == 3)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death signal is Linux's own")
def test_programs_die_with_supervisord_even_without_a_guardian(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    until(lambda: supervisor.status()["worker/one"].state == "RUNNING")
    worker, guardian = pid_of(supervisor), until(lambda: guardian_pid(supervisor))
    assert worker
    daemon = supervisor_pid(supervisor)
    # Held still, supervisord cannot restart the guardian between the two kills.
    os.kill(daemon, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: gone(worker))
    assert not supervisor.running()
    supervisor.ensure()
    assert until(lambda: pid_of(supervisor)) != worker


def test_stop_while_the_guardian_is_reviving(supervisor: Supervisor) -> None:
    for pause in (0.0, 0.15, 0.4):
        supervisor.ensure()
        supervisor.set_program(sleeper(supervisor))
        until(lambda: guardian_pid(supervisor))
        os.kill(supervisor_pid(supervisor), signal.SIGKILL)
        time.sleep(pause)
        supervisor.stop()
        assert processes.of_environment(supervisor.layout) == []
    time.sleep(0.5)
    assert mentions(supervisor.layout.folder) == []


def test_a_guardian_that_comes_late_starts_nothing(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.stop()
    supervisor.revive()
    assert processes.of_environment(supervisor.layout) == []


def test_several_at_once_start_one(supervisor: Supervisor) -> None:
    together = threading.Barrier(4)

    def ensure(_: int) -> int:
        together.wait()
        supervisor.ensure()
        return supervisor_pid(supervisor)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ensure, range(4)))) == 1
    found = processes.of_environment(supervisor.layout)
    assert len([each for each in found if processes.is_supervisor(each, supervisor.layout)]) == 1


def test_after_a_reboot_everything_comes_back(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    layout = supervisor.layout
    wanted = layout.supervisor_wanted.read_bytes()
    supervisor.stop()
    # What a power cut leaves: no process, the files of the repository, an empty /tmp, a pid file with any number.
    layout.supervisor_wanted.write_bytes(wanted)
    layout.supervisor_pid.write_text(str(os.getpid()))
    assert not layout.sockets.exists()
    supervisor.ensure()
    assert until(lambda: pid_of(supervisor))


def test_a_stale_socket_is_replaced(supervisor: Supervisor) -> None:
    layout = supervisor.layout
    layout.runtime.mkdir()
    layout.make_sockets()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(layout.supervisor_socket))
    assert not supervisor.running()
    assert supervisor.status() == {}
    supervisor.ensure()
    assert supervisor.running()


def test_a_supervisord_that_lost_its_socket_is_replaced(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    first, worker = supervisor_pid(supervisor), until(lambda: pid_of(supervisor))
    supervisor.layout.supervisor_socket.unlink()
    supervisor.ensure()
    assert supervisor_pid(supervisor) != first
    assert until(lambda: pid_of(supervisor)) != worker
    assert gone(worker)


def test_a_crash_loop_is_told_with_its_last_words(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(program(supervisor, "worker/one", "raise SystemExit('no such model: churn')"))
    with pytest.raises(MlinfraError, match=r"worker/one ended within a second.*\n.*no such model: churn"):
        supervisor.wait_ready("http://127.0.0.1:9/", 15, "worker/one")
    until(lambda: supervisor.status()["worker/one"].state == "FATAL")
    assert "four times" in supervisor.failures()["worker/one"]
    assert "no such model: churn" in supervisor.failures()["worker/one"]
    supervisor.set_program(sleeper(supervisor))
    assert until(lambda: pid_of(supervisor))


def test_no_use_in_retrying(supervisor: Supervisor) -> None:
    supervisor.ensure()
    code = "import sys, time; print('the digest differs', flush=True); time.sleep(1.3); sys.exit(78)"
    supervisor.set_program(program(supervisor, "worker/one", code))
    with pytest.raises(MlinfraError, match=r"exit status 78.*\n.*the digest differs"):
        supervisor.wait_ready("http://127.0.0.1:9/", 15, "worker/one")


def test_never_ready_and_unknown(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.set_program(sleeper(supervisor))
    with pytest.raises(MlinfraError, match=r"http://127.0.0.1:9/ was not ready within 0.1 s; it logged nothing"):
        supervisor.wait_ready("http://127.0.0.1:9/", 0.1, "worker/one")
    with pytest.raises(MlinfraError, match="worker/two is not known"):
        supervisor.wait_ready("http://127.0.0.1:9/", 1, "worker/two")
    with pytest.raises(MlinfraError, match="BAD_NAME"):
        supervisor.restart("worker/two")


def test_logs_are_bounded(supervisor: Supervisor) -> None:
    supervisor.ensure()
    code = "import time\nfor i in range(2000): print('x' * 99)\nprint('end', flush=True); time.sleep(600)"
    written = program(supervisor, "worker/one", code, log_bytes=20_000)
    supervisor.set_program(written)
    until(lambda: any(file.read_text().endswith("end\n") for file in written.log.parent.iterdir()))
    files = list(written.log.parent.iterdir())
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 80_000
