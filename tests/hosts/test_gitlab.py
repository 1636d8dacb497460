"""GitLab by its documentation, with python-gitlab as the judge of what is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlinfra.git import Raced
from mlinfra.hosts import HostError, api
from mlinfra.hosts.gitlab import GitLab
from tests.hosts.fake import serving
from tests.hosts.gitlab_fake import FakeGitLab

OLD, NEW = "a" * 40, "b" * 40
BRANCH = "mlinfra/promote/prod"
PROJECT = "acme/team/platform"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "FIRST_WAIT_SECONDS", 0.0)


@pytest.fixture
def fake() -> FakeGitLab:
    return FakeGitLab(heads={BRANCH: NEW})


@pytest.fixture
def host(fake: FakeGitLab) -> Iterator[GitLab]:
    with serving(fake) as url:
        yield GitLab.at(url, PROJECT, {"GITLAB_TOKEN": "glpat-secret"})


def test_a_merge_request_is_opened_once_and_then_adopted(host: GitLab, fake: FakeGitLab) -> None:
    first = host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    assert (first.created, first.head, first.state, first.number) == (True, NEW, "open", 1)
    again = host.open_or_adopt(BRANCH, "main", NEW, "new title", "body")
    assert (again.created, again.number) == (False, 1)
    assert fake.merges[0]["title"] == "new title"


def test_a_merged_one_is_adopted_and_that_of_a_fork_is_not(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, NEW, state="merged")
    fake.add_merge(BRANCH, NEW, state="closed")
    fake.add_merge(BRANCH, NEW, fork=True)
    found = host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    assert (found.number, found.state) == (1, "merged")


def test_approvals_are_those_given_after_the_last_push(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, OLD)
    assert host.approvals(1) == []
    fake.approve(2)
    assert host.approvals(1) == ["user2"]
    fake.push(NEW)
    fake.add_note("approved this merge request", by=2)  # written by hand
    fake.approve(3)
    assert host.approvals(1) == ["user3"]
    assert host.get(1).approvals == 1


def test_a_comment_is_kept_in_place(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, NEW)
    url = host.comment_sticky(1, "plan/prod", 1, "first")
    mine = fake.notes[0]
    assert url == f"{fake.merges[0]['web_url']}#note_{mine['id']}"
    fake.add_note(mine["body"].replace("revision=1", "revision=9"), by=666)
    fake.add_note(mine["body"], by=fake.me)
    assert host.comment_sticky(1, "plan/prod", 2, "second") == url
    assert [note["body"].partition("\n")[2] for note in fake.notes] == ["second", "first"]


def test_a_token_that_may_only_read_is_a_notice(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, NEW)
    fake.forbidden = True
    assert host.comment_sticky(1, "plan", 1, "text") is None
    with pytest.raises(HostError, match="insufficient_scope") as caught:
        host.close(1)
    assert "the scope api" in caught.value.remedy


def test_statuses(host: GitLab, fake: FakeGitLab) -> None:
    for state in ("pending", "pending", "success", "failure", "error"):
        host.set_status(NEW, f"mlinfra/{state}", state, "text", None)
    assert [status["state"] for status in fake.statuses] == ["pending", "success", "failed", "failed"]


def test_merging(host: GitLab, fake: FakeGitLab) -> None:
    host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    with pytest.raises(Raced):
        host.merge(1, OLD)
    with pytest.raises(HostError, match="SHA does not match"):
        host._merge(1, OLD, False)
    fake.green = False
    with pytest.raises(HostError, match="is not merged"):
        host.merge(1, NEW)
    assert host.merge(1, NEW, when_green=True).state == "open"
    fake.green = True
    assert host.merge(1, NEW).state == "merged"
    host.close(1)
    assert host.get(1).state == "merged"


def test_a_conflict_is_told(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, NEW, has_conflicts=True, detailed_merge_status="conflict")
    assert host.get(1).mergeable is False
    with pytest.raises(HostError, match="conflicts with main"):
        host.merge(1, NEW)


def test_closing(host: GitLab, fake: FakeGitLab) -> None:
    fake.add_merge(BRANCH, NEW)
    host.close(1)
    assert host.get(1).state == "closed"


def test_the_token_of_a_job_has_a_header_of_its_own() -> None:
    fake = FakeGitLab()
    with serving(fake) as url:
        host = GitLab.at(url, PROJECT, {"CI_JOB_TOKEN": "job"})
        with pytest.raises(HostError, match="does not accept the token"):
            host.get(1)
    assert fake.asked[0].headers["job-token"] == "job"
    assert "authorization" not in fake.asked[0].headers
