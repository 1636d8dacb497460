"""A dry run of a promotion, with a real endpoint upstream, beside the plan of its target alone.

The platform is the one that `mlinfra init` writes; dev trains and serves, staging gets its first release. Beyond the
plan with the new lock, its costs and its rules, the dry run asks both environments what serves, reads the releases, and
answers every precondition. The aim is a limit: how long a person waits for an answer without looking elsewhere.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, cpu, in_turn, ratios, spend, variables, wall

ROUNDS = 7
MOST_SECONDS = 2.0


def run() -> Iterator[Result]:
    """Serve in dev once, then measure both in turn, then take it down."""
    mlinfra = str(Path(sys.executable).with_name("mlinfra"))
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        environment = variables(XDG_STATE_HOME=name)
        folder = Path(name) / "repository"
        spend([mlinfra, "init", str(folder)], Path(name), environment)
        promote = [mlinfra, "promote", "diabetes", "--from", "dev", "--to", "staging", "--dry-run"]
        with contextlib.ExitStack() as ending:
            ending.callback(spend, [mlinfra, "down", "dev"], folder, environment)
            spend([mlinfra, "up", "dev"], folder, environment)
            spent = in_turn(
                {
                    "promote": partial(spend, promote, folder, environment),
                    "plan": partial(spend, [mlinfra, "plan", "staging"], folder, environment),
                },
                ROUNDS,
            )
    in_wall, in_cpu = ratios(spent["promote"], spent["plan"])
    yield Result(
        "mlinfra promote --dry-run",
        f"{wall(spent['promote']):.2f} s ({cpu(spent['promote']):.2f} s CPU)",
        f"mlinfra plan of the target {wall(spent['plan']):.2f} s ({cpu(spent['plan']):.2f} s CPU)",
        f"{in_wall:.2f} (CPU {in_cpu:.2f})",
        f"≤ {MOST_SECONDS:g} s",
        wall(spent["promote"]) <= MOST_SECONDS,
    )
