"""How a comment is found, and how it is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.hosts.sticky import LIMIT, Remark, cut, keep_one, rendered


@dataclass
class Wall:
    """The comments of one user, and what was done to them."""

    remarks: list[Remark] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def own(self) -> list[Remark]:
        return list(reversed(self.remarks))

    def create(self, body: str) -> None:
        self.done.append("create")
        self.remarks.append(Remark(len(self.remarks) + 1, f"#{len(self.remarks) + 1}", body))

    def edit(self, remark: Remark, body: str) -> None:
        self.done.append(f"edit {remark.number}")
        self.remarks[self.remarks.index(remark)] = Remark(remark.number, remark.url, body)

    def delete(self, remark: Remark) -> None:
        self.done.append(f"delete {remark.number}")
        self.remarks.remove(remark)


def test_the_first_line_is_hidden_and_says_what_it_is() -> None:
    first, _, rest = rendered("promote/prod", 3, "text").partition("\n")
    assert re.fullmatch(r"<!-- mlinfra key=promote/prod revision=3 digest=[0-9a-f]{16} -->", first)
    assert rest == "text"
    assert rendered("a--> b", 1, "").startswith("<!-- mlinfra key=a%2D%2D%3E%20b revision=1 ")


def test_what_is_done_to_comments() -> None:
    wall = Wall([Remark(1, "#1", "by hand")])
    assert keep_one(wall, "plan", 2, "two") == "#2"
    keep_one(wall, "plan", 2, "two")
    keep_one(wall, "plan", 5, "two")
    keep_one(wall, "plan", 1, "one")
    assert wall.done == ["create"]
    assert keep_one(wall, "plan", 2, "two, again") == "#2"
    assert keep_one(wall, "planet", 1, "other") == "#3"
    assert wall.done == ["create", "edit 2", "create"]
    wall.remarks.append(Remark(9, "#9", rendered("plan", 4, "of a run at the same time")))
    assert keep_one(wall, "plan", 5, "five") == "#2"
    assert wall.done[3:] == ["edit 2", "delete 9"]
    assert [remark.number for remark in wall.remarks] == [1, 2, 3]


def test_a_comment_that_an_editor_gave_other_line_ends_is_found() -> None:
    wall = Wall([Remark(1, "#1", rendered("plan", 1, "text").replace("\n", "\r\n"))])
    assert keep_one(wall, "plan", 2, "new") == "#1"
    assert wall.done == ["edit 1"]


LOG = "".join(f"line {number}\n" for number in range(1000))
FOLDED = "summary\n\n<details><summary>plan</summary>\n\n```diff\n{}```\n</details>\n\nend\n"


def fences(text: str) -> int:
    return len(re.findall(r"^```", text, re.MULTILINE))


def test_what_fits_is_not_cut() -> None:
    text = FOLDED.format(LOG)
    assert cut(text, len(text)) == text


def test_details_lose_their_start() -> None:
    text = FOLDED.format(LOG)
    short = cut(text, 2000)
    assert len(short) <= 2000
    assert short.startswith("summary\n\n<details><summary>plan</summary>\n\n…")
    assert "line 0\n" not in short
    assert short.endswith("line 999\n```\n</details>\n\nend\n")
    assert "\n```diff\nline " in short
    assert fences(short) == 2
    (left_out,) = re.findall(r"… (\d+) characters", short)
    assert len(text) - int(left_out) == len(short) - len(re.findall(r"….*\n\n```diff\n", short)[0])


def test_one_after_the_other() -> None:
    text = FOLDED.format(LOG) + FOLDED.format(LOG)
    short = cut(text, len(FOLDED.format(LOG)) + 500)
    assert short.count("</details>") == short.count("<details>") == 2
    assert short.endswith(FOLDED.format(LOG))
    both = cut(text, 1500)
    assert len(both) <= 1500
    assert both.count("summary\n\n<details>") == 2
    assert both.endswith("line 999\n```\n</details>\n\nend\n")


def test_without_details_the_end_goes_and_fences_are_closed() -> None:
    short = cut("head\n````\n" + LOG, 500)
    assert len(short) <= 500
    assert short.startswith("head\n````\nline 0\n")
    assert "\n````\n" in short[10:]
    assert "characters are left out" in short


def test_what_is_visible_and_too_long_loses_its_end() -> None:
    short = cut(LOG + FOLDED.format(LOG), 500)
    assert len(short) <= 500
    assert short.startswith("line 0\n")


@given(
    st.lists(
        st.sampled_from(["text\n", "```\n", "~~~~\n", "<details><summary>s</summary>\n\n", "</details>\n", "x" * 90])
    ),
    st.integers(200, 600),
)
def test_it_always_fits(pieces: list[str], limit: int) -> None:
    text = "".join(pieces) * 5
    short = cut(text, limit)
    assert len(short) <= limit
    assert len(text) > limit or short == text


@pytest.mark.parametrize("character", ["x", "ü", "😀"])
def test_the_whole_comment_fits(character: str) -> None:
    assert len(rendered("key", 1, f"{character * 99}\n" * 1000)) <= LIMIT
