"""Sources: the user's functions, run apart, and the snapshots of what they return."""

from __future__ import annotations

import sys
import textwrap
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.problems import MlinfraError
from mlinfra_providers.local import source_worker
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.sources import Columns, Snapshot, newest, snapshot, source_digest
from mlinfra_providers.local.tables import digest_table, from_frame, read_table, write_table

COLUMNS = Columns("station", "string", "at", {"wind": "float64"})
GOOD = """
    import pandas as pd
    from pathlib import Path

    def rows():
        with Path("calls").open("a") as calls:
            calls.write("x")
        print("a library prints to stdout")
        at = pd.to_datetime(["2013-01-01", "2013-01-02"], utc=True)
        return pd.DataFrame({"station": ["JFK", "JFK"], "at": at, "wind": [1, 2], "more": [1.5, 2.5]})
"""


class Place:
    """A repository with one stack folder."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root, "dev")
        self.folder = root / "stacks" / "one"
        self.folder.mkdir(parents=True)

    def write(self, text: str) -> None:
        (self.folder / "features.py").write_text(textwrap.dedent(text))

    def read(self, *, columns: Columns | None = COLUMNS, digest: str = "fixed", **options: object) -> Snapshot:
        return snapshot(
            self.layout, "wind", "features.py:rows", self.folder, columns=columns, digest=digest, **options  # type: ignore[arg-type]
        )  # fmt: skip

    def calls(self) -> int:
        return len((self.folder / "calls").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write(GOOD)
    return place


@pytest.mark.local
class TestSnapshot:
    def test_rows_are_checked_cast_and_kept(self, place: Place) -> None:
        kept = place.read()
        table = read_table(kept.path)
        assert table.column_names == ["station", "at", "wind"]
        assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
        assert kept.columns == {"station": "string", "at": "timestamp", "wind": "float64"}
        assert (kept.rows, kept.digest) == (2, digest_table(table))
        assert kept.path.stem == kept.digest.removeprefix("sha256:")
        assert newest(place.layout, "wind") == kept

    def test_an_unchanged_source_is_not_read_again(self, place: Place) -> None:
        first = place.read()
        assert place.read(refresh_seconds=3600) == first
        assert place.calls() == 1
        assert place.read(refresh_seconds=0).digest == first.digest
        assert place.read(force=True).digest == first.digest
        assert place.read(digest="changed").digest == first.digest
        assert place.calls() == 4
        first.path.unlink()
        assert newest(place.layout, "wind") is None
        assert place.read(digest="changed").path.is_file()

    def test_two_at_once_read_once(self, place: Place) -> None:
        threads = [threading.Thread(target=place.read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert place.calls() == 1

    def test_what_the_function_raises_is_told_with_its_place(self, place: Place) -> None:
        place.write("def rows():\n    return {}['wind']\n")
        with pytest.raises(MlinfraError) as caught:
            place.read()
        assert "features.py:rows raised KeyError" in caught.value.message
        assert "features.py:2: 'wind'" in caught.value.message
        assert "return {}['wind']" in caught.value.message

    def test_a_file_that_cannot_be_imported(self, place: Place) -> None:
        place.write("import nowhere_to_be_found\n")
        with pytest.raises(MlinfraError, match=r"features\.py:1: No module named 'nowhere_to_be_found'"):
            place.read()

    def test_a_process_that_dies_is_an_error(self, place: Place) -> None:
        place.write("import os\ndef rows():\n    os.kill(os.getpid(), 9)\n")
        with pytest.raises(MlinfraError, match=r"ended during read \(exit code -9\)"):
            place.read()

    def test_all_that_does_not_fit_is_said_at_once(self, place: Place) -> None:
        with pytest.raises(MlinfraError) as caught:
            place.read(columns=Columns("station", "int64", "att", {"wind": "string", "gust": "float64"}))
        for reason in (
            "'station' holds string, declared is int64",
            "'att' is missing (did you mean 'at'?)",
            "'wind' holds int64, declared is string",
            "'gust' is missing",
        ):
            assert reason in caught.value.message

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("[1]", "returned list, expected a pandas DataFrame"),
            ("pd.DataFrame()", "returned no rows"),
            ("pd.DataFrame({'station': ['a', 'a'], 'at': [t, t], 'wind': [1., 2.]})", "'a' at 2013-01-01T00:00:00"),
            ("pd.DataFrame({'station': ['a', None], 'at': [t, t], 'wind': [1., 2.]})", "'station' has 1 nulls"),
            ("pd.DataFrame({'station': ['a'], 'at': pd.to_datetime(['2013']), 'wind': [1.]})", "without a time zone"),
            ("pd.DataFrame({'station': ['a', 1], 'at': [t, t], 'wind': [1., 2.]})", "'station' mixes types"),
            ("pd.DataFrame({'station': ['a'], 'at': [t], 'wind': [[1.]]})", "'wind' holds list"),
        ],
    )
    def test_rows_that_do_not_fit(self, place: Place, body: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
        place.write(f"import pandas as pd\nt = pd.Timestamp('2013', tz='UTC')\ndef rows():\n    return {body}\n")
        monkeypatch.chdir(place.folder)
        monkeypatch.setattr("sys.path", list(sys.path))
        with pytest.raises(MlinfraError, match=message):
            source_worker.read("features.py:rows", "rows.parquet", asdict(COLUMNS))

    def test_names_are_suggested(self, place: Place) -> None:
        for source, near in (("feature.py:rows", "features.py"), ("features.py:row", "rows")):
            with pytest.raises(MlinfraError) as caught:
                snapshot(place.layout, "wind", source, place.folder)
            assert near in caught.value.remedy

    def test_a_source_may_be_named_like_a_module_and_import_its_neighbours(self, place: Place) -> None:
        (place.folder / "json.py").write_text("raise SystemExit('the worker took me for its own')")
        (place.folder / "helper.py").write_text(textwrap.dedent(GOOD))
        (place.folder / "select.py").write_text("from helper import rows")
        found = snapshot(place.layout, "wind", "select.py:rows", place.folder, columns=COLUMNS)
        assert found.rows == 2

    def test_old_snapshots_go_after_some_time(self, place: Place) -> None:
        for number in range(6):
            place.write(GOOD.replace("[1, 2]", f"[1, {number}]"))
            kept = place.read(force=True)
        assert len(list(kept.path.parent.glob("*.parquet"))) == 5
        assert kept.path.is_file()


def test_a_source_depends_on_its_code_and_libraries(place: Place) -> None:
    before = source_digest(place.folder)
    assert source_digest(place.folder) == before
    place.write("import numpy")
    assert source_digest(place.folder) != before


VALUES = st.lists(
    st.tuples(
        st.none() | st.floats(allow_nan=False),
        st.none() | st.text(max_size=5),
        st.none() | st.booleans(),
        st.none() | st.integers(-(2**53), 2**53),
    ),
    min_size=1,
    max_size=20,
)


def table_of(values: list[tuple[object, ...]]) -> pa.Table:
    kinds = {"f": pa.float64(), "s": pa.string(), "b": pa.bool_(), "i": pa.int64()}
    columns = zip(*values, strict=True)
    return pa.table({name: pa.array(c, kind) for (name, kind), c in zip(kinds.items(), columns, strict=True)})


@settings(deadline=None)
@given(values=VALUES, cut=st.integers(0, 20))
def test_a_digest_is_of_the_content_alone(
    values: list[tuple[object, ...]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = table_of(values)
    digest = digest_table(table)
    path = tmp_path_factory.mktemp("digest") / "t.parquet"
    write_table(table.replace_schema_metadata({"writer": "another"}), path)
    assert digest_table(read_table(path)) == digest
    assert digest_table(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == digest
    assert digest_table(pa.concat_tables([table, table]).slice(table.num_rows)) == digest


@settings(deadline=None)
@given(one=VALUES, other=VALUES)
def test_other_content_has_another_digest(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> None:
    first, second = table_of(one), table_of(other)
    # Arrow and Python say 0.0 == -0.0; a digest of bytes does not, which only reads a source once more.
    if not first.equals(second):
        assert digest_table(first) != digest_table(second)


def test_nulls_text_borders_names_and_types_count() -> None:
    tables = [
        pa.table({"a": pa.array(["ab", ""])}),
        pa.table({"a": pa.array(["a", "b"])}),
        pa.table({"a": pa.array(["ab", None])}),
        pa.table({"b": pa.array(["ab", ""])}),
        pa.table({"a": pa.array([0, None], pa.int64())}),
        pa.table({"a": pa.array([0, 0], pa.int64())}),
        pa.table({"a": pa.array([0, 0], pa.float64())}),
    ]
    assert len({digest_table(table) for table in tables}) == len(tables)


def test_pandas_types_are_normalised() -> None:
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["a", None]),
            "small": np.array([1, 2], dtype="int8"),
            "single": np.array([1.5, np.nan], dtype="float32"),
            "text": pd.array(["x", None], dtype="string"),
            "time": pd.Series([pd.Timestamp("2013-01-01T01:00", tz="+01:00"), pd.NaT]),
        }
    )
    table = from_frame(frame)
    assert [str(kind) for kind in table.schema.types] == [
        "string",
        "int64",
        "double",
        "string",
        "timestamp[us, tz=UTC]",
    ]
    assert table.column("time").to_pylist() == [datetime(2013, 1, 1, tzinfo=UTC), None]
    assert table.column("single").null_count == 1
