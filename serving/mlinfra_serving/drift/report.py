"""The result as one HTML page: no scripts, no other files, plots as inline SVG, well-formed XML too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlinfra_serving.drift.measures import MEASURES
from mlinfra_serving.drift.result import number

PLOTTED_COLUMNS = 40
"""Columns with a plot, those that decide first; the table has all of them. Keeps the page below 100 kB."""

_ROW, _BAR, _LEFT, _LONGEST = 24, 8, 132, 216
_LABEL_LENGTH = 20
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Row:
    """One bin of a plot: its name and both shares in words, and where its text stands."""

    label: str
    text: str
    y: int


@dataclass(frozen=True)
class Plot:
    """Horizontal bars of baseline and window by bin. `baseline` and `window` are SVG path data."""

    column: str
    heading: str
    summary: str
    verdict: str | None
    note: str
    height: int
    rows: list[Row]
    baseline: str
    window: str


def render(document: Mapping[str, Any]) -> str:
    """Return the page for a result's JSON document (version 1)."""
    ranks = {"drift": 0, "no data": 1, "ok": 2, None: 3}
    columns = sorted(document["columns"], key=lambda column: (ranks[column["verdict"]], -(column["value"] or 0.0)))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = number
    environment.filters["clean"] = _clean
    environment.filters["moment"] = _moment
    environment.filters["chance"] = _chance
    return environment.get_template("report.html.j2").render(
        document=document,
        columns=columns,
        headline=_headline(document),
        plots=[_plot(column) for column in columns[:PLOTTED_COLUMNS]],
        titles={name: measure.title for name, measure in MEASURES.items()},
    )


def _headline(document: Mapping[str, Any]) -> str:
    watched = [column for column in document["columns"] if column["verdict"] is not None]
    drifted = [column["column"] for column in watched if column["verdict"] == "drift"]
    if document["verdict"] == "drift":
        return f"Drift in {len(drifted)} of {len(watched)} watched columns: {', '.join(drifted)}"
    if document["verdict"] == "no data":
        blind = sum(column["verdict"] == "no data" for column in watched)
        return f"No data to decide on {blind} of {len(watched)} watched columns" if watched else "No data"
    return f"No drift in {len(watched)} watched columns"


def _plot(column: Mapping[str, Any]) -> Plot:
    bars = column["bars"]
    # the longest bar fills the width, and many bins taken together have none, so that small shares can be told apart
    drawn = [bar for bar in bars if not bar["together"]]
    largest = max((max(bar["baseline"], bar["window"] or 0.0) for bar in drawn), default=0.0) or 1.0
    rows, baseline, window = [], [], []
    for index, bar in enumerate(bars):
        top = index * _ROW + 3
        text = f"{bar['baseline']:.1%}"
        if bar["window"] is not None:
            text += f" → {bar['window']:.1%}"
        if not bar["together"]:
            baseline.append(_bar(top, bar["baseline"] / largest))
            window.append(_bar(top + _BAR + 1, (bar["window"] or 0.0) / largest))
        rows.append(Row(_clipped(bar["label"]), text, top + _BAR + 5))
    changes = [bar for bar in bars if bar["window"] is not None]
    most = max(changes, key=lambda bar: abs(bar["window"] - bar["baseline"]), default=None)
    summary = f"Shares of rows by bin, baseline and window. {len(bars)} bins."
    if most is not None:
        summary += f" Largest change: {most['label']}, {most['baseline']:.1%} to {most['window']:.1%}."
    threshold = column["threshold"]
    limit = f", threshold {threshold['value']:g}" if threshold else ", no threshold"
    return Plot(
        column=column["column"],
        heading=f"{column['measure']} {number(column['value'])}{limit}, noise floor {number(column['floor'])}",
        summary=summary,
        verdict=column["verdict"],
        note=column["note"] or "",
        height=max(len(bars) * _ROW, _ROW),
        rows=rows,
        baseline="".join(baseline),
        window="".join(window),
    )


def _bar(top: int, share: float) -> str:
    length = round(share * _LONGEST, 1)
    return f"M{_LEFT} {top}h{length:g}v{_BAR}h-{length:g}z"


def _clipped(label: str) -> str:
    return label if len(label) <= _LABEL_LENGTH else f"{label[: _LABEL_LENGTH - 1]}…"


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def _chance(p_value: float | None) -> str:
    if p_value is None:
        return "-"
    return f"{p_value:.2g}" if p_value else "< 1e-300"


def _clean(text: str) -> str:
    """Return text without characters that XML cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))
