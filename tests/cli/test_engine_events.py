"""The engine's event log: written anew between preview and apply, while it is being read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.engine_events import Outcome, Step, read_events

URN = "urn:pulumi:dev::mlinfra::mlinfra:part:endpoints$mlinfra:local:Server::one"
PREVIEW = [
    {"resourcePreEvent": {"metadata": {"op": "create", "type": "mlinfra:local:Server", "urn": URN}, "planning": True}},
    {"diagnosticEvent": {"severity": "debug", "message": "x" * 400}},
    {"summaryEvent": {"resourceChanges": {"create": 7}}},
]
APPLY = [
    {"resourcePreEvent": {"metadata": {"op": "create", "type": "mlinfra:local:Server", "urn": URN}}},
    {"resOutputsEvent": {"metadata": {"op": "create", "type": "mlinfra:local:Server", "urn": URN}}},
    {"summaryEvent": {"resourceChanges": {"create": 1}}},
]
WRITER = """
import json, sys, time
log, preview, apply = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
for events in (preview, apply):
    with open(log, "w") as file:
        for event in events:
            text = json.dumps(event) + "\\n"
            file.write(text[:10]); file.flush(); time.sleep(0.01)
            file.write(text[10:]); file.flush()
    time.sleep(0.3)
"""


@pytest.mark.parametrize("apply", [APPLY, [*APPLY[:2], PREVIEW[1], *[PREVIEW[1]] * 3, APPLY[2]]])
def test_the_apply_is_reported_after_the_preview(tmp_path: Path, apply: list[dict[str, object]]) -> None:
    log = tmp_path / "events"
    log.touch()
    steps: list[Step] = []
    outcome = Outcome()
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(log), json.dumps(PREVIEW), json.dumps(apply)])
    read_events(log, process, outcome, steps.append)
    assert [(step.planned, step.done) for step in steps] == [(True, False), (False, False), (False, True)]
    assert outcome.counts == {"create": 1}


def test_a_log_that_grew_past_the_old_end_unseen_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_text("".join(json.dumps(event) + "\n" for event in APPLY))
    steps: list[Step] = []
    outcome = Outcome()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    from mlinfra import engine_events

    with log.open("rb") as file:
        file.seek(17)
        for event in engine_events._events(file, process):
            engine_events._take(event, outcome, steps.append)
    assert [step.done for step in steps] == [False, True]
    assert outcome.counts == {"create": 1}


def test_what_was_stopped_by_a_failure_is_no_error_of_its_own(tmp_path: Path) -> None:
    said = ("its quota is full", "failed to run remediation: context canceled", "update failed")
    events = [{"diagnosticEvent": {"severity": "error", "message": each, "urn": URN}} for each in said]
    log, outcome = tmp_path / "events", Outcome()
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    read_events(log, process, outcome, lambda step: None)
    assert outcome.errors == ["Server one: its quota is full"]
