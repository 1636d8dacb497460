"""Pulumi's own history: entries as the engine writes them to a folder, and as it prints them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlinfra.environment import Environment
from mlinfra.history.events import Kind, Outcome
from mlinfra.history.pulumi_history import events_of, read_records, read_runs
from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository
from mlinfra.rollout.record import Phase, RolloutRecord

UP: dict[str, Any] = {
    "kind": "update", "startTime": 1795345453, "endTime": 1795345455, "message": "First commit\nand more",
    "environment": {
        "ci.build.id": "77", "ci.build.number": "5", "ci.system": "GitHub Actions", "exec.kind": "cli",
        "git.author": "Ann", "git.dirty": "false", "git.head": "7a30755c393d56fb505d7d02d202853d9374496d",
    },
    "config": {}, "version": 0, "result": "succeeded", "resourceChanges": {"create": 2, "same": 7, "update": 2},
}  # fmt: skip
"""As engine 3.250.0 writes it."""


@pytest.fixture
def environment() -> Environment:
    return Environment.model_validate({"name": "dev", "target": "local", "stacks": ["diabetes"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / ".mlinfra" / "state" / ".pulumi" / "history" / "mlinfra" / "dev"
    folder.mkdir(parents=True)
    return folder


def test_an_up_as_a_folder_has_it() -> None:
    [event], odd = events_of([UP])
    assert odd == []
    assert (event.kind, event.outcome, event.seconds, event.changed) == (Kind.UP, Outcome.SUCCEEDED, 2, 4)
    assert event.started == datetime.fromtimestamp(1795345453, UTC)
    assert (event.who, event.why, event.commit) == (
        "GitHub Actions, build 5",
        "First commit",
        UP["environment"]["git.head"],
    )


def test_who_wrote_the_commit_is_not_said_to_have_run_it() -> None:
    facts = {"git.author": "Ann", "git.committer": "Ann"}
    [event], _ = events_of([{**UP, "environment": facts}])
    assert event.who is None


def test_times_as_the_engine_prints_them() -> None:
    printed = {**UP, "startTime": "2026-11-22T10:59:28.000Z", "endTime": "2026-11-22T10:59:33.000Z"}
    [event], _ = events_of([printed])
    assert (event.started, event.seconds) == (datetime(2026, 11, 22, 10, 59, 28, tzinfo=UTC), 5)


@pytest.mark.parametrize(
    ("kind", "told"), [("destroy", Kind.DOWN), ("refresh", Kind.REFRESH), ("import", Kind.OTHER)]
)  # fmt: skip
def test_what_else_ran(kind: str, told: Kind) -> None:
    [event], _ = events_of([{**UP, "kind": kind}])
    assert (event.kind, event.note) == (told, "import" if told is Kind.OTHER else "")


def test_one_that_failed_and_one_that_goes_on() -> None:
    going_on = {**UP, "startTime": 1795345460, "result": "in-progress", "endTime": 0, "resourceChanges": None}
    found, _ = events_of([going_on, {**UP, "result": "failed"}])
    assert [event.outcome for event in found] == [Outcome.FAILED, Outcome.WAITING]
    assert (found[1].seconds, found[1].changed) == (None, None)


@pytest.mark.parametrize("odd", [None, 5, [], {}, {"kind": "update"}, {**UP, "startTime": "yesterday"}])
def test_what_is_no_entry_is_said(odd: Any) -> None:
    events, said = events_of([odd, UP])
    assert (len(events), said) == (1, ["an entry of Pulumi's history is of an unknown form"])


def test_a_folder_is_read_without_the_engine(tmp_path: Path, folder: Path, environment: Environment) -> None:
    later = {**UP, "startTime": UP["startTime"] + 60, "kind": "destroy"}
    (folder / "dev-1795345467000000000.history.json").write_text(json.dumps(later))
    (folder / "dev-1795345455000000000.history.json").write_text(json.dumps(UP))
    (folder / "dev-1795345456000000000.history.json").write_text('{"kind":')
    (folder / "dev-1795345455000000000.history.json.attrs").write_text("{}")
    events, unread = read_runs(Repository(tmp_path), environment)
    assert [event.kind for event in events] == [Kind.UP, Kind.DOWN]
    assert unread == ["dev-1795345456000000000.history.json cannot be read"]


def test_records_come_from_the_states_that_runs_left(tmp_path: Path, folder: Path, environment: Environment) -> None:
    record = RolloutRecord(release="b", phase=Phase.SERVED)
    traffic = {"type": "acme:Traffic", "inputs": {"endpoint": "api"}, "outputs": {"record": record.to_json()}}
    state = {"version": 3, "checkpoint": {"latest": {"resources": [traffic]}}}
    (folder / "dev-1.checkpoint.json").write_text(json.dumps(state))
    (folder / "dev-2.checkpoint.json").write_text('{"phase"')
    (folder / "dev-3.checkpoint.json").write_text('["phase"]')
    [kept] = read_records(Repository(tmp_path), environment)
    assert (kept.endpoint, kept.record.to_json(), kept.source) == ("api", record.to_json(), "pulumi")


def test_before_the_first_run_there_is_none(tmp_path: Path, environment: Environment) -> None:
    assert read_runs(Repository(tmp_path), environment) == ([], [])
    assert list(read_records(Repository(tmp_path), environment)) == []


def test_another_backend_needs_the_engine(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlinfra_engine.install.find", lambda: None)
    elsewhere = environment.model_copy(update={"state": "s3://acme-state"})
    with pytest.raises(MlinfraError, match="needs the Pulumi engine"):
        read_runs(Repository(tmp_path), elsewhere)
    assert list(read_records(Repository(tmp_path), elsewhere)) == []


@pytest.mark.engine
def test_the_engine_prints_all_that_a_folder_holds(tmp_path: Path) -> None:
    """More than the ten that it prints unless asked: a backend that is none of our folders is read through it."""
    from mlinfra.history import pulumi_history
    from mlinfra.pulumi_stack import PulumiStack
    from mlinfra_engine.install import find

    engine = find()
    assert engine is not None
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: mlinfra\nruntime: yaml\nmain: stacks/\n")
    (tmp_path / "stacks" / "Pulumi.yaml").write_text("name: mlinfra\nruntime: yaml\n")
    (tmp_path / ".mlinfra" / "state").mkdir(parents=True)
    repository = Repository(tmp_path)
    environment = Environment.model_validate({"name": "dev", "target": "local", "stacks": ["diabetes"]})
    assert pulumi_history._asked(repository, environment) == []
    stack = PulumiStack(repository, environment, engine)
    stack.init()
    folder = tmp_path / ".mlinfra" / "state" / ".pulumi" / "history" / "mlinfra" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for number in range(12):
        time = int((start + timedelta(hours=number)).timestamp())
        entry = {**UP, "startTime": time, "endTime": time + 1}
        (folder / f"dev-{time}000000000.history.json").write_text(json.dumps(entry))
    printed, _ = events_of(pulumi_history._asked(repository, environment))
    assert printed == read_runs(repository, environment)[0]
    assert len(printed) == 12
