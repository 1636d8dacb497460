"""How long `mlinfra --help` takes, beside the command lines of peers that can be installed.

The aim is a limit: a quarter of a second is where a command begins to feel slow. The best of ten runs is held against
it, because only what else runs on the machine makes the others slower; the ratios to peers are those of medians. Peers
get a virtual environment each in `.cache/benchmarks`; one that cannot be installed is left out, with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, Spent, cpu, in_turn, spend, variables, wall

ROUNDS = 10
MOST_SECONDS = 0.25
ROOT = Path(__file__).resolve().parents[1]
PEERS = {"metaflow": ["--help"], "dstack": ["--help"]}
INSTALL_SECONDS = 300


def run() -> Iterator[Result]:
    """Measure ours and the peers' in turn."""
    commands = {"mlinfra": [str(Path(sys.executable).with_name("mlinfra")), "--help"]}
    for peer, arguments in PEERS.items():
        executable = _installed(peer)
        if isinstance(executable, Path):
            commands[peer] = [str(executable), *arguments]
        else:
            print(f"start-up: {peer} is left out: {executable}")
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        folder = Path(name)
        environment = variables(HOME=name, XDG_STATE_HOME=name, METAFLOW_USER="bench")
        spent = in_turn(
            {peer: partial(spend, command, folder, environment) for peer, command in commands.items()}, ROUNDS
        )
    ours = spent.pop("mlinfra")
    best = min(one.wall for one in ours)
    yield Result(
        "mlinfra --help",
        f"{best:.2f} s at best of {ROUNDS} (median {wall(ours):.2f} s, {cpu(ours):.2f} s CPU)",
        ", ".join(_shown(peer, times) for peer, times in spent.items()) or "no peer",
        ", ".join(f"{wall(ours) / wall(times):.2f} × {peer}" for peer, times in spent.items()) or "-",
        f"≤ {MOST_SECONDS} s",
        best <= MOST_SECONDS,
    )


def _shown(peer: str, times: list[Spent]) -> str:
    return f"{peer} --help {wall(times):.2f} s ({cpu(times):.2f} s CPU)"


def _installed(peer: str) -> Path | str:
    """Return a peer's executable, installed if need be, or why there is none."""
    folder = ROOT / ".cache" / "benchmarks" / peer
    executable = folder / "bin" / peer
    if executable.is_file():
        return executable
    uv = shutil.which("uv") or str(ROOT / ".cache" / "uv" / "bin" / "uv")
    if not Path(uv).is_file():
        return "there is no uv to install it with"
    make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
    fill = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python"), peer]
    for command in (make, fill):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"installing it took more than {INSTALL_SECONDS} s"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["uv did not say why"])[-1]
    return executable if executable.is_file() else "its package brings no such command"
