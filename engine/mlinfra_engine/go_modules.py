"""The engine from its source: built from the Go modules that `go/go.mod` and `go/go.sum` pin."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mlinfra_engine.failures import WayFailed

MODULES = Path(__file__).parent / "go"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

PROGRESS_SECONDS = 10.0
# Go removes its work folders when it is interrupted; it is killed after this.
INTERRUPT_SECONDS = 10.0

_PACKAGE_LINE = re.compile(r"[\w.~/-]+\n?")


@dataclass
class _Progress:
    """What `go build -v` said: counts, and the last lines that are neither a download nor a package."""

    modules: int = 0
    packages: int = 0
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=6))

    def read(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self.modules += 1
        elif _PACKAGE_LINE.fullmatch(line):
            self.packages += 1
        elif line.strip():
            self.messages.append(line.strip())

    def line(self, seconds: float) -> str:
        return f"  {seconds:4.0f} s: {self.modules} modules downloaded, {self.packages} packages compiled"


def _environment() -> dict[str, str]:
    # The build is for this machine and for these modules, whatever the user's own Go work is set to.
    environment = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    return environment | {"GOWORK": "off"}


def _stop(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _build(command: list[str], say: Callable[[str], None]) -> None:
    progress = _Progress()
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=MODULES,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )

    def read() -> None:
        for line in process.stderr or ():
            progress.read(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            try:
                code = process.wait(PROGRESS_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(progress.line(time.monotonic() - started))
    except BaseException:
        _stop(process)
        raise
    reader.join()
    if code != 0:
        said = "\n      ".join(progress.messages) or f"exit code {code}"
        raise WayFailed(f"`go build` failed:\n      {said}")
    say(progress.line(time.monotonic() - started))


def _check(binary: Path, version: str) -> None:
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        ran = subprocess.run(
            [binary, "version"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise WayFailed(f"the engine that was built does not run: {error}") from error
    if ran.returncode != 0 or ran.stdout.strip() != f"v{version}":
        said = (ran.stdout + ran.stderr).strip() or f"exit code {ran.returncode}"
        raise WayFailed(f"the engine that was built should say v{version}, but said: {said}")


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def _say_what_is_kept(go: str, say: Callable[[str], None]) -> None:
    names = ("GOMODCACHE", "GOCACHE")
    ran = subprocess.run([go, "env", "-json", *names], capture_output=True, text=True, check=False)
    with contextlib.suppress(ValueError, KeyError):
        folders = [Path(json.loads(ran.stdout)[name]) for name in names]
        sizes = " and ".join(f"{_size(folder) / 1e9:.1f} GB in {folder}" for folder in folders)
        say(f"Go keeps {sizes}, yours included. The engine needs neither any more; to free both:")
        say("  go clean -modcache -cache")


def install(version: str, home: Path, say: Callable[[str], None]) -> None:
    """Build the engine of `version` into `home/bin`, whole or not at all. Raises WayFailed.

    Interrupted at any moment it leaves no binary; Go's caches keep what was done, so that the next run goes on.
    """
    go = shutil.which("go")
    if go is None:
        raise WayFailed("there is no `go` on PATH (1.25.11 or newer is needed)")
    say(f"Building the Pulumi engine {version} from its Go modules, with {go}. This is done once.")
    say("About 250 modules are downloaded (1.3 GB unpacked) and 1,650 packages compiled: 4 minutes on 2 cores.")
    say("Interrupting is safe: the next run goes on from there.")
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".pulumi-*"):
        left.unlink()
    binary = folder / f".pulumi-{os.getpid()}"
    flags = f"-s -w -X {VERSION_VARIABLE}=v{version}"
    command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    try:
        _build([*command, "-ldflags", flags, "-o", str(binary), PACKAGE], say)
        _check(binary, version)
        binary.replace(folder / "pulumi")
    finally:
        binary.unlink(missing_ok=True)
    _say_what_is_kept(go, say)
