"""Training elsewhere: once for the same inputs, whoever asks, whatever is killed or lost meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mlinfra import Check, Dataset
from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError
from mlinfra_providers.remote import training
from mlinfra_providers.remote.jobs import Job, Phase, State
from tests.remote.conftest import GOOD, Place, weather

pytestmark = pytest.mark.local

PATIENT = 600.0
"""Seconds that a busy machine may need: no test waits so long when all is well."""
SLOW = """
    import pathlib, time
    while not pathlib.Path({gate!r}).exists():
        time.sleep(0.05)
"""


def slow(gate: Path) -> str:
    return SLOW.format(gate=str(gate)) + GOOD


def wait_for(condition: Callable[[], object], seconds: float = PATIENT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_run_is_made_once_and_adopted_then(place: Place, tmp_path: Path) -> None:
    part = place.job(inputs={"rows": Dataset("sources.py:rows")})
    made, lines = place.train(part)
    assert (made.outcome, made.adopted) == ("accepted", False)
    assert made.metrics == {"score": 0.75}
    assert made.result["runtime"]["name"] == "sklearn"
    assert set(made.result) == {"artifact", "runtime", "signature", "baseline", "data", "code"}
    assert "training on 3 rows" in lines
    model = place.store.get_tree(made.result["artifact"], tmp_path / "model")
    assert digest_tree(model) == made.result["artifact"]
    assert place.store.has(made.result["baseline"])

    adopted, lines = place.train(part)
    assert adopted == replace(made, adopted=True)
    assert place.jobs.submitted == [made.id]
    again, _ = place.train(part, again=True)
    assert (again.id, again.adopted) == (f"{made.id}-2", False)
    assert place.train(part)[0].id == again.id


def test_another_machine_adopts_what_was_made_elsewhere(place: Place, tmp_path: Path) -> None:
    part = place.job()
    made, _ = place.train(part)
    (place.repository / ".mlinfra").rename(tmp_path / "gone")
    assert place.train(part)[0] == replace(made, adopted=True)


def test_a_rejected_run_is_judged_again_by_other_checks(place: Place) -> None:
    rejected, _ = place.train(place.job(accept=[Check("score", ">=", 0.9)]))
    assert (rejected.outcome, rejected.checks[0]["answer"]) == ("rejected", "fail")
    accepted, _ = place.train(place.job())
    assert (accepted.outcome, accepted.adopted) == ("accepted", True)
    assert place.store.has(accepted.result["artifact"])


def test_a_script_that_fails_says_where_and_is_adopted(place: Place) -> None:
    part = place.job("print('start')\nraise ValueError('no such column')\n")
    failed, _ = place.train(part)
    assert failed.outcome == "failed"
    assert "ValueError: no such column" in failed.log
    assert failed.result["artifact"] is None
    assert place.train(part)[0].adopted
    assert len(place.jobs.submitted) == 1


def test_a_script_without_a_model_says_so(place: Place) -> None:
    run, _ = place.train(place.job("print('nothing')\n"))
    assert run.outcome == "no model"


@pytest.mark.parametrize("mounted", [True, False])
def test_inputs_are_joined_where_the_command_runs_and_checked_where_the_job_runs(place: Place, mounted: bool) -> None:
    store = weather()
    script = """
        import pandas as pd
        import mlinfra.training
        run = mlinfra.training.run()
        print(pd.read_parquet(run.inputs["rows"])["wind"].tolist(), pd.read_parquet(run.inputs["weather"]).shape)
    """
    place.jobs.mount = mounted
    inputs = {"rows": Dataset("sources.py:rows", features=[store]), "weather": store}
    _, lines = place.train(place.job(script, inputs=inputs))
    assert "[3.5, 7.25, 3.5] (2, 3)" in lines


def test_what_was_changed_on_the_way_is_not_trained_on(place: Place, tmp_path: Path) -> None:
    submit = place.jobs.submit

    def changed(job: Job) -> None:
        for file in (tmp_path / "bucket/given/trees").rglob("rows.parquet"):
            pd.DataFrame({"late": [1.0]}).to_parquet(file)
        submit(job)

    place.jobs.submit = changed  # type: ignore[method-assign]
    run, _ = place.train(place.job(inputs={"rows": Dataset("sources.py:rows")}))
    assert run.outcome == "failed"
    assert "wanted is sha256:" in run.log


def test_a_model_that_was_changed_after_the_run_is_not_taken(place: Place) -> None:
    fetch = place.jobs.fetch

    def changed(job: Job, to: Path) -> None:
        fetch(job, to)
        if (to / "model").exists():
            (to / "model" / "more").write_text("x")

    place.jobs.fetch = changed  # type: ignore[method-assign]
    with pytest.raises(MlinfraError, match="the model of this run was changed"):
        place.train(place.job())


def test_a_run_that_takes_too_long_is_ended_and_made_again_when_it_is_given_more(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "GRACE_SECONDS", 0.0)
    late, _ = place.train(place.job(slow(tmp_path / "gate"), max_runtime="1s"))
    assert late.outcome == "timed out"
    assert "stopped after 1 s" in late.log
    assert place.train(place.job(slow(tmp_path / "gate"), max_runtime="1s"))[0].adopted
    (tmp_path / "gate").touch()
    assert place.train(place.job(slow(tmp_path / "gate"), max_runtime="1h"))[0].outcome == "accepted"
    assert len(place.jobs.submitted) == 2


def test_two_at_once_make_one_job(place: Place, tmp_path: Path) -> None:
    part = place.job(slow(tmp_path / "gate"))
    runs = []
    threads = [threading.Thread(target=lambda: runs.append(place.train(part))) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: place.jobs.asked > 4)
    assert list((place.repository / ".mlinfra/prod/runs").rglob("log.txt")), "what runs can be read meanwhile"
    (tmp_path / "gate").touch()
    for thread in threads:
        thread.join(PATIENT)
    assert len(place.jobs.submitted) == 1
    assert [run.outcome for run, _ in runs] == ["accepted", "accepted"]
    assert len({run.id for run, _ in runs}) == 1


def test_who_comes_back_after_a_kill_waits_for_the_job_that_runs(place: Place, tmp_path: Path) -> None:
    part = place.job(slow(tmp_path / "gate"))
    killed = multiprocessing.get_context("fork").Process(target=place.train, args=(part,))
    killed.start()
    wait_for(lambda: place.jobs.submitted and list((tmp_path / "machines").glob("*/process.json")))
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(10)
    threading.Timer(0.5, (tmp_path / "gate").touch).start()
    run, lines = place.train(part)
    assert (run.outcome, run.adopted) == ("accepted", True)
    assert f"{run.id} is being made already; waiting for it" in lines
    assert place.jobs.submitted == [run.id]


def test_who_was_killed_before_it_wrote_the_record_loses_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    part = place.job()
    with monkeypatch.context() as patched:
        patched.setattr("mlinfra.artifacts.ArtifactStore.put_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.train(part)
    run, _ = place.train(part)
    assert (run.outcome, run.adopted) == ("accepted", True)
    assert place.jobs.submitted == [run.id]


def test_a_lost_connection_does_not_end_the_wait(place: Place) -> None:
    submit = place.jobs.submit

    def then_lost(job: Job) -> None:
        submit(job)
        place.jobs.lost = training.PATIENCE

    place.jobs.submit = then_lost  # type: ignore[method-assign]
    run, lines = place.train(place.job(), wait=lambda _: time.sleep(0.1))
    assert run.outcome == "accepted"
    assert len([line for line in lines if "does not answer" in line]) == 1


def test_a_target_that_never_answers_is_given_up_and_the_job_is_found_later(place: Place) -> None:
    part, submit = place.job(), place.jobs.submit

    def then_lost(job: Job) -> None:
        submit(job)
        place.jobs.lost = 1000

    place.jobs.submit = then_lost  # type: ignore[method-assign]
    with pytest.raises(MlinfraError, match="connection reset") as error:
        place.train(part, wait=lambda _: None)
    assert "the same command finds it again" in (error.value.remedy or "")
    place.jobs.lost = 0
    assert place.train(part)[0].outcome == "accepted"
    assert len(place.jobs.submitted) == 1


def test_a_machine_that_was_taken_away_is_no_result(place: Place, tmp_path: Path) -> None:
    part, submit = place.job(slow(tmp_path / "gate")), place.jobs.submit

    def then_taken(job: Job) -> None:
        submit(job)
        place.jobs.take_away(job.name)

    place.jobs.submit = then_taken  # type: ignore[method-assign]
    lost, _ = place.train(part)
    assert lost.outcome == "failed"
    place.jobs.submit = submit  # type: ignore[method-assign]
    (tmp_path / "gate").touch()
    run, lines = place.train(part)
    assert (run.outcome, run.id) == ("accepted", f"{lost.id}-2")
    assert f"{lost.id} ended without a result (a person); making it again" in lines


def test_the_time_of_waiting_for_a_machine_does_not_count() -> None:
    job = Job("x", None, "x.py", None, "", max_runtime_seconds=1)  # type: ignore[arg-type]
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    assert training._is_over(State(Phase.RUNNING, started=long_ago), job)
    assert not training._is_over(State(Phase.WAITING, started=long_ago), job)
    assert not training._is_over(State(Phase.RUNNING), job)
