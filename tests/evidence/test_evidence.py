"""mlinfra evidence: what is gathered of a real repository, what is unknown and why, and how the folder is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.check import Answer
from mlinfra.digests import digest_file
from mlinfra.git import GitError
from mlinfra.releases import Release
from mlinfra.rollout.record import GateResult, Phase, RolloutRecord, stamp
from mlinfra.signing import sign_release
from tests.cli.test_history import NOW, PROMOTED, commit, git, kept
from tests.core.test_signing import pair

Run = Callable[..., Result]
GATE = GateResult(gate="p95_ms <= 50", answer=Answer.PASS, measured=12.5, against=11.0, samples=400)


def written(run: Run, release: Release, *more: str, to: str = "prod") -> Any:
    result = run("evidence", release.short, "--to", to, *more)
    assert result.exit_code == 0, result.stderr
    return json.loads((Path("evidence") / f"{to}-{release.short}" / "evidence.json").read_text())


def unknown(document: Any) -> dict[str, str]:
    return {item["fact"]: item["reason"] for item in document["unknown"]}


def test_what_is_gathered(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    old, new = releases
    started = stamp(NOW - timedelta(hours=47))
    record = RolloutRecord(
        release=new.short, previous=old.short, phase=Phase.SERVED, started=started, verified=stamp(NOW), gates=[GATE]
    )
    kept(platform, record)
    document = written(run, new)
    assert document["release"] == {
        "digest": new.digest, "stack": "diabetes", "endpoint": "diabetes",
        "file": f"releases/diabetes/{new.digest.removeprefix('sha256:')}.json",
    }  # fmt: skip
    assert document["identity"]["artifact"] == new.identity.artifact
    assert [copy["condition"] for copy in (*document["artifact"], *document["baseline"])] == ["whole", "whole"]
    assert document["model_card"]["metrics"] == {"r2": pytest.approx(0.42)}
    assert document["model_card"]["inputs"] == new.identity.signature["inputs"]
    assert document["provenance"]["data"] == {"patients": "sha256:2"}
    assert document["provenance"]["in_git"]["author"] == "Ann"
    assert document["pinned"] == [{"environment": "prod", "as": "previous"}]
    [rollout] = document["rollouts"]
    assert (rollout["outcome"], rollout["gates"]) == ("served", [GATE.model_dump(mode="json")])
    assert [(event["kind"], event["why"]) for event in document["history"]] == [
        ("promotion", PROMOTED),
        ("rollback", "Roll back diabetes in prod: too slow"),
    ]
    assert document["approvals"]["pull_request"] == "#7"
    assert document["findings"]["environment"] == "prod"
    assert document["cost"]["of"] == "prod"
    assert document["serving"]["weight"] == 0
    assert set(unknown(document)) == {"approvals", "commit of the code", "signature"}


def test_nearly_nothing_is_known(
    repository: Path, run: Run, releases: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    old, _ = releases
    (repository / "environments" / "prod.yaml").write_text("target: [\n")
    document = written(run, old)
    reasons = unknown(document)
    assert set(reasons) == {
        "approvals", "artifact", "baseline", "commit of the code", "commit of the release", "cost", "environment",
        "findings", "history from git", "history from pulumi", "history from target", "rollout", "serving", "signature",
    }  # fmt: skip
    assert all(reasons.values())
    assert "is not YAML" in reasons["environment"]
    assert "cannot be used as a git repository" in reasons["history from git"]
    for name in ("findings", "cost", "serving"):
        assert document[name] is None


def test_a_second_time_says_the_same_but_for_the_time(
    platform: Path, run: Run, releases: tuple[Release, Release]
) -> None:
    first, second = written(run, releases[0]), written(run, releases[0])
    assert {**first, "made": None} == {**second, "made": None}
    assert first["made"] != second["made"]


def test_the_digest_is_printed_and_on_the_page(
    platform: Path, run: Run, releases: tuple[Release, Release], tmp_path: Path
) -> None:
    folder = tmp_path / "audit"
    result = run("evidence", releases[0].digest, "--to", "prod", "--out", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    digest = digest_file(folder / "evidence.json")
    lines = result.stdout.splitlines()
    assert lines[:2] == [str(folder / "index.html"), f"{digest}  {folder / 'evidence.json'}"]
    assert lines[2].startswith("unknown: ")
    assert digest in (folder / "index.html").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["evidence.json", "index.html"]


def test_a_name_with_a_script_in_it_does_not_run(platform: Path, run: Run, releases: tuple[Release, Release]) -> None:
    evil = "<script>alert(1)</script>"
    lock = platform / "environments" / "prod.lock.yaml"
    lock.write_text(f"diabetes: {{release: '{releases[1].digest}', previous: '{releases[0].digest}'}}\n")
    commit(platform, f"Promote {evil}", who="Eve")
    document = written(run, releases[1])
    assert document["history"][-1]["why"] == f"Promote {evil}"
    page = (platform / "evidence" / f"prod-{releases[1].short}" / "index.html").read_text()
    assert "<script" not in page
    assert "Promote &lt;script&gt;" in page


def test_the_signature_is_verified_with_the_key_of_the_environment(
    platform: Path, run: Run, releases: tuple[Release, Release], tmp_path: Path
) -> None:
    private, public = pair(tmp_path, "key")
    (platform / "prod.pub").write_bytes(public.read_bytes())
    with (platform / "environments" / "prod.yaml").open("a") as file:
        file.write("signed_by: prod.pub\n")
    unsigned = {"key": "prod.pub", "verified": False, "reason": "it has no signature"}
    assert written(run, releases[0])["signature"] == unsigned
    sign_release(releases[0], ArtifactStore((platform / ".mlinfra" / "artifacts").as_uri()), private)
    assert written(run, releases[0])["signature"] == {"key": "prod.pub", "verified": True, "reason": None}
    (platform / "prod.pub").write_text("no key")
    document = written(run, releases[0])
    assert document["signature"]["verified"] is None
    assert unknown(document)["signature"] == document["signature"]["reason"]


class FakeHost:
    """A git host that knows who approved."""

    def __init__(self, answer: list[str] | GitError) -> None:
        self.answer = answer

    def approvals(self, number: int) -> list[str]:
        assert number == 7
        if isinstance(self.answer, GitError):
            raise self.answer
        return self.answer


def test_who_approved_is_asked_of_the_host(
    platform: Path, run: Run, releases: tuple[Release, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlinfra.hosts.host_of", lambda git, environment: FakeHost(["dee"]))
    document = written(run, releases[1])
    assert document["approvals"] == {"required": 0, "pull_request": "#7", "given_by": ["dee"]}
    monkeypatch.setattr("mlinfra.hosts.host_of", lambda git, environment: FakeHost(GitError("it does not answer")))
    document = written(run, releases[1])
    assert (document["approvals"]["given_by"], unknown(document)["approvals"]) == (None, "it does not answer")


def test_the_commit_of_the_code_is_found(
    repository: Path, run: Run, releases: tuple[Release, Release], platform: Path
) -> None:
    head = git(platform, "rev-parse", "HEAD")
    made = releases[0].provenance.model_copy(update={"commit": head})
    release = releases[0].model_copy(update={"provenance": made})
    path = platform / "releases" / "diabetes" / f"{release.digest.removeprefix('sha256:')}.json"
    path.write_bytes(release.to_json())
    assert written(run, release)["provenance"]["commit_time"] is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("00000000", "--to", "prod"), "there is no release 00000000"),
        (("short", "--to", "prod"), "'short' is no digest"),
        (("RELEASE", "--to", "prd"), "no environment 'prd' (did you mean 'prod'?)"),
        (("RELEASE", "--to", "prod", "--out", "environments"), "environments holds something else than evidence"),
        (("RELEASE", "--to", "prod", "--out", "Pulumi.yaml"), "Pulumi.yaml is no folder"),
    ],
)
def test_what_is_wrongly_asked(
    repository: Path, run: Run, releases: tuple[Release, Release], arguments: tuple[str, ...], said: str
) -> None:
    result = run("evidence", *(releases[0].short if word == "RELEASE" else word for word in arguments))
    assert result.exit_code == 2
    assert said in result.stderr
