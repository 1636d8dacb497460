"""The offline plan of the reference stacks on each target, start-up included, beside bare import and registration.

The peer imports the classes of the same resources from the same SDK, and registers them under Pulumi's own mocks. The
environments are the examples of `environments/examples`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Result, cpu, in_turn, ratios, spend, variables, wall

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("sagemaker", "vertex", "azureml", "kubernetes")
PEER = Path(__file__).with_name("bare_typed_registration.py")
ROUNDS = 7
AIM = 1.5


def run() -> Iterator[Result]:
    """Measure each target in turn with its peer."""
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "stacks", folder / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "Pulumi.yaml", folder / "Pulumi.yaml")
        shutil.copytree(ROOT / "environments" / "examples", folder / "environments")
        environment = variables(XDG_STATE_HOME=name)
        for target in TARGETS:
            kept = folder / f"{target}.json"
            ours = [str(Path(sys.executable).with_name("mlinfra")), "plan", target, "--json"]
            theirs = [sys.executable, str(PEER), str(kept)]
            spent = in_turn(
                {
                    "plan": partial(spend, ours, folder, environment, kept),
                    "bare": partial(spend, theirs, folder, environment),
                },
                ROUNDS,
            )
            in_wall, in_cpu = ratios(spent["plan"], spent["bare"])
            yield Result(
                f"offline plan of the reference stacks on {target}",
                f"{wall(spent['plan']):.2f} s ({cpu(spent['plan']):.2f} s CPU)",
                f"bare import and registration {wall(spent['bare']):.2f} s ({cpu(spent['bare']):.2f} s CPU)",
                f"{in_wall:.2f} (CPU {in_cpu:.2f})",
                f"≤ {AIM}",
                in_wall <= AIM,
            )
