"""The page of evidence: its structure, what it needs to be read by everybody, and that nothing in it runs."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from mlinfra.evidence.page import page

DIGEST = f"sha256:{'e' * 64}"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
GATE = {"gate": "p95_ms <= 50", "answer": "fail", "measured": 80.5, "against": 12.0, "samples": 400, "message": "slow"}
EVENT: dict[str, Any] = {
    "kind": "rollout", "at": "2026-11-01T12:00:00.000+00:00", "seconds": 420.0, "outcome": "failed",
    "previous": "a" * 12, "release": "b" * 12, "who": "Ann", "merged_by": "Bob", "why": "failed p95",
    "note": None, "commit": "c" * 40,
    "pull_request": "#7", "gates": [GATE], "approvals": {"risk": "Dee (2026-11-01)"},
}  # fmt: skip
COPIES = [{"store": "file:///store", "environments": ["prod"], "condition": "whole"}]
FINDING = {
    "rule": "COST-09",
    "verdict": "violation",
    "level": "advisory",
    "resource": "urn:a::b",
    "path": "p",
    "message": "m",
}
DOCUMENT: dict[str, Any] = {
    "version": 1,
    "made": "2026-11-22T10:00:00.000+00:00",
    "release": {"digest": f"sha256:{'b' * 64}", "stack": "flights", "endpoint": "delay", "file": "releases/b.json"},
    "environment": {"name": "prod", "target": "local"},
    "identity": {
        "artifact": DIGEST, "baseline": DIGEST, "spec": {}, "spec_digest": DIGEST, "signature": {},
        "runtime": {"name": "sklearn", "version": "1.9"},
    },
    "artifact": COPIES,
    "baseline": COPIES,
    "provenance": {
        "created": "2026-11-01T10:00:00+00:00", "author": "Ann", "run": "train-1", "code": DIGEST, "commit": "c" * 40,
        "commit_time": "2026-11-01T09:00:00+00:00", "data": {"weather": DIGEST},
        "in_git": {"commit": "d" * 40, "author": "Bob", "time": "2026-11-01T11:00:00+00:00"},
    },
    "model_card": {
        "metrics": {"auc": 0.699}, "runtime": {}, "baseline": DIGEST,
        "inputs": [{"name": "wind", "type": "FP64", "required": False}], "outputs": [{"name": "p", "type": "FP64"}],
    },
    "pinned": [{"environment": "prod", "as": "release"}],
    "serving": {
        "weight": 100, "healthy": True, "artifact": DIGEST, "image": None, "replicas": 1, "last_failure": None,
    },
    "rollouts": [EVENT],
    "approvals": {"required": 1, "pull_request": "#7", "given_by": ["dee"]},
    "findings": {
        "profile": "production", "counts": {"mandatory": 0, "advisory": 1, "unknown": 0, "covered": 1},
        "findings": [FINDING],
        "exceptions": [{"rule": "X-1", "findings": [FINDING], "reason": "why", "owner": "me", "until": "2027-01-31"}],
    },
    "cost": {
        "monthly_usd": {"low": 1.0, "likely": 2.0, "high": 3.0}, "idle_usd": 1.5, "budget_monthly_usd": 1500,
        "unpriced": [{"item": "requests"}],
    },
    "signature": {"key": "keys/prod.pem", "verified": False, "reason": "it has no signature"},
    "history": [{**EVENT, "kind": "promotion", "outcome": "done"}],
    "unknown": [{"fact": "code", "reason": "the release does not say"}],
}  # fmt: skip
BARE: dict[str, Any] = {
    **DOCUMENT,
    "release": {**DOCUMENT["release"], "file": None},
    "artifact": [],
    "baseline": [],
    "provenance": {
        "created": "2026-11-01T10:00:00+00:00", "author": "", "run": "", "code": None, "commit": None,
        "commit_time": None, "data": {}, "in_git": None,
    },
    "model_card": {"metrics": {}, "runtime": {}, "baseline": DIGEST, "inputs": [], "outputs": []},
    "pinned": [],
    "serving": None,
    "rollouts": [],
    "approvals": {"required": None, "pull_request": None, "given_by": None},
    "findings": None,
    "cost": None,
    "signature": {"key": None, "verified": None, "reason": None},
    "history": [],
}  # fmt: skip
"""Of which nearly everything is unknown."""
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """The elements of a page in order, with their attributes and the words in them; refuses what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[int, str] = {}
        self.within: list[tuple[str, int]] = []
        self.parents: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.within == [], "an element is not closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes)
        self.parents.append([name for name, _ in self.within])
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.within.append((tag, len(self.elements) - 1))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("a", "code", "span", "strong"):
            self.handle_data(" ")
        name, _ = self.within.pop()
        assert name == tag, f"{name} is closed by {tag}"

    def handle_data(self, data: str) -> None:
        for _, number in self.within:
            self.words[number] = self.words.get(number, "") + data

    def of(self, tag: str) -> list[tuple[int, dict[str, str | None]]]:
        return [(number, found) for number, (name, found) in enumerate(self.elements) if name == tag]

    def text(self, tag: str) -> list[str]:
        return [" ".join(self.words.get(number, "").split()) for number, _ in self.of(tag)]


@pytest.fixture(params=[DOCUMENT, BARE], ids=["whole", "bare"])
def read(request: pytest.FixtureRequest) -> Reader:
    return Reader(page(request.param, DIGEST))


def test_it_is_a_document_with_a_language_and_a_title(read: Reader) -> None:
    assert page(DOCUMENT, DIGEST).startswith("<!doctype html>")
    assert read.of("html")[0][1]["lang"] == "en"
    assert read.text("title") == ["Evidence of delay bbbbbbbbbbbb in prod"]
    assert len(read.of("main")) == 1


def test_headings_go_down_step_by_step(read: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_links_lead_to_them(read: Reader) -> None:
    ids = [found["id"] for _, found in read.elements if "id" in found]
    assert len(set(ids)) == len(ids)
    for _, found in read.of("a"):
        assert str(found["href"]).startswith("#")
        assert str(found["href"])[1:] in ids
    for _, found in read.of("section"):
        assert found["aria-labelledby"] in ids


def test_every_table_has_a_caption_and_every_header_a_scope(read: Reader) -> None:
    assert len(read.of("caption")) == len(read.of("table")) >= 10
    assert all(words for words in read.text("caption"))
    assert all(found.get("scope") in ("col", "row") for _, found in read.of("th"))
    assert all(words for words in read.text("th"))


def test_nothing_comes_from_elsewhere_and_nothing_runs(read: Reader) -> None:
    tags = {tag for tag, _ in read.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    for _, found in read.elements:
        assert not [name for name in found if name.startswith("on") or name in ("src", "srcset", "action")]
    policies = [
        found["content"] for _, found in read.of("meta") if found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in "".join(read.text("style"))
    assert "@import" not in "".join(read.text("style"))


def test_it_can_be_printed(read: Reader) -> None:
    assert "@media print" in read.text("style")[0]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21: WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_words_are_seen_well() -> None:
    style = page(DOCUMENT, DIGEST)
    grounds = {"#ffffff", *re.findall(r"background: (#[0-9a-f]{6})", style)}
    colours = set(re.findall(r"(?<![-\w])color: (#[0-9a-f]{6})", style))
    assert len(colours) == 5
    assert len(grounds) == 2
    for colour in colours:
        assert min(contrast(colour, ground) for ground in grounds) >= 4.5, colour


def _evil(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _evil(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_evil(item) for item in value]
    return EVIL if isinstance(value, str) else value


def test_no_text_of_the_evidence_becomes_an_element() -> None:
    document = _evil(copy.deepcopy(DOCUMENT))
    document["model_card"]["metrics"] = {EVIL: 0.5}
    document["provenance"]["data"] = {EVIL: EVIL}
    document["rollouts"][0]["approvals"] = {EVIL: EVIL}
    read, plain = Reader(page(document, EVIL)), Reader(page(DOCUMENT, DIGEST))
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(found) for _, found in read.elements] == [sorted(found) for _, found in plain.elements]
    assert "<script" not in page(document, EVIL)
    assert page(document, EVIL).count("&lt;script&gt;") > 40


def test_what_is_known_is_said() -> None:
    words = " ".join(Reader(page(DOCUMENT, DIGEST)).text("main")[0].split())
    for said in (
        f"whose digest is {DIGEST}", "auc 0.699", "wind FP64, may be null", "It serves 100 % of the requests in prod",
        "for 7 minutes: failed", "p95_ms <= 50 fail 80.5 12 400 slow", "Approved by dee",
        "Signature not verified: it has",
        "0 mandatory violations, 1 others", "$2.00 a month (from $1.00 to $3.00)", "Budget: $1,500.00",
        "no total: requests", "Rollout approved for risk Dee (2026-11-01)", "code: the release does not say",
    ):  # fmt: skip
        assert said in words, said


def test_what_is_not_known_is_unknown() -> None:
    read = Reader(page(BARE, DIGEST))
    assert read.text("span").count("unknown") >= 15
    assert "None" not in read.text("main")[0]
    gone = {**DOCUMENT, "serving": {**DOCUMENT["serving"], "weight": 0, "healthy": None}}
    assert "It is not deployed in prod now." in " ".join(Reader(page(gone, DIGEST)).text("main")[0].split())
