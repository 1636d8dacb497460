"""The ticker: a supervised process that calls `mlinfra tick` while a rollout is under way, so that nobody has to stay.

    python -m mlinfra_providers.local.ticker REPOSITORY ENVIRONMENT

It asks the kept split alone whether there is anything to do, so an environment at rest costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.files import Damaged
from mlinfra.rollout.record import RolloutRecord
from mlinfra.yaml_file import read_yaml
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.programs import Program
from mlinfra_providers.local.router import Router

NAME = "tick"
_KEPT = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE_FILE")
"""Where the engine and its secrets are; a passphrase itself is in no file of the supervisor."""
_TICK_SECONDS = 900
"""A tick may deploy a release beside."""


def program(layout: Layout) -> Program:
    """Return the ticker of an environment."""
    command = (sys.executable, "-m", "mlinfra_providers.local.ticker", str(layout.repository), layout.environment)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return Program(NAME, command, layout.repository, layout.log(NAME), environment={"PYTHONUNBUFFERED": "1", **kept})


def every(layout: Layout) -> float:
    """Return the seconds between two ticks, as the environment's file says now."""
    try:
        text = (layout.repository / "environments" / f"{layout.environment}.yaml").read_text(encoding="utf-8")
        return float(seconds(str(read_yaml(text, "").value["tick_every"])))
    except (OSError, ValueError, KeyError, TypeError):
        return float(seconds(Environment.model_fields["tick_every"].default))


def is_due(layout: Layout) -> bool:
    """Whether a rollout is under way at any endpoint."""
    for file in layout.endpoints.glob("*/router/traffic.json"):
        with contextlib.suppress(Damaged, ValueError):
            traffic = Router(layout, file.parents[1].name).traffic()
            if traffic is not None and traffic.rollout and RolloutRecord.model_validate(traffic.rollout).is_under_way:
                return True
    return False


def main() -> None:
    """Tick for ever."""
    layout = Layout(Path(sys.argv[1]), sys.argv[2])
    while True:
        time.sleep(every(layout))
        if is_due(layout):
            command = [sys.executable, "-m", "mlinfra_cli", "tick", layout.environment]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, cwd=layout.repository, check=False, timeout=_TICK_SECONDS)


if __name__ == "__main__":
    main()
