"""GitHub by the description that it publishes of its own API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openapi_core.exceptions import OpenAPIError

from mlinfra.git import Raced
from mlinfra.hosts import HostError, api
from mlinfra.hosts.github import GitHub
from tests.hosts.fake import serving
from tests.hosts.github.fake import FakeGitHub, a

OLD, NEW = "a" * 40, "b" * 40
BRANCH = "mlinfra/promote/prod"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "FIRST_WAIT_SECONDS", 0.0)


@pytest.fixture
def fake() -> FakeGitHub:
    return FakeGitHub(heads={BRANCH: NEW})


@pytest.fixture
def host(fake: FakeGitHub) -> Iterator[GitHub]:
    with serving(fake) as url:
        yield GitHub.at(url, "acme/platform", {"GH_TOKEN": "ghp_secret"})


def test_a_pull_request_is_opened_once_and_then_adopted(host: GitHub, fake: FakeGitHub) -> None:
    first = host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    assert (first.created, first.head, first.state, first.approvals) == (True, NEW, "open", 0)
    again = host.open_or_adopt(BRANCH, "main", NEW, "new title", "body")
    assert (again.created, again.number) == (False, first.number)
    assert fake.pulls[0]["title"] == "new title"
    writes = [asked.method for asked in fake.asked if asked.method != "GET"]
    host.open_or_adopt(BRANCH, "main", NEW, "new title", "body")
    assert [asked.method for asked in fake.asked if asked.method != "GET"] == writes == ["POST", "PATCH"]


def test_what_somebody_else_opened_meanwhile_is_adopted(
    host: GitHub, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add_pull(BRANCH, NEW)
    first = iter([None])
    monkeypatch.setattr(
        host, "_listed", lambda branch, base: [] if next(first, 1) is None else GitHub._listed(host, branch, base)
    )
    found = host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    assert (found.number, found.created) == (1, False)


def test_open_comes_before_merged_and_merged_before_newest(host: GitHub, fake: FakeGitHub) -> None:
    merged = fake.add_pull(BRANCH, NEW, state="closed", merged_at="2026-01-01T00:00:00Z")
    fake.add_pull(BRANCH, NEW, state="closed")
    fake.add_pull(BRANCH, OLD, state="closed")
    fake.add_pull(BRANCH, NEW, fork=True)
    fake.add_pull(BRANCH, NEW, base="other")
    found = host.open_or_adopt(BRANCH, "main", NEW, "title", "body")
    assert (found.number, found.state) == (merged["number"], "merged")
    opened = fake.add_pull(BRANCH, OLD)
    assert host.open_or_adopt(BRANCH, "main", NEW, "title", "body").number == opened["number"]


def test_approvals_are_the_last_word_of_members_on_the_present_head(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW)
    for number, (login, state, commit, association) in enumerate(
        [
            ("bob", "CHANGES_REQUESTED", OLD, "MEMBER"),
            ("bob", "APPROVED", NEW, "MEMBER"),
            ("bob", "COMMENTED", NEW, "MEMBER"),
            ("cy", "APPROVED", OLD, "OWNER"),
            ("dan", "APPROVED", NEW, "COLLABORATOR"),
            ("dan", "DISMISSED", NEW, "COLLABORATOR"),
            ("eve", "APPROVED", NEW, "NONE"),
            ("flo", "APPROVED", NEW, "CONTRIBUTOR"),
        ]
    ):
        user = fake.user(number, login)
        review = a("pull-request-review", user=user, state=state, commit_id=commit, author_association=association)
        fake.reviews.append(review)
    fake.reviews.append(a("pull-request-review", user=None, state="APPROVED", commit_id=NEW))
    assert host.approvals(1) == ["bob"]
    assert host.get(1).approvals == 1


@pytest.mark.parametrize("of_workflow", [False, True])
def test_a_comment_is_kept_in_place(host: GitHub, fake: FakeGitHub, of_workflow: bool) -> None:
    fake.of_workflow = of_workflow
    url = host.comment_sticky(1, "plan/prod", 1, "first")
    fake.add_comment(fake.comments[0]["body"].replace("revision=1", "revision=9"), by=666)
    assert host.comment_sticky(1, "plan/prod", 2, "second") == url
    assert [comment["body"].partition("\n")[2] for comment in fake.comments] == ["second", "first"]
    before = len([asked for asked in fake.asked if asked.method in ("POST", "PATCH") and asked.path != "/graphql"])
    host.comment_sticky(1, "plan/prod", 3, "second")
    host.comment_sticky(1, "plan/prod", 1, "older")
    after = len([asked for asked in fake.asked if asked.method in ("POST", "PATCH") and asked.path != "/graphql"])
    assert after == before


def test_of_several_first_comments_the_oldest_stays(host: GitHub, fake: FakeGitHub) -> None:
    host.comment_sticky(1, "plan", 1, "first")
    fake.add_comment(fake.comments[0]["body"])
    host.comment_sticky(1, "plan", 2, "second")
    assert [comment["id"] for comment in fake.comments] == [1]


def test_a_token_that_may_only_read_is_a_notice(host: GitHub, fake: FakeGitHub) -> None:
    fake.read_only = True
    fake.add_pull(BRANCH, NEW)
    assert host.comment_sticky(1, "plan", 1, "text") is None
    with pytest.raises(HostError, match="Resource not accessible by integration") as caught:
        host.close(1)
    assert "commit statuses" in caught.value.remedy


def test_statuses(host: GitHub, fake: FakeGitHub) -> None:
    for state in ("pending", "success", "failure", "error"):
        host.set_status(NEW, "mlinfra/plan", state, "x" * 141, "https://ci.example.com")
    assert [len(status["description"]) for status in fake.statuses] == [140] * 4


def test_merging(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW)
    with pytest.raises(Raced):
        host.merge(1, OLD)
    fake.blocked = "At least 1 approving review is required by reviewers with write access."
    with pytest.raises(HostError, match="At least 1 approving review"):
        host.merge(1, NEW)
    fake.blocked = ""
    fake.allowed = ("rebase",)
    fake.unknown_for = 3
    assert host.merge(1, NEW).state == "merged"
    assert [asked.json for asked in fake.asked if asked.method == "PUT"][-1] == {"sha": NEW, "merge_method": "rebase"}
    assert host.merge(1, NEW).state == "merged"
    with pytest.raises(Raced):
        host.merge(1, OLD)


def test_the_host_itself_guards_the_head(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW)
    with pytest.raises(HostError, match="Head branch was modified"):
        host._merge(1, OLD, False)


def test_merging_when_it_is_green(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW)
    assert host.merge(1, NEW, when_green=True).state == "open"
    variables = next(asked.json for asked in fake.asked if asked.path == "/graphql")["variables"]
    assert variables == {"pull": "PR_1", "head": NEW, "method": "MERGE"}
    fake.waiting = False
    assert host.merge(1, NEW, when_green=True).state == "merged"


def test_a_conflict_is_told(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW, mergeable=False)
    fake.unknown_for = 2
    assert host.get(1).mergeable is False
    fake.blocked = "Pull Request has merge conflicts"
    with pytest.raises(HostError, match="conflicts with main"):
        host.merge(1, NEW)


def test_closing(host: GitHub, fake: FakeGitHub) -> None:
    fake.add_pull(BRANCH, NEW)
    host.close(1)
    host.close(1)
    assert host.get(1).state == "closed"
    assert len([asked for asked in fake.asked if asked.method == "PATCH"]) == 1


def test_the_description_catches_what_is_wrong(fake: FakeGitHub) -> None:
    from tests.hosts.fake import Asked

    head = {"authorization": "Bearer ghp_secret", "content-type": "application/json"}
    for method, path, body in (
        ("POST", f"/repos/acme/platform/statuses/{NEW}", b'{"state": "done"}'),
        ("POST", "/repos/acme/platform/issues/1/comments", b"{}"),
        ("PATCH", "/repos/acme/platform/issues/comments/x", b'{"body": "x"}'),
        ("GET", "/repos/acme/platform/pull/1", b""),
    ):
        with pytest.raises(OpenAPIError):
            fake(Asked(method, path, {}, head, body))
