"""A language host for Python: the server that the engine asks to run programs, policy packs and plugins.

The official `pulumi-language-python` is a Go program that is part of Pulumi's download and is not to be had as a Go
module. This one does its part for an engine that was built from Go modules, and only there. It speaks
`LanguageRuntime` of pulumi's `language.proto`. Differences from the official one, on purpose:

- it installs no dependencies and creates no virtual environment: the program runs in the one that
  `runtime.options.virtualenv` of Pulumi.yaml names if that exists, else in the interpreter that runs this host;
- it reports no required packages: an installed `pulumi-aws` that no resource uses would be downloaded before each
  preview. The engine downloads the plugin of a package when its first resource is registered;
- it has no debugger, type checker or code generation.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from mlinfra_engine import attached, run_program

# The size that the engine and the SDK agree on: a state can be large.
MESSAGE_BYTES = 400 * 1024 * 1024

# Programs and plugins block a thread each for as long as they run.
THREADS = 64

STOP_SECONDS = 2.0

_LIST_PACKAGES = """
import importlib.metadata, json, re, sys
packages, needed = {}, set()
for found in importlib.metadata.distributions():
    packages[re.sub(r"[-_.]+", "-", found.name).lower()] = found.version
    for requirement in found.requires or ():
        if "extra ==" not in requirement:
            needed.add(re.sub(r"[-_.]+", "-", re.match(r"[\\w.-]+", requirement)[0]).lower())
listed = packages if sys.argv[1] == "all" else {n: v for n, v in packages.items() if n not in needed}
print(json.dumps(sorted(listed.items())))
"""


def _options(info: language_pb2.ProgramInfo) -> dict[str, Any]:
    return dict(info.options.items()) if info.HasField("options") else {}


def _virtual_environment(info: language_pb2.ProgramInfo) -> Path | None:
    options = _options(info)
    named = options.get("virtualenv") or (".venv" if options.get("toolchain") == "uv" else "")
    folder = Path(info.root_directory) / str(named)
    return folder if named and (folder / "bin" / "python").exists() else None


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """Return the path of the Python that runs the program of `info`."""
    folder = _virtual_environment(info)
    return str(folder / "bin" / "python") if folder else sys.executable


def _environment(info: language_pb2.ProgramInfo) -> dict[str, str]:
    environment = dict(os.environ)
    folder = _virtual_environment(info)
    if folder:
        environment["VIRTUAL_ENV"] = str(folder)
        environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
        environment.pop("PYTHONHOME", None)
    return environment


def _plugin_command(request: language_pb2.RunPluginRequest, folder: Path) -> list[str]:
    if request.kind == "analyzer":
        return ["pulumi.policy", *request.args, str(folder)]
    if (folder / "__main__.py").is_file():
        return [str(folder / "__main__.py"), *request.args]
    project = folder / "pyproject.toml"
    if project.is_file():
        name = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
        if name:
            return ["pulumi.run.plugin", name, *request.args]
    raise FileNotFoundError(f"{folder} is no plugin: it has no __main__.py and no pyproject.toml with a name")


class Children:
    """The processes that this host started and that still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a Python command that ends with this host. Raises RuntimeError when the host is stopping."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the language host is stopping")
            python, target, *arguments = command
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [python, "-u", attached.__file__, target, *arguments], stdin=subprocess.DEVNULL, **options
            )
            self._running.add(process)
        return process

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a process and return its exit code (negative: the signal that ended it)."""
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    def stop(self) -> None:
        """End all of them, and let no other one start."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Serves one run of the engine."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._programs = Children()
        self._plugins = Children()

    def stop(self) -> None:
        """End everything that this host started."""
        self._programs.stop()
        self._plugins.stop()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        return language_pb2.GetRequiredPackagesResponse()

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        return language_pb2.RuntimeOptionsResponse()

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        return language_pb2.AboutResponse(
            executable=sys.executable,
            version=platform.python_version(),
            metadata={"language host": "mlinfra"},
        )

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        python = interpreter(request.info)
        message = f"Programs run with {python}; install what they import there. Nothing was installed.\n"
        yield language_pb2.InstallDependenciesResponse(stdout=message.encode())

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        which = "all" if request.transitiveDependencies else "direct"
        command = [interpreter(request.info), "-c", _LIST_PACKAGES, which]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version) for name, version in json.loads(listed)
            ]
        )

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._programs.stop()
        return empty_pb2.Empty()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        if request.attach_debugger:
            return language_pb2.RunResponse(error="this language host cannot attach a debugger")
        info = request.info
        job = {
            "project": request.project,
            "stack": request.stack,
            "folder": request.pwd or info.program_directory,
            "program": info.entry_point or request.program,
            "arguments": list(request.args),
            "monitor": request.monitor_address,
            "engine": self._engine,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization,
            "root": info.root_directory,
        }
        configuration = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        try:
            process = self._programs.start(
                [interpreter(info), run_program.__file__, json.dumps(job)],
                env=_environment(info) | configuration,
            )
        except (OSError, RuntimeError) as error:
            return language_pb2.RunResponse(error=f"the program could not be started: {error}")
        _end_with_call(context, process)
        code = self._programs.wait(process)
        if code == 0:
            return language_pb2.RunResponse()
        if code == run_program.SHOWN:
            return language_pb2.RunResponse(bail=True)
        if code < 0:
            return language_pb2.RunResponse(error=f"the program was ended by {signal.Signals(-code).name}")
        return language_pb2.RunResponse(error=f"the program ended with exit code {code}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        info = request.info
        folder = Path(info.program_directory or request.program)
        given = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
        try:
            process = self._plugins.start(
                [interpreter(info), *_plugin_command(request, folder)],
                # A policy pack finds its own files wherever the program is.
                cwd=folder if request.kind == "analyzer" else request.pwd or folder,
                env=_environment(info) | given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, RuntimeError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            return
        _end_with_call(context, process)
        yield from _output(process)
        yield language_pb2.RunPluginResponse(exitcode=self._plugins.wait(process))


def _end_with_call(context: grpc.ServicerContext, process: subprocess.Popen[bytes]) -> None:
    # The engine gives up on a program or a plugin by closing its call. False: it has closed it already.
    if not context.add_callback(process.terminate):
        process.terminate()


def _output(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    pieces: queue.SimpleQueue[language_pb2.RunPluginResponse | None] = queue.SimpleQueue()

    def forward(stream: IO[bytes], name: str) -> None:
        for line in stream:
            pieces.put(
                language_pb2.RunPluginResponse(stdout=line)
                if name == "stdout"
                else language_pb2.RunPluginResponse(stderr=line)
            )
        pieces.put(None)

    # Typed as optional, but both are pipes here.
    streams = {"stdout": cast(IO[bytes], process.stdout), "stderr": cast(IO[bytes], process.stderr)}
    for name, stream in streams.items():
        threading.Thread(target=forward, args=(stream, name), daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        piece = pieces.get()
        if piece is None:
            open_streams -= 1
        else:
            yield piece


def main() -> None:
    """Print the port and serve until the engine interrupts (or, through `attached`, until it is gone)."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    engine = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    host = LanguageHost(engine)
    sizes = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=sizes)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    stopping.wait()
    server.stop(grace=None)
    host.stop()


if __name__ == "__main__":
    main()
