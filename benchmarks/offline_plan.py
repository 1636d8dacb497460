"""The offline plan of 100 and of 1,000 resources, start-up included, beside their bare registration.

The peer registers the same resources (types, names, inputs, parents, dependencies) with the same SDK under Pulumi's
own mocks, and does nothing else: it is what any Pulumi program in Python costs. The plan reads and checks
declarations, environments, locks and releases before, and compares and prints after.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, Spent, cpu, in_turn, ratios, spend, variables, wall
from platform_of_parts import ENVIRONMENT, write_repository

ROUNDS = {100: 15, 1000: 9, 2000: 5}
AIM = 1.3
LINEAR = 1.25
PEER = Path(__file__).with_name("bare_registration.py")


def run() -> Iterator[Result]:
    """Measure each size in turn with its peer; then how the plan grows."""
    planned: dict[int, list[Spent]] = {}
    for size, rounds in ROUNDS.items():
        with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
            folder = write_repository(Path(name), size)
            environment = variables(XDG_STATE_HOME=name)
            kept = folder / "plan.json"
            ours = [str(Path(sys.executable).with_name("mlinfra")), "plan", ENVIRONMENT, "--json"]
            theirs = [sys.executable, str(PEER), str(kept)]
            spent = in_turn(
                {
                    "plan": partial(spend, ours, folder, environment, kept),
                    "bare": partial(spend, theirs, folder, environment),
                },
                rounds,
            )
            found = len(json.loads(kept.read_text(encoding="utf-8"))["resources"])
            assert found == size + 1, f"{found} resources instead of {size} and the stack itself"
        planned[size] = spent["plan"]
        in_wall, in_cpu = ratios(spent["plan"], spent["bare"])
        if size > 1000:
            continue
        yield Result(
            f"offline plan of {size:,} resources",
            f"{wall(spent['plan']):.2f} s ({cpu(spent['plan']):.2f} s CPU)",
            f"bare registration {wall(spent['bare']):.2f} s ({cpu(spent['bare']):.2f} s CPU)",
            f"{in_wall:.2f} (CPU {in_cpu:.2f})",
            f"≤ {AIM}",
            in_wall <= AIM,
        )
    small, middle, large = sorted(planned)
    first, second = _each(planned, small, middle), _each(planned, middle, large)
    yield Result(
        "growth of the offline plan",
        f"{1000 * second:.2f} ms CPU for each resource from {middle:,} to {large:,}",
        f"{1000 * first:.2f} ms from {small:,} to {middle:,}",
        f"{second / first:.2f}",
        f"≤ {LINEAR} (linear)",
        second / first <= LINEAR,
    )


def _each(planned: dict[int, list[Spent]], fewer: int, more: int) -> float:
    """Return the CPU seconds of each further resource."""
    return (cpu(planned[more]) - cpu(planned[fewer])) / (more - fewer)
