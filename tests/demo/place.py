"""Where the demo happens: a copy of this repository's files with a git of its own and a bare remote beside it."""

from __future__ import annotations

import fcntl
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlinfra_cli import render
from mlinfra_cli.render import Cell, text

ROOT = Path(__file__).resolve().parents[2]
MLINFRA = str(Path(sys.executable).with_name("mlinfra"))
FOLDER = ROOT / ".cache" / "demo"
HERE = FOLDER / "repository"
STACK = HERE / "stacks" / "flight_delay"
ENVIRONMENTS = ("demo", "demo-staging", "demo-prod")
INTERRUPTED = 130


@contextmanager
def place() -> Iterator[None]:
    """Make the place anew, for this run alone; what a killed run left running is ended first."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another make demo runs in {FOLDER}") from None
        take_down()
        for old in (HERE, FOLDER / "origin.git"):
            shutil.rmtree(old, ignore_errors=True)
        _make()
        yield


def _make() -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "stacks", HERE / "stacks", ignore=ignored)
    shutil.copy(Path(__file__).with_name("variants.py"), STACK)
    (HERE / "environments").mkdir()
    for name in ("Pulumi.yaml", ".gitignore", *(f"environments/{name}.yaml" for name in ENVIRONMENTS)):
        shutil.copy(ROOT / name, HERE / name)
    subprocess.run(["git", "init", "--quiet", "--bare", str(FOLDER / "origin.git")], check=True)
    git("init", "--quiet")
    for line in ("user.name=mlinfra demo", "user.email=demo@example.com", "commit.gpgSign=false", "core.hooksPath="):
        git("config", *line.split("=", 1))
    git("symbolic-ref", "HEAD", "refs/heads/main")
    git("--git-dir", str(FOLDER / "origin.git"), "symbolic-ref", "HEAD", "refs/heads/main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Declare the flights' model")
    git("remote", "add", "origin", str(FOLDER / "origin.git"))
    git("push", "--quiet", "--set-upstream", "origin", "main")


def git(*arguments: str) -> str:
    """Run git in the place."""
    done = subprocess.run(["git", *arguments], cwd=HERE, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def merge(commit: str) -> None:
    """Do what a reviewer's click does: bring a commit to main, here and in the remote."""
    git("push", "--quiet", "origin", f"{commit}:main")
    pull()


def pull() -> None:
    """Bring main here."""
    git("pull", "--quiet", "--ff-only", "origin", "main")


def revert() -> None:
    """Take the last commit of main back."""
    git("revert", "--no-edit", "HEAD")
    git("push", "--quiet", "origin", "main")


def declare_variant(name: str) -> None:
    """Let the next training make another model: what a colleague's commit would do."""
    file = HERE / "environments" / "demo.yaml"
    lines = {"code": "variants.py", "params": f"{{congestion: true, variant: {name}}}"}
    declared = (ROOT / "environments" / "demo.yaml").read_text(encoding="utf-8").rstrip()
    file.write_text("\n".join([declared, *(f"  training_jobs.flight-delay.{k}: {v}" for k, v in lines.items()), ""]))


@dataclass(frozen=True)
class Job:
    """A command of mlinfra that runs beside the demo."""

    arguments: Sequence[str]
    process: subprocess.Popen[str]
    output: Path

    def ended(self, codes: Sequence[int] = (0,)) -> None:
        """Wait for its end.

        Raises:
            SystemExit: it did not end well; its output was shown.
        """
        if self.process.wait() not in codes:
            show(self.output.read_text())
            raise SystemExit(f"mlinfra {' '.join(self.arguments)} ended with {self.process.returncode}")


def beside(*arguments: str) -> Job:
    """Start a command of mlinfra, and do not wait."""
    show((f"$ mlinfra {' '.join(arguments)} &", "name"))
    output = FOLDER / f"{'-'.join(arguments).replace('/', '-')}.txt"
    with output.open("w") as file:
        process = subprocess.Popen([MLINFRA, *arguments], cwd=HERE, stdout=file, stderr=subprocess.STDOUT, text=True)
    _started.append(process)
    return Job(arguments, process, output)


_started: list[subprocess.Popen[str]] = []


def run(*arguments: str, quiet: bool = False, codes: Sequence[int] = (0,)) -> str:
    """Run mlinfra as a user would; its output is shown, or with `quiet` what is no progress is returned."""
    if not quiet:
        show((f"$ {shlex.join(('mlinfra', *arguments))}", "name"))
    # Ctrl-C reaches the command too, which ends what it has begun; to end before would kill it
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(
            [MLINFRA, *arguments],
            cwd=HERE,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode not in codes:
        if quiet:
            show(done.stdout + done.stderr)
        raise SystemExit(f"mlinfra {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout or ""


def take_down() -> None:
    """Take all environments down, at once; what still runs beside ends first."""
    for process in _started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in _started:
        process.wait()
    known = [name for name in ENVIRONMENTS if (HERE / ".mlinfra" / name).exists()]
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        ending = [
            subprocess.Popen([MLINFRA, "down", name], cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            for name in known
        ]
        for each in ending:
            each.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def processes() -> list[int]:
    """Return what runs for the demo: processes whose command names its folder."""
    data = str(HERE / ".mlinfra")
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(data in argument for argument in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found


_STARTED = time.monotonic()


def say(part: str, title: str) -> None:
    """Show a heading, and how long the demo runs."""
    show()
    show(("── ", "quiet"), (part, "name"), f"  {title}", (f"  {render.seconds(time.monotonic() - _STARTED)}", "quiet"))


def show(*pieces: Cell, indent: int = 0) -> None:
    """Show a line as mlinfra itself does."""
    render.show(text(*pieces, indent=indent))
    sys.stdout.flush()
