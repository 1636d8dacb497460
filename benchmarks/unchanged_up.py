"""A `mlinfra up` that changes nothing, beside plain `pulumi up` with its preview on the same state.

The environment is the one that `mlinfra init` writes: it trains, registers, serves and watches. The peer is the same
engine, program and state without mlinfra around it; mlinfra also checks for changes that would destroy data, looks
for new training inputs, and asks at the end what really serves.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, cpu, in_turn, ratios, spend, variables, wall

from mlinfra.operations.session import Session
from mlinfra.repository import Repository

ROUNDS = 7
AIM = 1.3
ENVIRONMENT = "dev"


def run() -> Iterator[Result]:
    """Make it real once, then measure both in turn, then take it down."""
    mlinfra = str(Path(sys.executable).with_name("mlinfra"))
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        environment = variables(XDG_STATE_HOME=name)
        folder = Path(name) / "repository"
        spend([mlinfra, "init", str(folder)], Path(name), environment)
        ours = [mlinfra, "up", ENVIRONMENT]
        with contextlib.ExitStack() as ending:
            ending.callback(spend, [mlinfra, "down", ENVIRONMENT], folder, environment)
            spend(ours, folder, environment)
            stack = Session.open(Repository.find(folder), ENVIRONMENT).stack(lambda line: print(f"up: {line}"))
            plain = {**environment, **stack.variables()}
            pulumi = str(shutil.which("pulumi", path=plain["PATH"]))
            theirs = [pulumi, "up", "--yes", "--skip-preview=false", "--stack", ENVIRONMENT, "--non-interactive"]
            spent = in_turn(
                {
                    "mlinfra": partial(spend, ours, folder, environment),
                    "pulumi": partial(spend, [*theirs, "--policy-pack", "policies"], folder, plain),
                    "without rules": partial(spend, theirs, folder, plain),
                },
                ROUNDS,
            )
    for peer, said in (("pulumi", "with preview and pack"), ("without rules", "with preview, no rules")):
        in_wall, in_cpu = ratios(spent["mlinfra"], spent[peer])
        yield Result(
            "mlinfra up without a change",
            f"{wall(spent['mlinfra']):.2f} s ({cpu(spent['mlinfra']):.2f} s CPU)",
            f"pulumi up {said} {wall(spent[peer]):.2f} s ({cpu(spent[peer]):.2f} s CPU)",
            f"{in_wall:.2f} (CPU {in_cpu:.2f})",
            f"≤ {AIM}",
            in_wall <= AIM,
        )
