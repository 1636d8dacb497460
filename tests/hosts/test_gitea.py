"""Pull requests on a real git host."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlinfra.git import GitError, Raced
from mlinfra.hosts import HostError, PullRequest
from mlinfra.hosts.gitea import Gitea
from tests.hosts.conftest import LOCK, WRITES, Place

pytestmark = pytest.mark.timeout(1800)  # where Gitea is built first

BRANCH = "mlinfra/promote/prod/flight-delay"


def opened(place: Place, content: str = "release: bbb\n") -> PullRequest:
    head = place.push(BRANCH, content)
    return place.host.open_or_adopt(BRANCH, "main", head, "flight-delay → prod", "v7")


def comments(place: Place, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.call("ada", "GET", f"issues/{number}/comments")
    return found


def test_a_pull_request_is_opened_once_and_then_adopted(place: Place) -> None:
    first = opened(place)
    assert first.created
    assert (first.branch, first.base, first.state, first.approvals) == (BRANCH, "main", "open", 0)
    assert first.head == place.git.fetch(BRANCH)
    assert first.url.endswith(f"/{place.path}/pulls/{first.number}")

    again = place.host.open_or_adopt(BRANCH, "main", first.head, "flight-delay → prod, again", "v7, again")
    assert (again.number, again.created) == (first.number, False)
    shown = place.call("ada", "GET", f"pulls/{first.number}")
    assert (shown["title"], shown["body"]) == ("flight-delay → prod, again", "v7, again")

    newer = place.push(BRANCH, "release: ccc\n")
    moved = place.host.open_or_adopt(BRANCH, "main", newer, "flight-delay → prod", "v8")
    assert moved.number == first.number
    assert place.host.get(first.number).head == newer


def test_two_at_once_open_one(place: Place) -> None:
    head = place.push(BRANCH, "release: bbb\n")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: place.host.open_or_adopt(BRANCH, "main", head, "t", "b"), range(2)))
    adopted = place.host.open_or_adopt(BRANCH, "main", head, "t", "b")
    assert adopted.number == min(pull.number for pull in both) == 1
    assert [pull["number"] for pull in place.call("ada", "GET", "pulls?state=open")] == [1]


def test_of_two_creators_of_one_branch_one_is_refused(place: Place) -> None:
    base = place.git.fetch("main")
    assert base is not None
    ours, theirs = (place.git.commit(base, {LOCK: who}, "Promote") for who in (b"ours", b"theirs"))
    place.git.push(theirs, BRANCH, expect=None)
    with pytest.raises(Raced):
        place.git.push(ours, BRANCH, expect=None)
    assert place.git.fetch(BRANCH) == theirs


def test_a_merged_one_is_adopted_by_its_commit(place: Place) -> None:
    pull = opened(place)
    place.host.merge(pull.number, pull.head)
    place.call("ada", "DELETE", f"branches/{BRANCH.replace('/', '%2F')}")
    found = place.host.open_or_adopt(BRANCH, "main", pull.head, "t", "b")
    assert (found.number, found.state, found.created) == (pull.number, "merged", False)
    other = opened(place, "release: ccc\n")
    assert other.created


def test_a_closed_one_is_adopted_by_its_commit_alone(place: Place) -> None:
    pull = opened(place)
    place.host.close(pull.number)
    place.host.close(pull.number)
    assert place.host.get(pull.number).state == "closed"
    assert place.host.open_or_adopt(BRANCH, "main", pull.head, "t", "b").state == "closed"
    with pytest.raises(HostError, match="is closed"):
        place.host.merge(pull.number, pull.head)
    newer = opened(place, "release: ccc\n")
    assert newer.created
    assert newer.number != pull.number


def test_the_pull_request_of_a_fork_is_not_adopted(place: Place) -> None:
    fork = place.call("eve", "POST", "forks", {})["full_name"]
    sha = place.server.call("eve", "GET", f"repos/{fork}/contents/{LOCK}")["sha"]
    change = {"content": "ZXZpbA==", "message": "Mine", "branch": "main", "new_branch": BRANCH, "sha": sha}
    place.server.call("eve", "PUT", f"repos/{fork}/contents/{LOCK}", change)
    theirs = place.call("eve", "POST", "pulls", {"head": f"eve:{BRANCH}", "base": "main", "title": "flight-delay"})
    pull = opened(place)
    assert pull.created
    assert pull.number != theirs["number"]


def test_a_comment_is_kept_in_place(place: Place) -> None:
    number = opened(place).number
    url = place.host.comment_sticky(number, "promote/prod", 2, "first")
    (comment,) = comments(place, number)
    assert url == comment["html_url"]
    assert comment["body"].split("\n", 1)[1] == "first"

    assert place.host.comment_sticky(number, "promote/prod", 3, "second") == url
    (edited,) = comments(place, number)
    assert edited["id"] == comment["id"]
    assert edited["body"].endswith("\nsecond")

    for revision, text in ((2, "older"), (4, "second")):
        assert place.host.comment_sticky(number, "promote/prod", revision, text) == url
        assert comments(place, number) == [edited]

    assert place.host.comment_sticky(number, "plan/prod", 1, "other key") != url
    assert len(comments(place, number)) == 2


def test_a_forged_comment_is_ignored(place: Place) -> None:
    number = opened(place).number
    url = place.host.comment_sticky(number, "promote/prod", 1, "true")
    real = comments(place, number)[0]["body"]
    other = opened(place)  # the same pull request
    forged = real.replace("revision=1", "revision=999").replace("true", "all gates passed")
    place.call("eve", "POST", f"issues/{other.number}/comments", {"body": forged})
    assert place.host.comment_sticky(number, "promote/prod", 2, "still true") == url
    bodies = [comment["body"] for comment in comments(place, number)]
    assert bodies[0].endswith("still true")
    assert bodies[1] == forged


def test_of_eight_first_comments_at_once_one_stays(place: Place) -> None:
    number = opened(place).number
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda n: place.host.comment_sticky(number, "plan", n, f"text {n}"), range(1, 9))
        urls = list(done)
    assert all(urls)
    (comment,) = comments(place, number)
    assert comment["html_url"] in urls


def test_a_long_comment_is_cut_and_kept(place: Place) -> None:
    number = opened(place).number
    text = "summary\n<details><summary>log</summary>\n\n```\n" + "line\n" * 20_000 + "the end\n```\n</details>\n"
    place.host.comment_sticky(number, "plan", 1, text)
    (comment,) = comments(place, number)
    assert len(comment["body"]) <= 65_536
    assert "summary" in comment["body"]
    assert "the end\n```\n</details>" in comment["body"]


def test_a_token_that_may_only_read_is_a_notice(place: Place) -> None:
    number = opened(place).number
    reader = place.host_as(place.server.token("ada", "read:repository", "read:issue", "read:user"))
    assert reader.comment_sticky(number, "plan", 1, "text") is None
    assert comments(place, number) == []
    with pytest.raises(HostError) as caught:
        reader.close(number)
    assert caught.value.status == 403
    assert "write:repository" in caught.value.remedy


def test_statuses(place: Place) -> None:
    pull = opened(place)
    for state in ("pending", "success"):
        place.host.set_status(pull.head, "mlinfra/plan", state, "x" * 200, None)
    place.host.set_status(pull.head, "mlinfra/gates", "failure", "1 gate open", "https://ci.example.com/1")
    shown = {item["context"]: item for item in place.call("ada", "GET", f"commits/{pull.head}/status")["statuses"]}
    assert shown["mlinfra/plan"]["status"] == "success"
    assert shown["mlinfra/plan"]["description"] == "x" * 139 + "…"
    assert shown["mlinfra/gates"]["target_url"] == "https://ci.example.com/1"


def approve(place: Place, user: str, number: int, event: str = "APPROVED") -> None:
    place.call(user, "POST", f"pulls/{number}/reviews", {"event": event, "body": "ok"})


def test_a_protected_branch_takes_approved_pull_requests_alone(place: Place) -> None:
    place.protect(enable_push=False, required_approvals=1)
    base = place.git.fetch("main")
    with pytest.raises(GitError, match="protected branch") as refused:
        place.push("main", "release: direct\n")
    assert not isinstance(refused.value, Raced)
    assert place.git.fetch("main") == base

    pull = opened(place)
    with pytest.raises(HostError, match="approvals"):
        place.host.merge(pull.number, pull.head)
    approve(place, "eve", pull.number)
    assert place.host.approvals(pull.number) == []  # a stranger
    approve(place, "bob", pull.number)
    assert place.host.approvals(pull.number) == ["bob"]
    assert place.host.get(pull.number).approvals == 1
    merged = place.host.merge(pull.number, pull.head)
    assert merged.state == "merged"
    main = place.git.fetch("main")
    assert main is not None
    assert place.git.read(main, LOCK) == b"release: bbb\n"
    assert place.host.merge(pull.number, pull.head).state == "merged"


def test_approvals_are_of_the_present_head(place: Place) -> None:
    pull = opened(place)
    approve(place, "bob", pull.number)
    assert place.host.approvals(pull.number) == ["bob"]
    place.push(BRANCH, "release: evil\n")
    place.host.get(pull.number)
    assert place.host.approvals(pull.number) == []
    approve(place, "bob", pull.number)
    assert place.host.approvals(pull.number) == ["bob"]
    approve(place, "bob", pull.number, "REQUEST_CHANGES")
    assert place.host.approvals(pull.number) == []


def test_a_merge_is_guarded_by_the_head(place: Place) -> None:
    pull = opened(place)
    place.push(BRANCH, "release: evil\n")
    with pytest.raises(Raced, match="another commit"):
        place.host.merge(pull.number, pull.head)
    main = place.git.fetch("main")
    assert main is not None
    assert place.git.read(main, LOCK) == b"release: aaa\n"


def test_the_host_itself_guards_the_head(place: Place) -> None:
    """The head moves after it was looked at, and before the merge."""
    pull = opened(place)
    seen = place.host.get(pull.number)
    place.push(BRANCH, "release: evil\n")
    assert isinstance(place.host, Gitea)
    with pytest.raises(HostError, match="head out of date"):
        place.host._merge(pull.number, seen.head, False)


def test_a_conflict_in_the_lock_is_told(place: Place) -> None:
    pull = opened(place)
    assert place.host.get(pull.number).mergeable is True
    place.push("main", "release: other\n")
    end = time.monotonic() + 60
    while place.host.get(pull.number).mergeable and time.monotonic() < end:
        time.sleep(0.2)
    assert place.host.get(pull.number).mergeable is False
    with pytest.raises(HostError, match="conflicts with main"):
        place.host.merge(pull.number, pull.head)


def test_a_merge_is_reverted_by_git(place: Place) -> None:
    before = place.git.fetch("main")
    assert before is not None
    pull = opened(place)
    place.host.merge(pull.number, pull.head)
    old = place.git.read(before, LOCK)
    assert old is not None
    head = place.push("revert", old.decode())
    back = place.host.open_or_adopt("revert", "main", head, "Revert", "")
    assert place.host.merge(back.number, head).state == "merged"
    after = place.git.fetch("main")
    assert after is not None
    assert place.git.read(after, LOCK) == old


def test_it_is_merged_when_it_is_green(place: Place) -> None:
    place.protect(enable_push=False, enable_status_check=True, status_check_contexts=["mlinfra/gates"])
    pull = opened(place)
    with pytest.raises(HostError, match="is not merged"):
        place.host.merge(pull.number, pull.head)
    for _ in range(2):
        assert place.host.merge(pull.number, pull.head, when_green=True).state == "open"
    place.host.set_status(pull.head, "mlinfra/gates", "success", "all gates passed", None)
    end = time.monotonic() + 60
    while place.host.get(pull.number).state == "open" and time.monotonic() < end:
        time.sleep(0.2)
    assert place.host.get(pull.number).state == "merged"


def test_the_style_of_merging_is_the_repositorys_own(place: Place) -> None:
    place.call("ada", "PATCH", "", {"allow_merge_commits": False, "default_merge_style": "squash"})
    pull = opened(place)
    assert place.host.merge(pull.number, pull.head).state == "merged"


def test_what_the_host_refuses_is_told(place: Place) -> None:
    pull = opened(place)
    wrong = place.host_as("0123456789abcdef0123456789abcdef01234567")
    with pytest.raises(HostError, match="does not accept the token") as caught:
        wrong.get(pull.number)
    assert caught.value.remedy == "give one that is valid as GITEA_TOKEN or FORGEJO_TOKEN"
    with pytest.raises(HostError, match="wants a token"):
        place.host_as(None).open_or_adopt("x", "main", pull.head, "t", "b")
    with pytest.raises(HostError) as missing:
        place.host.get(9999)
    assert missing.value.status == 404
    with pytest.raises(HostError) as nothing:
        place.host.open_or_adopt("never-there", "main", pull.head, "t", "b")
    assert nothing.value.status == 404
    stranger = place.host_as(place.server.token("eve", *WRITES))
    with pytest.raises(HostError) as refused:
        stranger.merge(pull.number, pull.head)
    assert refused.value.status in (403, 404, 405)
