"""Training runs of the local target: real processes, real limits, real MLflow."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from mlinfra.artifacts import ArtifactStore
from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.runs import logs, records, train
from mlinfra_providers.local.tracking import Tracker
from mlinfra_providers.run_record import Input, Request, RunRecord, judge, passed

pytestmark = pytest.mark.local

GOOD = """
    import pandas as pd
    from sklearn.dummy import DummyRegressor
    import mlinfra.training

    run = mlinfra.training.run()
    rows = pd.read_parquet(run.inputs["rows"])
    print("training on", len(rows), "rows")
    run.log_metric("score", run.params["score"])
    model = DummyRegressor(strategy="constant", constant=run.params["score"]).fit(rows[["x"]], rows["x"])
    run.save_model(model, example=rows[["x"]], predictions=rows["x"])
"""
AUC: dict[str, Any] = {"metric": "score", "operator": ">=", "value": 0.5}


class Place:
    """A repository; each test trains a job of its own name in it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root, "dev")
        self.store = ArtifactStore(self.layout.artifacts_url)
        self.tracker = Tracker(self.layout)
        self.rows = root / "rows.parquet"
        pd.DataFrame({"x": [1.0, 2.0, 3.0]}).to_parquet(self.rows)

    def request(self, job: str, script: str = GOOD, **more: Any) -> Request:
        folder = self.layout.repository / "stacks" / job
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.py").write_text(textwrap.dedent(script))
        given: dict[str, Any] = {
            "inputs": {"rows": Input(self.rows, "sha256:rows")},
            "params": {"score": 0.75},
            "accept": [AUC],
            "max_runtime_seconds": 120,
        }
        return Request(job, folder, "train.py", **{**given, **more})

    def train(self, request: Request, **options: Any) -> RunRecord:
        return train(request, self.layout, self.store, self.tracker, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("repository"))
    with place.tracker:
        yield place


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_run_is_made_once_and_adopted_then(place: Place) -> None:
    lines: list[str] = []
    made = place.train(place.request("once"), say=lines.append)
    assert (made.outcome, made.verdict, made.adopted) == ("finished", "accepted", False)
    assert made.metrics == {"score": 0.75}
    assert made.checks == [{**AUC, "found": 0.75, "answer": "pass"}]
    assert made.model_digest == digest_tree(made.model(place.layout.runs))
    assert place.store.has(str(made.model_digest))
    assert place.store.has(str(made.baseline_digest))
    assert made.peak_memory_bytes > 20e6
    assert "training on 3 rows" in lines
    assert "training on 3 rows" in made.log(place.layout.runs).read_text()

    adopted = place.train(place.request("once", cpus=2, memory_gib=3), say=lines.append)
    assert adopted.adopted
    assert replace(adopted, adopted=False) == made
    assert lines.count("training on 3 rows") == 1


def test_whatever_changes_the_model_is_another_run(place: Place) -> None:
    request = place.request("digest")
    digests = {
        request.digest,
        place.request("digest", params={"score": 0.5}).digest,
        place.request("digest", inputs={"rows": Input(place.rows, "sha256:other")}).digest,
        place.request("digest", GOOD + "\n# changed").digest,
        place.request("digest2").digest,
    }
    assert len(digests) == 5
    other = place.request("digest", cpus=4, memory_gib=8, max_runtime_seconds=9, accept=[])
    assert other.digest == request.digest


def test_a_rejected_run_is_recorded_adopted_and_judged_again(place: Place) -> None:
    rejected = place.train(place.request("rejected", params={"score": 0.125}))
    assert (rejected.verdict, rejected.checks[0]["answer"]) == ("rejected", "fail")
    assert not place.store.has(str(rejected.model_digest))
    no_data = place.train(place.request("rejected", params={"score": 0.125}, accept=[{**AUC, "metric": "auc"}]))
    assert (no_data.adopted, no_data.verdict) == (True, "rejected")
    assert (no_data.checks[0]["found"], no_data.checks[0]["answer"]) == (None, "no data")
    accepted = place.train(place.request("rejected", params={"score": 0.125}, accept=[{**AUC, "value": 0.1}]))
    assert (accepted.adopted, accepted.verdict) == (True, "accepted")
    assert place.store.has(str(accepted.model_digest))


def test_limits_reach_the_script(place: Place) -> None:
    script = """
        import os
        print(os.nice(0), len(os.sched_getaffinity(0)), os.environ["OMP_NUM_THREADS"])
    """
    record = place.train(place.request("limits", script, niceness=5))
    assert record.log_tail[0] == "5 1 1"


def test_checks_pass_only_with_data() -> None:
    assert passed(judge([], {}))
    assert passed(judge([AUC], {"score": 0.5}))
    assert not passed(judge([AUC], {}))
    assert not passed(judge([AUC, {**AUC, "operator": "<="}], {"score": 0.6}))


def test_a_script_that_raises_fails_until_it_is_tried_again(place: Place) -> None:
    request = place.request("raises", "def f():\n    raise ValueError('no such column')\nprint('start')\nf()\n")
    failed = place.train(request)
    assert (failed.outcome, failed.accepted, failed.model_digest) == ("failed", False, None)
    assert failed.log_tail[0] == "start"
    assert failed.log_tail[-1] == "ValueError: no such column"
    assert any(str(request.folder / "train.py") in line for line in failed.log_tail)
    assert place.train(request).adopted
    again = place.train(request, again=True)
    assert (again.adopted, again.attempt, again.id) == (False, 2, f"{failed.id}-2")
    assert [record.id for record in records(place.layout, "raises")] == [failed.id, again.id]
    assert len(logs(place.layout, "raises")) == 2


def test_a_script_that_writes_no_model(place: Place) -> None:
    record = place.train(place.request("no-model", "print('done')"))
    assert record.outcome == "no model"
    assert record.log_tail[-1] == "train.py ended without run.save_model(…)"


def test_a_script_that_hangs_is_ended_with_all_that_it_started(place: Place) -> None:
    script = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid)
        time.sleep(60)
    """
    hung = place.train(place.request("hangs", script, max_runtime_seconds=2))
    assert hung.outcome == "timed out"
    assert hung.log_tail[-1] == "stopped by mlinfra: train.py did not end within 2 s"
    pid = int(hung.log_tail[0])
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert place.train(place.request("hangs", script, max_runtime_seconds=1)).adopted
    more = place.train(place.request("hangs", script, max_runtime_seconds=3))
    assert (more.adopted, more.attempt) == (False, 2)


def test_a_script_that_takes_too_much_memory_is_ended(place: Place) -> None:
    script = "import time\ntaken = bytearray(200 * 2**20)\ntime.sleep(60)\n"
    record = place.train(place.request("memory", script, memory_gib=0.1))
    assert record.outcome == "out of memory"
    assert "GiB of memory, 0.1 GiB are allowed" in record.log_tail[-1]
    assert record.peak_memory_bytes > 0.1 * 2**30


def test_the_code_is_what_it_was_when_the_run_began(place: Place) -> None:
    request = place.request("edited", "import time; print('go', flush=True); time.sleep(0.5); import helper")
    (request.folder / "helper.py").write_text("print('old')")
    request = Request("edited", request.folder, "train.py")

    def edit(line: str) -> None:
        if line == "go":
            (request.folder / "helper.py").write_text("print('new')")

    record = place.train(request, say=edit)
    assert "old" in record.log(place.layout.runs).read_text().splitlines()


def test_a_lost_model_is_trained_again(place: Place) -> None:
    first = place.train(place.request("lost"))
    (first.model(place.layout.runs) / "model.joblib").write_bytes(b"changed")
    second = place.train(place.request("lost"))
    assert (second.adopted, second.attempt) == (False, 2)
    assert second.model_digest == first.model_digest


PROGRAM = """
import sys
from pathlib import Path
from mlinfra.artifacts import ArtifactStore
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.run_record import Request
from mlinfra_providers.local.runs import train
from mlinfra_providers.local.tracking import Tracker
layout = Layout(Path(sys.argv[1]), "dev")
request = Request(sys.argv[2], Path(sys.argv[3]), "train.py")
with Tracker(layout) as tracker:
    print(train(request, layout, ArtifactStore(layout.artifacts_url), tracker).outcome, flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_starts_again_and_leaves_no_process(place: Place, sent: signal.Signals) -> None:
    job = f"killed-{sent.name.lower()}"
    marker = place.layout.repository / f"{job}.pid"
    script = f"""
        import os, pathlib, time
        marker = pathlib.Path({str(marker)!r})
        if not marker.exists():
            marker.with_suffix(".partial").write_text(str(os.getpid()))
            marker.with_suffix(".partial").rename(marker)
            pathlib.Path(os.environ["MLINFRA_OUTPUT"], "half").touch()
            time.sleep(120)
    """
    request = Request(job, place.request(job, script).folder, "train.py")
    command = [sys.executable, "-c", PROGRAM, str(place.layout.repository), job, str(request.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(marker.exists)
    os.kill(process.pid, sent)
    process.communicate(timeout=30)
    pid = int(marker.read_text())
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert records(place.layout, job) == []

    lines: list[str] = []
    record = place.train(request, say=lines.append)
    assert (record.outcome, record.attempt, record.adopted) == ("no model", 1, False)
    assert lines[0].startswith("a run was interrupted; starting it again")
    assert not (place.layout.runs / record.folder / "output" / "half").exists()


def test_two_at_once_train_once(place: Place) -> None:
    request = place.request("twice")
    found: list[RunRecord] = []
    lines: list[str] = []

    def run() -> None:
        found.append(place.train(request, say=lines.append))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.adopted for record in found) == [False, True]
    assert lines.count("training on 3 rows") == 1
    assert "another process makes the same run; waiting for it" in lines


def test_everything_of_a_run_is_in_mlflow(place: Place) -> None:
    record = place.train(place.request("tracked", params={"score": 0.25, "name": "a"}))
    database = sqlite3.connect(place.layout.registry / "mlflow.db")

    def rows(query: str) -> dict[str, Any]:
        return dict(database.execute(query, (record.tracking_id,)).fetchall())

    tags = rows("SELECT key, value FROM tags WHERE run_uuid = ?")
    assert rows("SELECT key, value FROM latest_metrics WHERE run_uuid = ?") == {"score": 0.25}
    assert rows("SELECT key, value FROM params WHERE run_uuid = ?") == {"score": "0.25", "name": '"a"'}
    assert tags["mlinfra.verdict"] == "rejected"
    assert tags["mlinfra.input.rows"] == "sha256:rows"
    assert tags["mlinfra.model"] == record.model_digest
    assert tags["mlinfra.code"] == record.code
    assert '"x"' in tags["mlinfra.signature"]
    kept = list((place.layout.registry / "artifacts" / str(record.tracking_id)).rglob("log.txt"))
    assert "training on 3 rows" in kept[0].read_text()

    accepted = place.train(place.request("tracked", params={"score": 0.25, "name": "a"}, accept=[]))
    assert accepted.tracking_id == record.tracking_id
    assert rows("SELECT key, value FROM tags WHERE run_uuid = ?")["mlinfra.verdict"] == "accepted"
    count = database.execute("SELECT COUNT(*) FROM tags WHERE key = 'mlinfra.run' AND value = ?", (record.id,))
    assert count.fetchone() == (1,)
    database.close()


def test_a_missing_script_names_the_nearest(place: Place) -> None:
    folder = place.request("missing").folder
    with pytest.raises(MlinfraError, match=r"trian\.py: no such training script") as caught:
        Request("missing", folder, "trian.py")
    assert caught.value.remedy == "did you mean 'train.py'?"
