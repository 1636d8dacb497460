"""The page is whole, small, readable by machines, and shows every column."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mlinfra_serving.drift import Result, Threshold, build_profile, compare
from mlinfra_serving.drift.report import PLOTTED_COLUMNS, render

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def page(result: Result, **more: Any) -> str:
    document = {
        "version": 1,
        "endpoint": "flight-delay",
        "release": "3f9c2ab1",
        "window": {"start": "2013-07-01T00:00:00+00:00", "end": None},
        "computed_at": "2013-08-01T00:00:00.123456+00:00",
        "files": 1,
        "unreadable_files": {},
        "mirrored_rows_excluded": 0,
        **result.to_json(),
    }
    return render(json.loads(json.dumps(document | more)))


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def test_every_column_is_there_and_well_formed(winter: pd.DataFrame, july: pd.DataFrame) -> None:
    result = compare(build_profile(winter), july, {"temp": Threshold("js_divergence", "<=", 0.1)})
    text = page(result)
    tree = parsed(text)
    rows = tree.findall(f".//{HTML}tbody/{HTML}tr")
    assert {row.findtext(f"{HTML}th") for row in rows} == set(winter.columns)
    assert rows[0].findtext(f"{HTML}th") == "temp"
    assert rows[0].findtext(f"{HTML}td") == "drift"
    plots = tree.findall(f".//{SVG}svg")
    assert {plot.findtext(f"{SVG}title") for plot in plots} == set(winter.columns)
    for plot in plots:
        assert plot.get("role") == "img"
        title, description = (plot.get("aria-labelledby") or "").split()
        assert plot.find(f"{SVG}title[@id='{title}']") is not None
        assert plot.find(f"{SVG}desc[@id='{description}']") is not None
    identifiers = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))
    assert "prefers-color-scheme: dark" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/", "")


def test_bars_show_the_shares() -> None:
    baseline = pd.DataFrame({"x": ["a"] * 75 + ["b"] * 25})
    window = pd.DataFrame({"x": ["a"] * 25 + ["b"] * 50 + [None] * 25})
    tree = parsed(page(compare(build_profile(baseline), window, {})))
    texts = [text.text for text in tree.findall(f".//{SVG}text")]
    assert texts == ["a", "75.0% → 25.0%", "b", "25.0% → 50.0%", "null", "0.0% → 25.0%"]
    paths = [path.get("d") or "" for path in tree.findall(f".//{SVG}path")]
    lengths = [[float(bar.split("h")[1].split("v")[0]) for bar in path.split("M")[1:]] for path in paths]
    assert lengths == [[216, 72, 0], [72, 144, 72]]


def test_rare_categories_share_a_row_without_a_bar() -> None:
    names = [f"c{i:02}" for i in range(30) for _ in range(100 - i)]
    tree = parsed(page(compare(build_profile(pd.DataFrame({"x": names})), pd.DataFrame({"x": names}), {})))
    labels = [text.text for text in tree.findall(f".//{SVG}text[@class='s']")]
    assert labels == [*(f"c{i:02}" for i in range(12)), "18 more and other"]
    assert [(path.get("d") or "").count("M") for path in tree.findall(f".//{SVG}path")] == [12, 12]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a & b", 'quo"te', "nul\x00l", "日本語 column", "x" * 300]
)
def test_names_of_columns_and_categories_do_no_harm(name: str) -> None:
    frame = pd.DataFrame({name: [name, "other one"] * 100})
    tree = parsed(page(compare(build_profile(frame), frame, {name: Threshold("linf", "<=", 0.3)}), endpoint=name))
    shown = tree.findtext(f".//{HTML}tbody/{HTML}tr/{HTML}th")
    assert shown == name.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def test_a_wide_table_stays_below_100_kb() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({f"column_{i}": generator.normal(size=500) for i in range(60)})
    text = page(compare(build_profile(frame), frame, {"column_59": Threshold("ks", "<=", 0.3)}))
    assert len(text.encode()) < 100_000
    tree = parsed(text)
    assert len(tree.findall(f".//{HTML}tbody/{HTML}tr")) == 60
    plots = tree.findall(f".//{SVG}svg")
    assert len(plots) == PLOTTED_COLUMNS
    assert plots[0].findtext(f"{SVG}title") == "column_59"
    assert "the first 40 of 60 columns" in text


def test_a_window_without_rows_shows_the_baseline_alone(winter: pd.DataFrame) -> None:
    result = compare(build_profile(winter), winter.head(0), {"temp": Threshold("ks", "<=", 0.1)})
    text = page(result, unreadable_files={"a/b.parquet": "broken"})
    tree = parsed(text)
    assert tree.findtext(f".//{HTML}h1") == "No data to decide on 1 of 1 watched columns"
    assert "a/b.parquet" in text
    assert "→" not in "".join(tree.itertext())


def test_headlines(winter: pd.DataFrame) -> None:
    profile = build_profile(winter)
    assert "<h1>No drift in 1 watched columns</h1>" in page(
        compare(profile, winter, {"temp": Threshold("ks", "<=", 0.1)})
    )
    assert "<h1>No data</h1>" in page(compare(profile, pd.DataFrame(), {}))
