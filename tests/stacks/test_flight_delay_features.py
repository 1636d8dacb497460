"""Weather and aircraft: complete, clean, and joined as they were known at each flight's moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stacks.flight_delay import replay
from stacks.flight_delay.features import planes, weather


def test_weather_is_complete_and_one_row_per_airport_and_hour() -> None:
    rows = weather()
    assert len(rows) == 26_115
    assert set(rows["origin"]) == {"EWR", "JFK", "LGA"}
    assert not rows.duplicated(["origin", "observed_at"]).any()
    assert rows["observed_at"].dtype == "datetime64[us, UTC]"
    assert set(rows.dtypes.drop(["origin", "observed_at"]).astype(str)) == {"float64"}


def test_an_hours_weather_is_known_when_the_hour_is_over() -> None:
    # published as EWR, 1 January, 1 o'clock in New York: 39.02 °F
    first = weather().iloc[0]
    assert (first["origin"], first["temp"]) == ("EWR", 39.02)
    assert first["observed_at"] == pd.Timestamp("2013-01-01 02:00", tz="America/New_York")


def test_the_faulty_wind_reading_is_missing_and_no_other() -> None:
    rows = weather()
    assert rows["wind_speed"].max() < 50
    assert rows["wind_speed"].isna().sum() == 4 + 1


def test_aircraft_are_known_before_the_first_flight(labelled: pd.DataFrame) -> None:
    rows = planes()
    assert len(rows) == 3_322
    assert rows["tailnum"].is_unique
    assert rows["known_at"].max() < labelled["event_timestamp"].min()
    assert set(rows.dtypes[["year_built", "seats", "engines"]].astype(str)) == {"float64"}
    assert labelled["tailnum"].isin(rows["tailnum"]).mean() == pytest.approx(6 / 7, abs=0.01)


def test_the_join_equals_a_search_by_hand(labelled: pd.DataFrame) -> None:
    gap = labelled[labelled["event_timestamp"] >= pd.Timestamp("2013-12-31", tz="America/New_York")]
    sample = pd.concat([labelled.sample(n=300, random_state=5), gap.sample(n=20, random_state=5)])
    joined = replay.join_features(sample)
    assert len(joined) == len(sample)
    observations, aircraft = weather(), planes()
    for _, row in joined.iterrows():
        here = observations["origin"] == row["origin"]
        known = observations[here & (observations["observed_at"] <= row["event_timestamp"])]
        last = known.sort_values("observed_at").iloc[-1]
        expected = last.drop(["observed_at", "origin"]).astype("float64")
        if last["observed_at"] < row["event_timestamp"] - pd.Timedelta(hours=3):
            expected[:] = np.nan
        pd.testing.assert_series_equal(row[expected.index].astype("float64"), expected, check_names=False)
        entry = aircraft[aircraft["tailnum"] == row["tailnum"]]
        facts = row[["year_built", "seats", "engines"]].astype("float64")
        np.testing.assert_array_equal(facts, entry[facts.index].iloc[0] if len(entry) else [np.nan] * 3)


def test_weather_after_the_moment_changes_nothing(labelled: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = pd.Timestamp("2013-02-08 16:37", tz="UTC")
    before = replay.join_features(labelled[labelled["event_timestamp"] <= moment])

    def spoilt() -> pd.DataFrame:
        rows = weather()
        measures = rows.columns.drop(["origin", "observed_at"])
        rows.loc[rows["observed_at"] > moment, measures] = -1.0
        return rows

    monkeypatch.setattr(replay, "weather", spoilt)
    pd.testing.assert_frame_equal(replay.join_features(labelled[labelled["event_timestamp"] <= moment]), before)
    assert (replay.join_features(labelled)["temp"] == -1.0).any()
