"""Ports: kept, never given twice, and a clear word on who holds one."""

from __future__ import annotations

import concurrent.futures
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlinfra.problems import MlinfraError
from mlinfra_providers.local import ports as module
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import RANGE, Ports, is_free
from mlinfra_providers.local.programs import Program
from mlinfra_providers.local.supervisor import Supervisor

LISTEN = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _state_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def ports(tmp_path: Path, repository: str = "one", environment: str = "dev") -> Ports:
    (tmp_path / repository).mkdir(exist_ok=True)
    return Ports(Layout(tmp_path / repository, environment))


@pytest.fixture
def foreigner() -> Iterator[tuple[int, int]]:
    """A process that mlinfra did not start: its pid, and the port of the range that it listens on."""
    port = next(port for port in reversed(RANGE) if is_free(port))
    command = [sys.executable, "-c", LISTEN, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        yield process.pid, port
        process.kill()


def test_kept_under_its_name(tmp_path: Path) -> None:
    first = ports(tmp_path).get("endpoint/flight-delay")
    assert first in RANGE
    assert ports(tmp_path).get("endpoint/flight-delay") == first
    assert ports(tmp_path).get("server/flight-delay/3f9c2ab1d04e") != first
    assert ports(tmp_path).kept()["endpoint/flight-delay"] == first


def test_never_twice_across_environments_and_repositories(tmp_path: Path) -> None:
    given = [
        ports(tmp_path, repository, environment).get(f"endpoint/{name}")
        for repository in ("one", "two")
        for environment in ("dev", "prod")
        for name in ("a", "b")
    ]
    assert len(set(given)) == 8


def test_never_twice_by_processes_at_once(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda name: ports(tmp_path).get(f"endpoint/{name}"), range(16)))
    assert len(set(given)) == 16
    assert sorted(ports(tmp_path).kept().values()) == sorted(given)


def test_released_ports_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports(tmp_path).get("endpoint/a")
    monkeypatch.setattr(module, "RANGE", range(first, first + 1))
    ports(tmp_path).release("endpoint/a")
    ports(tmp_path).release("endpoint/a")
    assert ports(tmp_path).kept() == {}
    assert ports(tmp_path, "two").get("endpoint/b") == first


def test_a_repository_that_is_gone_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports(tmp_path).get("endpoint/a")
    monkeypatch.setattr(module, "RANGE", range(first, first + 1))
    shutil.rmtree(tmp_path / "one")
    assert ports(tmp_path, "two").get("endpoint/b") == first


def test_a_port_that_is_in_use_is_not_chosen(tmp_path: Path) -> None:
    first = ports(tmp_path).get("endpoint/a")
    with socket.create_server(("127.0.0.1", first)):
        ports(tmp_path).release("endpoint/a")
        assert ports(tmp_path).get("endpoint/a") != first


def test_a_kept_port_that_something_foreign_holds(tmp_path: Path, foreigner: tuple[int, int]) -> None:
    pid, port = foreigner
    found = ports(tmp_path)
    found.layout.folder.mkdir(parents=True)
    found.layout.ports.write_text(f'{{"endpoint/flight-delay": {port}}}')
    with pytest.raises(MlinfraError) as raised:
        found.get("endpoint/flight-delay")
    assert raised.value.message.startswith(
        f"port {port} of endpoint/flight-delay in dev is held by pid {pid} ({sys.executable} -c"
    )
    assert raised.value.message.endswith("which mlinfra did not start")
    assert raised.value.remedy == (
        f"stop it (kill {pid}), or let another port be chosen: mlinfra down dev, "
        "remove 'endpoint/flight-delay' from .mlinfra/dev/ports.json"
    )


def test_the_full_range_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports(tmp_path).get("endpoint/a")
    monkeypatch.setattr(module, "RANGE", range(first, first + 1))
    with pytest.raises(MlinfraError, match=re.escape(f"no port from {first} to {first} is free")):
        ports(tmp_path, "two").get("endpoint/a")


@pytest.mark.parametrize("name", ["", "/", "endpoint/../x", "a b", "endpoint/"])
def test_names_are_checked(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a name has parts"):
        ports(tmp_path).get(name)


@pytest.mark.local
def test_a_port_held_by_a_program_of_the_environment_is_its_own(tmp_path: Path) -> None:
    found = ports(tmp_path)
    supervisor = Supervisor(found.layout)
    port = found.get("server/one")
    script = tmp_path / "listen.py"
    script.write_text(LISTEN)
    log = found.layout.log("server/one")
    supervisor.ensure()
    try:
        command = (sys.executable, str(script), str(port))
        supervisor.set_program(Program("server/one", command, tmp_path, log))
        supervisor.wait_until(lambda: not is_free(port), 15, "server/one", what="the port")
        assert found.get("server/one") == port
        other = ports(tmp_path, environment="prod")
        other.layout.folder.mkdir(parents=True)
        shutil.copy(found.layout.ports, other.layout.ports)
        with pytest.raises(MlinfraError, match=f"port {port} of server/one in prod is held by pid"):
            other.get("server/one")
    finally:
        supervisor.stop()
    assert is_free(port)
