"""Rows of a feature store: read and written when they are due, once, whatever fails meanwhile."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest

from mlinfra import Feature, FeatureStore
from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.remote.ingest import Rows, ingest
from mlinfra_providers.remote.inputs import ROWS_FILE
from tests.remote.conftest import Place, weather

pytestmark = pytest.mark.local

WARMER = """
    import pandas as pd

    def weather():
        times = pd.to_datetime(["2026-01-01T09:30Z", "2026-01-01T10:30Z", "2026-01-01T11:30Z"])
        return pd.DataFrame({"origin": ["a", "b", "a"], "observed_at": times, "wind": [3.5, 7.25, 9.0]})
"""
COUNTED = """
    import pathlib
    import pandas as pd

    def weather():
        count = pathlib.Path(__file__).parents[2] / "count"
        count.write_text(str(int(count.read_text() or 0) + 1) if count.exists() else "1")
        times = pd.to_datetime(["2026-01-01T09:30Z"])
        return pd.DataFrame({"origin": ["a"], "observed_at": times, "wind": [3.5]})
"""


@dataclass
class Table:
    """A feature store that holds what was written last; it fails when it is told to."""

    made: str | None = "monday"
    fails: str = ""
    written: list[pd.DataFrame] = field(default_factory=list)
    before: list[int | None] = field(default_factory=list)

    def identity(self, part: ResolvedPart) -> str | None:
        return self.made

    def write(self, part: ResolvedPart, rows: Rows, say: Callable[[str], None]) -> None:
        if self.fails:
            raise MlinfraError(self.fails)
        before = rows.before()
        self.before.append(len(pd.read_parquet(before)) if before else None)
        self.written.append(pd.read_parquet(rows.path))
        assert rows.count == len(self.written[-1])
        there = Path(rows.tree.url.removeprefix("file://")) / ROWS_FILE
        assert there.read_bytes() == rows.path.read_bytes()


def _part(place: Place, store: FeatureStore | None = None) -> ResolvedPart:
    return ResolvedPart("crowds", "a@example.com", "crowds", code_digest(place.folder), store or weather())


def _sources(place: Place, text: str) -> None:
    (place.folder / "sources.py").write_text(textwrap.dedent(text))


def _ingest(place: Place, table: Table, store: FeatureStore | None = None) -> tuple[Ingested, list[str]]:
    said: list[str] = []
    part = _part(place, store)
    done = ingest(place.environment, place.repository, part, place.where.given, table, said.append)
    return done, said


def test_rows_are_written_once(place: Place) -> None:
    table = Table()
    first, said = _ingest(place, table)
    assert (first.rows, first.written) == (2, True)
    assert "weather: writing 2 rows" in said
    again, said = _ingest(place, table)
    assert again == replace(first, written=False)
    assert said == []
    (rows,) = table.written
    assert rows["wind"].tolist() == [3.5, 7.25]
    assert str(rows["observed_at"].dtype) == "datetime64[us, UTC]"


def test_other_code_that_gives_the_same_rows_writes_nothing(place: Place) -> None:
    table = Table()
    _ingest(place, table)
    with (place.folder / "sources.py").open("a") as text:
        text.write("\n# a word more\n")
    done, said = _ingest(place, table)
    assert not done.written
    assert any(line.startswith("reading sources.py:weather") for line in said)
    assert _ingest(place, table)[1] == []


def test_other_rows_are_written_beside_those_before(place: Place) -> None:
    table = Table()
    _ingest(place, table)
    _sources(place, WARMER)
    done, _ = _ingest(place, table)
    assert (done.rows, done.written, table.before) == (3, True, [None, 2])


def test_rows_that_are_old_are_read_again(place: Place) -> None:
    _sources(place, COUNTED)
    count, table = place.repository / "count", Table()
    hourly, always = replace(weather(), refresh="1h"), replace(weather(), refresh="1s")
    _ingest(place, table, hourly)
    _ingest(place, table, hourly)
    assert count.read_text() == "1"

    time.sleep(1.1)
    done, _ = _ingest(place, table, always)
    assert (count.read_text(), done.written, len(table.written)) == ("2", False, 1)


def test_a_store_that_was_made_anew_gets_its_rows_again(place: Place) -> None:
    table = Table()
    _ingest(place, table)
    table.made = "tuesday"
    done, _ = _ingest(place, table)
    assert (done.written, table.before) == (True, [None, None])


def test_a_store_that_was_renamed_keeps_its_rows(place: Place) -> None:
    table = Table()
    _ingest(place, table)
    done, _ = _ingest(place, table, replace(weather(), name="climate", renamed_from="weather"))
    assert (done.written, len(table.written)) == (False, 1)


def test_a_column_more_is_written_though_the_rows_were_read(place: Place) -> None:
    table = Table()
    _ingest(place, table)
    _sources(place, WARMER.replace('"wind": ', '"gust": [1.0, None, 2.0], "wind": '))
    wider = replace(weather(), features=[Feature("wind", "float64"), Feature("gust", "float64")])
    _ingest(place, table, wider)
    assert list(table.written[-1]) == ["origin", "observed_at", "wind", "gust"]


def test_what_was_not_written_whole_is_written_again(place: Place) -> None:
    table = Table(fails="the table is locked")
    with pytest.raises(MlinfraError, match="the table is locked"):
        _ingest(place, table)
    table.fails = ""
    assert _ingest(place, table)[0].written


def test_a_source_that_fails_changes_nothing(place: Place) -> None:
    table = Table()
    first, _ = _ingest(place, table)
    _sources(place, "def weather():\n    raise ValueError('the warehouse is closed')\n")
    with pytest.raises(MlinfraError, match="the warehouse is closed"):
        _ingest(place, table)
    assert len(table.written) == 1
    _sources(place, WARMER)
    assert _ingest(place, table)[0].data != first.data


def test_a_store_that_is_not_there_is_said(place: Place) -> None:
    with pytest.raises(MlinfraError, match="the feature store weather is not there") as refused:
        _ingest(place, Table(made=None))
    assert refused.value.remedy == "mlinfra up prod --refresh makes it"
