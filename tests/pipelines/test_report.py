"""What pipelines say on their hosts, against a stand-in that keeps issues and comments as the hosts do."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlinfra.pipelines.report import main

SECRET = "ghp-very-secret"
PAGE = 50
MERGE_REQUEST = {
    "iid": 1, "web_url": "http://x/1", "title": "x", "description": None, "state": "opened", "source_branch": "x",
    "target_branch": "main", "source_project_id": 1, "target_project_id": 1, "sha": None,
}  # fmt: skip


class Forge(http.server.ThreadingHTTPServer):
    """Keeps issues and comments; `refuses` is a status that every answer then has."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issues: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.writes = 0
        self.refuses = 0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def add_issue(self, author: str, text: str) -> None:
        number = len(self.issues) + 1
        who = {"id": 7, "login": author, "username": author}
        self.issues.append(
            {"number": number, "iid": number, "user": who, "author": who, "body": text, "description": text,
             "state": "open", "title": "x"}
        )  # fmt: skip

    @property
    def open(self) -> list[str]:
        return [issue["body"] for issue in self.issues if issue["state"] == "open"]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/user"):
            self._answer(200, {"id": 7, "login": "bot", "username": "bot"})
        elif "comments" in parts.path or "notes" in parts.path:
            self._answer(200, self.server.comments)
        elif parts.path.endswith("/issues"):
            start = (int(query.get("page", 1)) - 1) * PAGE
            there = [item for item in self.server.issues if item["state"] == "open"]
            self._answer(200, there[start : start + PAGE], total=len(there))
        else:
            self._answer(200, MERGE_REQUEST)

    def do_POST(self) -> None:
        body = self._body()
        if parts := re.search(r"(comments|notes|graphql)$", self.path):
            if parts[1] == "graphql":
                self._answer(200, {"data": {"viewer": {"databaseId": 7}}})
                return
            number = len(self.server.comments) + 1
            who = {"id": 7, "login": "bot", "username": "bot"}
            self.server.comments.append(
                {"id": number, "html_url": f"http://x/{number}", "body": body["body"], "user": who, "author": who,
                 "system": False, "created_at": "2026-03-01T10:20:30Z"}
            )  # fmt: skip
        else:
            self.server.add_issue("github-actions[bot]" if "/repos/" in self.path else "bot", "")
            self._set(self.server.issues[-1], body)
        self._answer(201, (self.server.comments or self.server.issues)[-1])

    def do_PATCH(self) -> None:
        number = int(self.path.rpartition("/")[2])
        item = (self.server.comments if "comments" in self.path or "notes" in self.path else self.server.issues)[
            number - 1
        ]
        self._set(item, self._body())
        self._answer(200, item)

    def do_PUT(self) -> None:
        self.do_PATCH()

    def _set(self, item: dict[str, Any], body: dict[str, Any]) -> None:
        text = body.get("body", body.get("description"))
        if text is not None:
            item["body"] = item["description"] = text
        if body.get("state") == "closed" or body.get("state_event") == "close":
            item["state"] = "closed"
        item["title"] = body.get("title", item.get("title"))

    def _body(self) -> dict[str, Any]:
        self.server.writes += 0 if self.path.endswith("graphql") else 1
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _answer(self, status: int, value: object, total: int | None = None) -> None:
        if self.server.refuses:
            status, value = self.server.refuses, {"message": "no"}
        self.send_response(status)
        if total is not None:
            self.send_header("X-Total-Count", str(total))
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(params=["github", "gitea", "gitlab"])
def host(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def variables(host: str, forge: Forge) -> dict[str, str]:
    """Return what a job of this host has in its environment."""
    told = {"ENVIRONMENT": "prod", "MLINFRA_GIT_HOST": host}
    if host == "gitlab":
        return told | {
            "CI_API_V4_URL": f"{forge.url}/api/v4", "GITLAB_TOKEN": SECRET, "CI_MERGE_REQUEST_IID": "1",
            "CI_PIPELINE_ID": "9",
        }  # fmt: skip
    api = f"{forge.url}/api/v1" if host == "gitea" else f"{forge.url}/api/v3"
    return told | {"GITHUB_API_URL": api, "GITHUB_TOKEN": SECRET, "PULL_REQUEST": "1", "GITHUB_RUN_ID": "9"}


Report = Callable[..., tuple[int, str]]


@pytest.fixture
def clone(tmp_path: Path, forge: Forge) -> Path:
    folder = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "remote", "add", "origin", f"{forge.url}/acme/platform.git"], check=True)
    return folder


@pytest.fixture
def report(clone: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """Do what a step does, in a clone; return the exit code and what was printed."""

    def run(host: str, what: str, text: str | None, **more: str) -> tuple[int, str]:
        file = clone / "report.md"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        told = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **variables(host, forge), **more}
        with monkeypatch.context() as patch:
            patch.chdir(clone)
            patch.setattr(os, "environ", told)
            patch.setattr(sys, "argv", ["report", what, "report.md"])
            code = main()
        out, said = capsys.readouterr()
        assert out == ""
        assert SECRET not in said
        return code, said

    return run


class TestIssue:
    def test_opened_updated_left_and_closed(self, report: Report, host: str, forge: Forge) -> None:
        assert report(host, "issue", "one differs") == (0, "issue: opened\n")
        assert [text.splitlines()[1:] for text in forge.open] == [["one differs"]]
        assert forge.issues[0]["title"] == "mlinfra: prod is not as it should be"
        assert report(host, "issue", "two differ") == (0, "issue: updated\n")
        assert [text.splitlines()[1:] for text in forge.open] == [["two differ"]]
        writes = forge.writes
        assert report(host, "issue", "two differ") == (0, "issue: unchanged\n")
        assert forge.writes == writes
        assert report(host, "issue", "") == (0, "issue: closed: nothing differs any more\n")
        assert forge.open == []
        assert report(host, "issue", "") == (0, "issue: nothing differs\n")
        assert len(forge.issues) == 1

    def test_each_environment_has_its_own(self, report: Report, host: str, forge: Forge) -> None:
        report(host, "issue", "of prod")
        report(host, "issue", "of dev", ENVIRONMENT="dev")
        report(host, "issue", "of pro", ENVIRONMENT="pro")
        assert sorted(text.splitlines()[1] for text in forge.open) == ["of dev", "of pro", "of prod"]
        report(host, "issue", "", ENVIRONMENT="dev")
        assert sorted(text.splitlines()[1] for text in forge.open) == ["of pro", "of prod"]

    def test_what_somebody_else_wrote_is_left(self, report: Report, host: str, forge: Forge) -> None:
        forged = "<!-- mlinfra issue of prod -->\nforged"
        forge.add_issue("eve", forged)
        assert report(host, "issue", "one differs")[1] == "issue: opened\n"
        assert report(host, "issue", "")[1] == "issue: closed: nothing differs any more\n"
        assert forge.open == [forged]

    def test_found_on_the_second_page(self, report: Report, host: str, forge: Forge) -> None:
        for number in range(PAGE):
            forge.add_issue("eve", f"issue {number}")
        report(host, "issue", "one differs")
        assert report(host, "issue", "two differ")[1] == "issue: updated\n"
        assert len(forge.issues) == PAGE + 1

    def test_a_long_text_is_cut(self, report: Report, host: str, forge: Forge) -> None:
        assert report(host, "issue", "~~~text\n" + "x\n" * 60_000)[0] == 0
        assert len(forge.open[0]) <= 65_536
        assert forge.open[0].count("~~~") == 2

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_host_that_refuses_fails_the_job(self, report: Report, host: str, forge: Forge, status: int) -> None:
        forge.refuses = status
        code, said = report(host, "issue", "one differs")
        assert code == 1
        assert str(status) in said


class TestComment:
    def test_one_that_is_kept_up_to_date(self, report: Report, host: str, forge: Forge) -> None:
        assert report(host, "comment", "first")[0] == 0
        assert report(host, "comment", "second")[0] == 0
        assert report(host, "comment", "of dev", ENVIRONMENT="dev")[0] == 0
        assert [item["body"].splitlines()[1] for item in forge.comments] == ["second", "of dev"]

    def test_an_older_run_changes_nothing(self, report: Report, host: str, forge: Forge) -> None:
        report(host, "comment", "new")
        name = "CI_PIPELINE_ID" if host == "gitlab" else "GITHUB_RUN_ID"
        assert report(host, "comment", "old", **{name: "8"})[0] == 0
        assert [item["body"].splitlines()[1] for item in forge.comments] == ["new"]

    def test_a_pull_request_of_a_fork(self, report: Report, host: str, forge: Forge) -> None:
        forge.refuses = 403
        code, said = report(host, "comment", "text")
        assert code == 0
        assert said

    def test_without_a_pull_request(self, report: Report, host: str, forge: Forge) -> None:
        nothing = {"CI_MERGE_REQUEST_IID": "", "PULL_REQUEST": ""}
        assert report(host, "comment", "x", **nothing) == (0, "comment: there is no pull request\n")


@pytest.mark.parametrize("what", ["comment", "issue"])
def test_a_step_before_that_wrote_nothing(report: Report, forge: Forge, what: str) -> None:
    forge.add_issue("github-actions[bot]", "<!-- mlinfra issue of prod -->\nstays")
    assert report("github", what, None) == (0, f"{what}: nothing was written for it\n")
    assert len(forge.open) == 1


def test_as_a_step_runs_it(clone: Path, forge: Forge) -> None:
    (clone / "report.md").write_text("one differs")
    (clone / "mlinfra").mkdir()
    (clone / "mlinfra" / "__init__.py").write_text("raise SystemExit('the repository is not looked into')\n")
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **variables("github", forge)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mlinfra.pipelines.report", "issue", "report.md"],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "issue: opened\n")
    assert len(forge.open) == 1
