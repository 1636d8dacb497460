"""What a change of the lock is called, and who is named for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlinfra.history.events import Event, Kind
from mlinfra.history.locks import LockCommit, events_of, pull_request

FILE = "environments/prod.lock.yaml"
A, B, C = (digit * 64 for digit in "abc")
RELEASES = [f"sha256:{digits}" for digits in (A, B, C)]
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOLD = ", hold: {reason: too slow, owner: ann, since: '2026-11-01T12:00:00+00:00'}"


def lock(release: str, previous: str | None = None, more: str = "", endpoint: str = "api") -> bytes:
    before = f", previous: '{previous}'" if previous else ""
    return f"{endpoint}: {{release: '{release}'{before}{more}}}\n".encode()


def commits(*contents: bytes | None) -> list[LockCommit]:
    return [
        LockCommit(f"{number:040x}", f"author {number}", START + timedelta(hours=number), f"Subject {number}", "", each)
        for number, each in enumerate(contents)
    ]


def told(*contents: bytes | None) -> list[Event]:
    return list(events_of(commits(*contents), FILE, RELEASES))


def brief(events: list[Event]) -> list[tuple[str, str | None, str | None]]:
    return [
        (event.kind.value, event.previous and event.previous[:1], event.release and event.release[:1])
        for event in events
    ]


def test_promotions() -> None:
    found = told(lock(A), lock(B, A), lock(C, B))
    assert brief(found) == [("promotion", None, "a"), ("promotion", "a", "b"), ("promotion", "b", "c")]
    assert (found[1].who, found[1].why, found[1].commit) == ("author 1", "Subject 1", f"{1:040x}")
    assert found[1].at == START + timedelta(hours=1)
    assert (found[1].seconds, found[1].note, found[1].merged_by) == (None, "", None)


def test_a_swap_is_a_rollback_and_to_take_that_back_is_a_promotion() -> None:
    found = told(lock(B, A), lock(A, B), lock(B, A), lock(A, B))
    assert brief(found)[1:] == [("rollback", "b", "a"), ("promotion", "a", "b"), ("rollback", "b", "a")]


def test_a_rollback_is_seen_when_the_names_are_of_another_length() -> None:
    assert brief(told(lock(B, A[:12]), lock(f"sha256:{A}", B[:8])))[1] == ("rollback", "b", "s")


def test_an_older_release_with_a_hold_is_a_rollback_and_without_one_a_promotion() -> None:
    history = (lock(A), lock(B, A), lock(C, B))
    assert [event.kind for event in told(*history, lock(A, C, HOLD))[3:]] == [Kind.ROLLBACK, Kind.HOLD]
    assert [event.kind for event in told(*history, lock(A, C))[3:]] == [Kind.PROMOTION]


def test_hold_and_resume() -> None:
    found = told(lock(A), lock(A, None, HOLD), lock(A))
    assert brief(found)[1:] == [("hold", None, "a"), ("resume", None, "a")]
    assert (found[1].who, found[1].why, found[1].note) == ("author 1", "too slow", "ann holds it")


def test_what_else_is_edited_is_told() -> None:
    warm = ", warm_until: '2026-11-02T12:00:00+00:00'"
    found = told(lock(B, A), lock(B, A, warm), lock(B), lock(B[:12]), lock(B, C), None)
    assert [event.kind for event in found[1:]] == [Kind.EDIT] * 5
    assert [event.note for event in found[1:]] == [
        "the previous release is kept warm until 2026-11-02T12:00:00+00:00",
        "aaaaaaaaaaaa is no longer kept",
        "the same release is written in another way",
        "the previous release is cccccccccccc instead of none",
        "was taken out of the lock",
    ]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("d" * 64, "dddddddddddd names no release that is known here"),
        ("not hex", "not hex is no digest"),
        ("abc", "abc is no digest"),
    ],
)
def test_a_bad_digest_is_said(name: str, note: str) -> None:
    [first, second] = told(lock(A), lock(name, A))
    assert (second.kind, second.release, second.note) == (Kind.PROMOTION, name, note)
    assert first.note == ""


@pytest.mark.parametrize("bad", [b"api: [", b"\xff\xfe", b"- a\n", b"api: {release: 5}\n", b"\x00"])
def test_what_is_no_lock_is_told_and_what_follows_is_compared_with_what_was_before(bad: bytes) -> None:
    found = told(lock(A), bad, lock(B, A))
    assert brief(found) == [("promotion", None, "a"), ("edit", None, None), ("promotion", "a", "b")]
    assert FILE in found[1].note


def test_a_broken_endpoint_hides_no_other() -> None:
    both = lock(A) + lock(A, endpoint="web")
    found = told(both, b"api: {release: 5}\n" + lock(B, A, endpoint="web"))
    assert [(event.kind, event.endpoint) for event in found[2:]] == [(Kind.EDIT, None), (Kind.PROMOTION, "web")]


def test_what_a_shallow_clone_begins_with_is_no_event() -> None:
    from dataclasses import replace

    first, second = commits(lock(A), lock(B, A))
    found = list(events_of([replace(first, known=False), second], FILE, RELEASES))
    assert brief(found) == [("promotion", "a", "b")]


def test_a_merge_names_who_wrote_it_and_who_merged_it() -> None:
    from dataclasses import replace

    first, other, written, merge = commits(lock(A), lock(C, A), lock(B, A), lock(B, A))
    merge = replace(merge, subject="Merge pull request #12 from x/y", brought=[other, written])
    [_, found] = events_of([first, merge], FILE, RELEASES)
    assert (found.who, found.merged_by, found.why) == ("author 2", "author 3", "Subject 2")
    assert (found.commit, found.at, found.pull_request) == (merge.sha, merge.time, "#12")


@pytest.mark.parametrize(
    ("subject", "body", "number"),
    [
        ("Merge pull request #12 from x/y", "", "#12"),
        ("Promote api to prod (#7)", "", "#7"),
        ("Merge branch 'x' into 'main'", "Promote\n\nSee merge request group/project!34", "!34"),
        ("Merge pull request 'Promote (1)' (#5) from promote into main", "", "#5"),
        ("Fix #3 for good", "", None),
        ("", "", None),
    ],
)
def test_pull_requests_of_the_hosts(subject: str, body: str, number: str | None) -> None:
    assert pull_request(LockCommit("0" * 40, "me", START, subject, body, None)) == number
