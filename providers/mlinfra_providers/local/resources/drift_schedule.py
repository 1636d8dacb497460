"""DriftSchedule: the drift job of the serving package as a supervised process that wakes on its schedule."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mlinfra.files import read_kept, write_json
from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.programs import Program
from mlinfra_providers.local.resources.local_handler import LocalHandler
from mlinfra_providers.local.supervisor import Supervisor


class DriftSchedule(LocalHandler):
    """Before the first release there is no baseline: the schedule is kept, and no process runs."""

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Fetch the baseline, keep the schedule, start the process."""
        layout, name = self.layout(inputs), _program_name(inputs)
        layout.monitor(inputs["name"]).mkdir(parents=True, exist_ok=True)
        supervisor = Supervisor(layout)
        supervisor.ensure()
        if inputs.get("baseline"):
            baseline = self.artifacts(inputs).get_tree(inputs["baseline"], baseline_folder(layout, inputs))
            command = job_command(layout, inputs, baseline, ["--every", f"{inputs['everySeconds']}s"])
            program = Program(
                name=name,
                command=command,
                directory=layout.repository,
                log=layout.log(name),
                environment={"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                stop_seconds=100,  # it may wait for the lock of another run, and for a webhook
            )
            supervisor.set_program(program)
        else:
            supervisor.remove_program(name)
        write_json(_file(layout, inputs), dict(inputs), durable=True)
        return name, {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the schedule that is kept; gone when its process is."""
        layout = self.layout(inputs)
        kept = read_kept(_file(layout, inputs))
        if kept is None or (kept.get("baseline") and _program_name(kept) not in Supervisor(layout).status()):
            return None
        return Found(kept, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change the schedule in place."""
        if _program_name(old) != _program_name(new):
            self.delete(id_, old)
        self.create(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """End the process; the reports stay."""
        layout = self.layout(inputs)
        Supervisor(layout).remove_program(_program_name(inputs))
        _file(layout, inputs).unlink(missing_ok=True)


def baseline_folder(layout: Layout, inputs: Properties) -> Path:
    """Return where a monitor keeps the baseline of the release it watches."""
    return layout.monitor(inputs["name"]) / "baselines" / str(inputs["release"])


def job_command(layout: Layout, inputs: Properties, baseline: Path, more: list[str]) -> tuple[str, ...]:
    """Return the command of the drift job; `more` says when, or on which window, it runs."""
    on_drift = f"webhook:{inputs['webhook']}" if inputs["onDrift"] == "webhook" else str(inputs["onDrift"])
    return (
        sys.executable, "-m", "mlinfra_serving.drift",
        "--endpoint", inputs["endpoint"],
        "--baseline", str(baseline),
        "--capture", str(layout.capture(inputs["endpoint"])),
        "--release", inputs["release"],
        "--thresholds", json.dumps(inputs["thresholds"], sort_keys=True),
        "--output", str(layout.monitor(inputs["name"])),
        "--on-drift", on_drift,
        *more,
    )  # fmt: skip


def _program_name(inputs: Properties) -> str:
    return f"drift/{inputs['name']}"


def _file(layout: Layout, inputs: Properties) -> Path:
    return layout.monitor(inputs["name"]) / "schedule.json"
