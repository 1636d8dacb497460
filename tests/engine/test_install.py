"""Finding and installing the engine, with stand-ins for `pulumi` and `go` on PATH."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlinfra.problems import MlinfraError
from mlinfra_engine import go_modules, hosts, official
from mlinfra_engine.install import VERSION, Engine, ensure, find

# Announces each start in `started`, leaves half a binary, and goes on when `go_on` exists.
FAKE_GO = f"""#!{sys.executable}
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
if sys.argv[1] == "env":
    print(json.dumps({{name: str(here / name) for name in sys.argv[3:]}}))
    sys.exit()
with (here / "started").open("a") as file:
    file.write("build\\n")
target = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
target.write_text("half")
print("go: downloading example.com/module v1.0.0\\nexample.com/module/package", file=sys.stderr)
while not (here / "go_on").exists():
    time.sleep(0.02)
target.write_text("#!{sys.executable}\\nprint('{{}}')\\n".format((here / "go_on").read_text().strip()))
target.chmod(0o755)
"""

RUN_ENSURE = """
import sys
from mlinfra_engine import official
official.INSTALLER = sys.argv[1]
from mlinfra_engine.__main__ import main
sys.exit(main())
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def pulumi(path: Path, version: str) -> Path:
    return executable(path, f"#!{sys.executable}\nprint({version!r})\n")


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        time.sleep(0.02)


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A URL at a port that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/install.sh"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreachable: str) -> Path:
    """Only `tmp_path/bin` is on PATH, nothing is installed, and Pulumi's site is unreachable."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("MLINFRA_ENGINE_HOME", str(tmp_path / "engines"))
    monkeypatch.setattr(official, "INSTALLER", unreachable)
    return tmp_path


def start_ensure(tmp_path: Path, url: str, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    said = tmp_path / f"{name}.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_ENSURE, url], stdout=file, stderr=file, start_new_session=True
        )
    return process, said


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "engines" / VERSION / "bin").iterdir())


def test_an_engine_on_path_is_taken(tmp_path: Path) -> None:
    path = pulumi(tmp_path / "bin" / "pulumi", "v3.201.7")
    engine = find()
    assert engine == ensure()
    assert engine == Engine(
        path, "3.201.7", "PATH", "mlinfra", tmp_path / "engines" / VERSION / "hosts" / hosts.LANGUAGE_HOST
    )


def test_the_official_language_host_beside_the_engine_is_taken(tmp_path: Path) -> None:
    pulumi(tmp_path / "pulumi-3.260" / "pulumi", "v3.260.0")
    (tmp_path / "bin" / "pulumi").symlink_to(tmp_path / "pulumi-3.260" / "pulumi")
    host = executable(tmp_path / "pulumi-3.260" / hosts.LANGUAGE_HOST, "\x7fELF")
    engine = find()
    assert engine is not None
    assert (engine.language_host, engine.language_host_path) == ("official", host)
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize("version", ["v3.199.9", "v4.0.0", "unknown"])
def test_an_engine_on_path_that_does_not_fit_is_passed_over(tmp_path: Path, version: str) -> None:
    pulumi(tmp_path / "bin" / "pulumi", version)
    assert find() is None
    kept = pulumi(tmp_path / "engines" / VERSION / "bin" / "pulumi", f"v{VERSION}")
    engine = find()
    assert engine is not None
    assert (engine.path, engine.way, engine.version) == (kept, "Go modules", VERSION)


def test_the_environment_puts_engine_host_and_interpreter_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(tmp_path / "bin" / "pulumi", "v3.250.0")
    engine = find()
    assert engine is not None
    environment = engine.environment()
    hosts_folder = str(tmp_path / "engines" / VERSION / "hosts")
    own = [str(tmp_path / "bin"), hosts_folder, str(Path(sys.executable).parent)]
    assert environment["PATH"].split(os.pathsep) == [*own, str(tmp_path / "bin")]
    assert {path.name for path in Path(hosts_folder).iterdir()} == {
        hosts.LANGUAGE_HOST,
        hosts.DYNAMIC_PROVIDER,
    }
    # A process that was started with it finds the same engine, and does not take our host for the official one.
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find() == engine


def test_the_module_files_pin_the_version() -> None:
    module = f"github.com/pulumi/pulumi/pkg/v3 v{VERSION}"
    assert f"require {module}\n" in (go_modules.MODULES / "go.mod").read_text()
    assert f"{module} h1:" in (go_modules.MODULES / "go.sum").read_text()
    assert f'import _ "{go_modules.PACKAGE}"' in (go_modules.MODULES / "tools.go").read_text()


def test_no_way_at_all_names_each_way_and_what_mends_it(tmp_path: Path, unreachable: str) -> None:
    pulumi(tmp_path / "bin" / "pulumi", "v3.100.0")
    with pytest.raises(MlinfraError) as caught:
        ensure(lambda line: None)
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    assert str(caught.value) == (
        "there is no Pulumi engine, and none could be installed:\n"
        f"  - pulumi on PATH: {tmp_path}/bin/pulumi is 3.100.0; 3.200 or newer is needed, below 4\n"
        f"  - official installer: {unreachable} cannot be reached: {refused}\n"
        "  - Go modules: there is no `go` on PATH (1.25.11 or newer is needed)"
    )
    assert "https://go.dev/dl/" in caught.value.remedy
    assert "python -m mlinfra_engine" in caught.value.remedy


def test_a_failed_build_shows_what_go_said(tmp_path: Path) -> None:
    executable(
        tmp_path / "bin" / "go",
        f"#!{sys.executable}\nimport sys\nsys.exit('go: downloading a v1\\nsome/package\\nno space left on device')\n",
    )
    with pytest.raises(MlinfraError, match=r"`go build` failed:\n      no space left on device$"):
        ensure(lambda line: None)
    assert kept_files(tmp_path) == []


def test_a_build_that_runs_but_is_another_version_is_not_kept(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "go", FAKE_GO)
    (tmp_path / "bin" / "go_on").write_text("v9.9.9")
    with pytest.raises(MlinfraError, match=f"should say v{VERSION}, but said: v9.9.9"):
        ensure(lambda line: None)
    assert kept_files(tmp_path) == []


def test_the_build_says_what_it_does_and_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go_modules, "PROGRESS_SECONDS", 0.1)
    executable(tmp_path / "bin" / "go", FAKE_GO)
    lines: list[str] = []
    (tmp_path / "bin" / "GOCACHE").mkdir()
    with (tmp_path / "bin" / "GOCACHE" / "object").open("wb") as file:
        file.truncate(1_600_000_000)

    def say(line: str) -> None:
        lines.append(line)
        if re.fullmatch(r" +\d+ s: 1 modules downloaded, 1 packages compiled", line):
            (tmp_path / "bin" / "go_on").write_text(f"v{VERSION}")

    engine = ensure(say)
    assert (engine.way, engine.language_host, engine.version) == ("Go modules", "mlinfra", VERSION)
    assert engine.path == tmp_path / "engines" / VERSION / "bin" / "pulumi"
    assert any("4 minutes on 2 cores" in line for line in lines)
    caches = f"0.0 GB in {tmp_path}/bin/GOMODCACHE and 1.6 GB in {tmp_path}/bin/GOCACHE"
    assert any(caches in line for line in lines)
    assert "  go clean -modcache -cache" in lines
    assert kept_files(tmp_path) == ["pulumi", hosts.LANGUAGE_HOST, hosts.DYNAMIC_PROVIDER]
    assert ensure(lambda line: pytest.fail(line)) == engine == find()


def test_two_at_once_build_once(tmp_path: Path, unreachable: str) -> None:
    executable(tmp_path / "bin" / "go", FAKE_GO)
    started = [start_ensure(tmp_path, unreachable, name) for name in ("first", "second")]
    wait_for(lambda: any("waiting for it" in said.read_text() for _, said in started), "one that waits")
    (tmp_path / "bin" / "go_on").write_text(f"v{VERSION}")
    assert [process.wait(30) for process, _ in started] == [0, 0]
    assert (tmp_path / "bin" / "started").read_text() == "build\n"
    for _, said in started:
        assert f"path: {tmp_path}/engines/{VERSION}/bin/pulumi\n" in said.read_text()


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "process"])
def test_an_interrupt_leaves_nothing_half_and_the_next_run_works(
    tmp_path: Path, unreachable: str, whole_group: bool
) -> None:
    executable(tmp_path / "bin" / "go", FAKE_GO)
    process, said = start_ensure(tmp_path, unreachable, "interrupted")
    folder = tmp_path / "engines" / VERSION / "bin"
    wait_for(lambda: [path for path in folder.glob(".pulumi-*") if path.read_text()], "half a binary")
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert "Traceback" not in said.read_text()
    assert "the next run goes on from there" in said.read_text()
    assert kept_files(tmp_path) == []
    (tmp_path / "bin" / "go_on").write_text(f"v{VERSION}")
    assert ensure(lambda line: None).way == "Go modules"


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    left = executable(tmp_path / "engines" / VERSION / "bin" / ".pulumi-99999", "half")
    executable(tmp_path / "bin" / "go", FAKE_GO)
    (tmp_path / "bin" / "go_on").write_text(f"v{VERSION}")
    ensure(lambda line: None)
    assert not left.exists()


def test_the_command_says_errors_without_a_traceback(tmp_path: Path, unreachable: str) -> None:
    process, said = start_ensure(tmp_path, unreachable, "failing")
    assert process.wait(30) == 1
    assert "error: there is no Pulumi engine" in said.read_text()
    assert "\n  → install Pulumi (3.200 or newer" in said.read_text()
    assert "Traceback" not in said.read_text()


class TestOfficialInstaller:
    """The site answers; the SDK's own installer, which downloads from an address of its own, is replaced."""

    @pytest.fixture(autouse=True)
    def reachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(official, "_check_reachable", lambda: None)

    def test_it_is_put_in_place_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def install(root: str, version: object) -> None:
            pulumi(Path(root) / "bin" / "pulumi", f"v{version}")
            executable(Path(root) / "bin" / hosts.LANGUAGE_HOST, "\x7fELF")

        monkeypatch.setattr("pulumi.automation.PulumiCommand.install", install)
        engine = ensure(lambda line: None)
        assert (engine.way, engine.language_host) == ("official installer", "official")
        assert engine.path == tmp_path / "engines" / VERSION / "bin" / "pulumi"
        assert find() == engine

    def test_one_that_fails_half_way_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def install(root: str, version: object) -> None:
            pulumi(Path(root) / "bin" / "pulumi", "v0")
            raise subprocess.CalledProcessError(1, "install.sh", output=b"+ Downloading\nerror: disk full\n\n")

        monkeypatch.setattr("pulumi.automation.PulumiCommand.install", install)
        with pytest.raises(MlinfraError, match="the installer failed: error: disk full"):
            ensure(lambda line: None)
        assert find() is None
        assert [path.name for path in (tmp_path / "engines" / VERSION).iterdir()] == ["install.lock"]
