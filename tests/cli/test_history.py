"""mlinfra history: a real git repository, a real folder of Pulumi's history, and what is missing of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.check import Answer
from mlinfra.releases import Release
from mlinfra.rollout.record import Failure, GateResult, Phase, RolloutRecord, stamp
from tests.cli.test_json import fields
from tests.cli.test_releases import in_git, made

Run = Callable[..., Result]
NOW = datetime.now(UTC)
FILE = "environments/prod.lock.yaml"
PROMOTED = "Promote diabetes to prod: better by 0.01"


def git(folder: Path, *arguments: str, who: str = "Ann", hours: float = 0) -> str:
    time = (NOW + timedelta(hours=hours)).isoformat()
    settings = (f"user.name={who}", f"user.email={who}@example.com", "commit.gpgsign=false")
    identity = [piece for setting in settings for piece in ("-c", setting)]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_COMMITTER_DATE": time, "GIT_AUTHOR_DATE": time},
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path, subject: str, **who: Any) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", subject, **who)


def lock(folder: Path, release: str, previous: str | None = None, more: str = "") -> None:
    before = f", previous: '{previous}'" if previous else ""
    (folder / FILE).write_text(f"diabetes: {{release: '{release}'{before}{more}}}\n")


@pytest.fixture
def releases(repository: Path) -> tuple[Release, Release]:
    store = ArtifactStore((repository / ".mlinfra" / "artifacts").as_uri())
    old, new = made(repository, store, 1), made(repository, store, 2)
    for release in (old, new):
        in_git(repository, release)
    return old, new


@pytest.fixture
def platform(repository: Path, releases: tuple[Release, Release]) -> Path:
    """A repository with two promotions of prod (the second merged), a rollback and a hold."""
    old, new = releases
    git(repository, "init", "--quiet", "--initial-branch=main", ".")
    lock(repository, old.digest)
    commit(repository, "Start prod", hours=-72)
    git(repository, "checkout", "--quiet", "-b", "promote")
    lock(repository, new.digest, old.digest)
    commit(repository, PROMOTED, who="Bob", hours=-50)
    git(repository, "checkout", "--quiet", "main")
    git(
        repository,
        "merge",
        "--quiet",
        "--no-ff",
        "-m",
        "Merge pull request #7 from x/promote",
        "promote",
        who="Cat",
        hours=-48,
    )
    hold = f", hold: {{reason: too slow, owner: dee, since: '{stamp(NOW)}'}}"
    lock(repository, old.digest, new.digest, hold)
    commit(repository, "Roll back diabetes in prod: too slow", who="Dee", hours=-2)
    return repository


def kept(repository: Path, record: RolloutRecord, name: str = "1") -> None:
    """Keep a record in a state that a run left."""
    folder = repository / ".mlinfra" / "state" / ".pulumi" / "history" / "mlinfra" / "prod"
    folder.mkdir(parents=True, exist_ok=True)
    traffic = {
        "type": "mlinfra:local:Traffic",
        "inputs": {"endpoint": "diabetes"},
        "outputs": {"record": record.to_json()},
    }
    state = {"checkpoint": {"latest": {"resources": [traffic]}}}
    (folder / f"prod-{name}.checkpoint.json").write_text(json.dumps(state))
    start = int(NOW.timestamp()) - 3600
    run = {"kind": "update", "startTime": start, "endTime": start + 9, "message": "Start", "result": "succeeded",
           "environment": {}, "resourceChanges": {"create": 3, "same": 2}}  # fmt: skip
    (folder / f"prod-{name}.history.json").write_text(json.dumps(run))


def told(run: Run, *arguments: str) -> Any:
    result = run("history", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def brief(document: Any) -> list[tuple[Any, ...]]:
    names = ("kind", "who", "merged_by", "pull_request", "why")
    return [tuple(event[name] for name in names) for event in document["events"]]


def test_what_git_tells(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    old, new = releases
    document = told(run, "prod")
    assert brief(document) == [
        ("promotion", "Ann", None, None, "Start prod"),
        ("promotion", "Bob", "Cat", "#7", PROMOTED),
        ("rollback", "Dee", None, None, "Roll back diabetes in prod: too slow"),
        ("hold", "Dee", None, None, "too slow"),
    ]
    moves = [(event["previous"], event["release"], event["stack"]) for event in document["events"][:3]]
    assert moves == [
        (None, old.short, "diabetes"),
        (old.short, new.short, "diabetes"),
        (new.short, old.short, "diabetes"),
    ]
    measured = {measure["name"]: measure for measure in document["measures"]}
    assert (measured["change failure rate"]["value"], measured["change failure rate"]["left_out"]) == (1.0, 1)
    assert measured["time to detect"]["value"] is None


def test_what_is_shown(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    old, new = releases
    kept(platform, RolloutRecord(
        release=new.short, previous=old.short, phase=Phase.ROLLED_BACK, started=stamp(NOW - timedelta(hours=5)),
        since=stamp(NOW - timedelta(hours=3)),
        failures=[
            Failure(release=new.short, at=stamp(NOW - timedelta(hours=3)), reason="was rolled back by dee: too slow")
        ],
    ))  # fmt: skip
    result = run("history", "prod", "diabetes", "--since", "60h")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "when (UTC) what endpoint release outcome took who why"
    assert [line.split(" ", 2)[2] for line in lines[1:5]] == [
        f"hold diabetes {old.short} - - Dee too slow; dee holds it",
        f"rollback diabetes {new.short} → {old.short} - - Dee Roll back diabetes in prod: too slow",
        f"rollout diabetes {old.short} → {new.short} rolled back 2 hours unknown was rolled back by dee: too slow",
        f"promotion diabetes {old.short} → {new.short} - - Bob, merged by Cat (#7) {PROMOTED}",
    ]
    assert lines[5:] == [
        "",
        "measure of",
        "deployment frequency 0.4 a day 1 deployment",
        "lead time for changes unknown no deployment with a known commit was verified",
        "change failure rate 100% 1 deployment",
        "failed deployment recovery time 2 hours 1 deployment",
        "time to detect 2 hours 1 deployment",
    ]
    assert "up" not in [event["kind"] for event in told(run, "prod", "diabetes")["events"]]
    assert [event["changed"] for event in told(run, "prod")["events"] if event["kind"] == "up"] == [3]


def test_who_only_looked_is_counted(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    kept(platform, RolloutRecord(release=releases[1].short, phase=Phase.SERVED, started=stamp(NOW)))
    [path] = (platform / ".mlinfra").rglob("*.history.json")
    for number, changes in enumerate(({"same": 5}, {"same": 4, "update": 1})):
        refresh = {**json.loads(path.read_text()), "kind": "refresh", "resourceChanges": changes}
        path.with_name(f"prod-{number}2.history.json").write_text(json.dumps(refresh))
    shown = run("history", "prod").stdout
    assert "\n1 refresh changed nothing; --json has them\n" in shown
    assert shown.count(" refresh  ") == 1
    assert [event["changed"] for event in told(run, "prod")["events"] if event["kind"] == "refresh"] == [0, 1]


def test_outside_of_git(repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    kept(repository, RolloutRecord(release="a" * 12, phase=Phase.SERVED, started=stamp(NOW), verified=stamp(NOW)))
    document = told(run, "prod")
    assert [event["kind"] for event in document["events"]] == ["up", "rollout"]
    source = document["sources"][0]
    assert (source["source"], source["complete"]) == ("git", False)
    assert "cannot be used as a git repository" in source["notes"][0]
    assert f"git: {repository} cannot be used as a git repository" in run("history", "prod").stdout


def test_a_shallow_clone(platform: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git(platform, "clone", "--quiet", "--depth=2", platform.as_uri(), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    document = told(run, "prod")
    assert [event["kind"] for event in document["events"]] == ["rollback", "hold"]
    assert document["sources"][0]["notes"] == [
        "the clone is shallow: what is older is not known (git fetch --unshallow brings it)"
    ]
    assert document["measures"][0]["value"] is None


def test_a_lock_that_was_edited_by_hand(platform: Path, run: Run) -> None:
    (platform / FILE).write_text("diabetes: {release: nonsense}\n")
    document = told(run, "prod")
    assert document["sources"][0]["notes"] == [f"{FILE} has changes that are not committed"]
    assert document["sources"][2]["complete"] is False
    commit(platform, "Try something", who="Eve")
    last = told(run, "prod")["events"][-2]
    assert (last["kind"], last["who"], last["release"], last["note"]) == (
        "promotion", "Eve", "nonsense", "nonsense is no digest",
    )  # fmt: skip
    (platform / FILE).write_text("diabetes: [\n")
    commit(platform, "Break it", who="Eve")
    last = told(run, "prod")["events"][-1]
    assert (last["kind"], last["who"]) == ("edit", "Eve")
    assert "is not YAML" in last["note"]


def test_an_environment_that_cannot_be_read_hides_no_commit(platform: Path, run: Run) -> None:
    (platform / "environments" / "prod.yaml").write_text("target: [\n")
    document = told(run, "prod")
    assert len(document["events"]) == 4
    assert [source["complete"] for source in document["sources"]] == [True, False, False]


def test_what_is_wrongly_asked(platform: Path, run: Run) -> None:
    for arguments, said in (
        (("prd",), "no environment 'prd' (did you mean 'prod'?)"),
        (("prod", "diabets"), "nothing is known of a stack 'diabets' (did you mean 'diabetes'?)"),
        (("prod", "--since", "soon"), "--since soon: a duration is a whole number"),
        (("prod", "--since", f"{10**12}d"), "--since 1000000000000d:"),
    ):
        result = run("history", *arguments)
        assert result.exit_code == 2
        assert said in result.stderr


def test_what_it_prints_is_documented(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
    found = re.search(r"```json history\n(.*?)\n```", text, re.DOTALL)
    assert found is not None
    gate = GateResult(gate="p95_ms <= 50", answer=Answer.PASS)
    kept(platform, RolloutRecord(release=releases[1].short, phase=Phase.SERVED, started=stamp(NOW), gates=[gate]))
    printed, documented = told(run, "prod"), json.loads(found[1])
    assert fields(printed) == fields(documented)
