"""The lock is edited in place: what is not about the release stays, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from mlinfra.problems import MlinfraError, Problems
from mlinfra.promotion.lock_file import promoted, repinned
from mlinfra.releases import Pin, parse_lock
from mlinfra.yaml_file import read_yaml

OLD, OLDER, NEW = (f"sha256:{letter * 64}" for letter in "abc")
UNTIL = "2026-03-01T10:20:30+00:00"
NAME = "environments/prod.lock.yaml"


def pins(text: str) -> dict[str, Pin]:
    found, problems = parse_lock(read_yaml(text, NAME))
    assert problems == []
    return found


def swapped(text: str, **lines: Any) -> str:
    """Return the lock as a rollback leaves it."""
    pin = pins(text)["api"]
    back = {**pin.model_dump(), "release": pin.previous, "previous": pin.release, **lines}
    return repinned(text, NAME, {"api": Pin.model_validate(back)})


def test_comments_quotes_and_other_endpoints_stay() -> None:
    text = f"""# reviewed by the team
api:
  # what serves
  release: {OLD}  # v7, auc 0.699
  previous: '{OLDER}' # v6
  hold: {{reason: freeze, owner: ops, since: '2026-02-01T00:00:00+00:00'}}

# not ours
other: {{release: "{OLDER}"}}  # kept
"""
    assert (
        promoted(text, NAME, "api", NEW, UNTIL)
        == f"""# reviewed by the team
api:
  # what serves
  release: {NEW}
  previous: {OLD}  # v7, auc 0.699
  warm_until: "{UNTIL}"
  hold: {{reason: freeze, owner: ops, since: '2026-02-01T00:00:00+00:00'}}

# not ours
other: {{release: "{OLDER}"}}  # kept
"""
    )


def test_the_first_promotion_begins_a_lock() -> None:
    assert promoted("", NAME, "api", NEW, UNTIL) == f"api:\n  release: {NEW}\n"
    text = f"# why\nother:\n  release: {OLD}"
    assert promoted(text, NAME, "api", NEW, UNTIL) == f"{text}\napi:\n  release: {NEW}\n"
    assert promoted("{}\n", NAME, "api", NEW, UNTIL) == f"{{api: {{release: {NEW}}}}}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"api:\n    release: {OLD}\n",
        f"api:\r\n  release: {OLD}\r\n",
        f"api: {{release: {OLD}}}",
        f"{{api: {{release: {OLD}, previous: {OLDER}}}}}\n",
        f"api:\n  previous: {OLDER}\n  warm_until: 2026-01-01T00:00:00Z\n  release: {OLD} # now\n",
    ],
)
def test_however_it_is_written(text: str) -> None:
    after = promoted(text, NAME, "api", NEW, UNTIL)
    assert pins(after) == {"api": Pin(release=NEW, previous=OLD, warm_until=UNTIL)}
    assert ("\r\n" in after) == ("\r\n" in text)
    assert pins(swapped(after))["api"].release == OLD


def test_a_rollback_swaps_and_holds_and_a_resume_takes_the_hold_away() -> None:
    text = f"api:\n  release: {OLD}  # v7\n  previous: {OLDER[7:15]}  # v6\n  warm_until: '{UNTIL}'\n\n# end\n"
    hold = {"reason": 'it is "slow": 81 ms', "owner": "ops", "since": UNTIL}
    held = swapped(text, release=OLDER, warm_until=None, hold=hold)
    assert held == (
        f"api:\n  release: {OLDER}  # v6\n  previous: {OLD}  # v7\n"
        f'  hold: {{reason: "it is \\"slow\\": 81 ms", owner: "ops", since: "{UNTIL}"}}\n\n# end\n'
    )
    resumed = repinned(held, NAME, {"api": pins(held)["api"].model_copy(update={"hold": None})})
    assert resumed == f"api:\n  release: {OLDER}  # v6\n  previous: {OLD}  # v7\n\n# end\n"


@pytest.mark.parametrize(
    "text",
    [
        f"api: {{release: {OLD}, previous: {OLDER}, hold: {{reason: r, owner: o, since: {UNTIL}}}}}\n",
        f"api: {{hold: {{reason: r, owner: o, since: {UNTIL}}}, release: {OLD}, previous: {OLDER}}}\n",
        f"api:\n  hold:\n    reason: r\n    owner: o\n    since: {UNTIL}\n  # why\n  release: {OLD}\n",
        f"api:\n  release: {OLD}\n  hold:\n    owner: o\n    reason: r\n    since: {UNTIL}\n\n# end\n",
    ],
)
def test_a_hold_goes_however_it_is_written(text: str) -> None:
    free = repinned(text, NAME, {"api": pins(text)["api"].model_copy(update={"hold": None})})
    assert "hold" not in free
    assert ("# why" in free, "\n\n# end\n" in free) == ("# why" in text, "\n\n# end\n" in text)


def test_what_cannot_be_edited_is_refused_with_a_way_out() -> None:
    text = f"one: &pin\n  release: {OLD}\napi: *pin\n"
    with pytest.raises(MlinfraError, match="cannot be edited in place") as caught:
        promoted(text, NAME, "api", NEW, UNTIL)
    assert "without anchors" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<<<<<<< HEAD\napi:\n  release: {OLD}\n=======\n", "is not YAML"),
        ("api:\n  previous: abcdef12\n", "api.release: is missing"),
        ("api:\n  release: 12345678\n", "is no text"),
        (f"api:\n  release: {OLD}\n  relese: {NEW}\n", "did you mean 'release'?"),
    ],
)
def test_a_lock_that_was_edited_by_hand_says_where(text: str, said: str) -> None:
    with pytest.raises(Problems, match=f"{NAME}:[0-9]+: ") as caught:
        promoted(text, NAME, "api", NEW, UNTIL)
    assert said in caught.value.message


digests = some.text("0123456789abcdef", min_size=64, max_size=64).map(lambda digits: f"sha256:{digits}")
comments = some.sampled_from(["", "  # v7, auc 0.699", " #", "  # größer"])
own_lines = some.sampled_from(["", "  # a line of its own\n", "\n"])


@some.composite
def locks(draw: some.DrawFn) -> str:
    """A lock of up to four endpoints, `api` among them, written in different ways."""
    text = draw(some.sampled_from(["", "# reviewed\n", "---\n"]))
    for name in draw(some.permutations(["api", "one", "two", "three"])):
        quote = draw(some.sampled_from(["", "'", '"']))
        release, previous = draw(digests), draw(some.none() | digests)
        if draw(some.booleans()) and name != "api":
            text += f"{name}: {{release: {quote}{release}{quote}}}{draw(comments)}\n"
            continue
        text += f"{name}:{draw(comments)}\n{draw(own_lines)}  release: {quote}{release}{quote}{draw(comments)}\n"
        if previous is not None:
            text += f"{draw(own_lines)}  previous: {previous}{draw(comments)}\n"
        if draw(some.booleans()):
            text += "  hold: {reason: freeze, owner: ops, since: '2026-02-01T00:00:00+00:00'}\n"
    return text


@settings(deadline=None, max_examples=60)
@given(text=locks(), release=digests)
def test_after_promote_and_swap_the_lock_is_what_it_was(text: str, release: str) -> None:
    before = pins(text)
    assume(len({release, before["api"].release, before["api"].previous}) == 3)
    there = promoted(text, NAME, "api", release, UNTIL)
    assert pins(there)["api"] == before["api"].model_copy(
        update={"release": release, "previous": before["api"].release, "warm_until": UNTIL}
    )
    back = swapped(there)
    expected = before["api"].model_copy(update={"previous": release, "warm_until": UNTIL})
    assert pins(back) == {**before, "api": expected}
    assert others(back) == others(text)


def others(text: str) -> list[str]:
    """Return the lines that neither a promotion nor a swap is about."""
    return [line for line in text.splitlines() if not line.strip().startswith(("previous:", "warm_until:"))]
