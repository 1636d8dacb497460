"""How long `mlinfra --help` takes, beside the command lines of peers that can be installed.

The aim is a limit: a quarter of a second is where a command begins to feel slow. The best of ten runs is held against
it, because only what else runs on the machine makes the others slower; the ratios to peers are those of medians. Peers
get a virtual environment each in `.cache/benchmarks`; one that cannot be installed is left out, with the reason.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, Spent, cpu, in_turn, installed, spend, variables, wall

ROUNDS = 10
MOST_SECONDS = 0.25
PEERS = {"metaflow": ["--help"], "dstack": ["--help"]}


def run() -> Iterator[Result]:
    """Measure ours and the peers' in turn."""
    commands = {"mlinfra": [str(Path(sys.executable).with_name("mlinfra")), "--help"]}
    for peer, arguments in PEERS.items():
        executable = installed(peer)
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
