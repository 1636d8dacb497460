"""Labelled flights: all of them, at the right moment, and with nothing that was not known at that moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks.flight_delay.data import label_flights

OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def blizzard(published: pd.DataFrame) -> pd.DataFrame:
    """The blizzard of 8 February, the day before and the day after: long queues, many cancellations."""
    return published.query("month == 2 and day in (7, 8, 9)").reset_index(drop=True)


def scheduled(table: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(table["time_hour"], utc=True) + pd.to_timedelta(table["minute"], unit="min")


def left_at(table: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    return scheduled(table) + pd.to_timedelta(table["dep_delay"], unit="min")


def inputs_of(table: pd.DataFrame, row: int) -> dict[str, object]:
    """The features of one flight of a table, whatever happened to the others; the label is left out."""
    arrived = table.assign(arr_delay=table["arr_delay"].fillna(0.0))
    return dict(label_flights(arrived).drop(columns="late").iloc[row])


def test_every_flight_is_read_and_every_arrived_one_is_labelled(
    published: pd.DataFrame, labelled: pd.DataFrame
) -> None:
    assert len(published) == 336_776
    assert published["arr_delay"].isna().sum() == 9_430
    assert len(labelled) == 336_776 - 9_430
    assert labelled["late"].sum() == (published["arr_delay"] > 15).sum()


def test_outcomes_are_no_columns(labelled: pd.DataFrame) -> None:
    assert not set(OUTCOMES) & set(labelled.columns)
    assert not labelled.drop(columns="origin_delay").isna().any().any()


def test_the_moment_is_the_scheduled_departure_in_winter_and_in_summer(labelled: pd.DataFrame) -> None:
    assert labelled["event_timestamp"].dtype == "datetime64[us, UTC]"
    first = labelled.iloc[0]
    assert (first["carrier"], first["flight"], first["dep_hour"]) == ("UA", 1545, 5.25)
    assert first["event_timestamp"] == pd.Timestamp("2013-01-01 05:15", tz="America/New_York")
    summer = labelled[labelled["event_timestamp"] == pd.Timestamp("2013-07-04 10:00", tz="UTC")]
    assert set(summer["dep_hour"]) == {6.0}
    assert set(summer["weekday"]) == {3.0}


def test_flight_and_moment_identify_a_row(labelled: pd.DataFrame) -> None:
    assert not labelled.duplicated(["event_timestamp", "origin", "carrier", "flight"]).any()


def test_origin_delay_is_the_mean_of_the_others_that_left_in_the_last_hour(blizzard: pd.DataFrame) -> None:
    table = label_flights(blizzard.assign(arr_delay=0.0))
    left = left_at(blizzard)
    missing = 0
    for row in blizzard.sample(n=400, random_state=1).index:
        moment = table.loc[row, "event_timestamp"]
        others = (
            (blizzard.index != row)
            & (blizzard["origin"] == blizzard.loc[row, "origin"])
            & (left >= moment - HOUR)
            & (left < moment)
        )
        missing += not others.any()
        expected = blizzard.loc[others, "dep_delay"].mean()
        np.testing.assert_allclose(table.loc[row, "origin_delay"], expected, rtol=1e-12)
    assert 0 < missing < 400


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_nothing_that_happens_after_the_moment_changes_a_flights_inputs(
    blizzard: pd.DataFrame, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(blizzard) - 1), label="row")
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32), label="dice"))
    moment = scheduled(blizzard)[row]
    table = blizzard.copy()
    # Those that are not gone at this flight's moment leave at any time from then on, or never.
    waiting = table.index[~(left_at(table) < moment)]
    soonest = (moment - scheduled(table)[waiting]) / pd.Timedelta(minutes=1)
    later = dice.integers(0, 600, len(waiting)).astype("float64")
    table.loc[waiting, "dep_delay"] = soonest + np.where(dice.random(len(waiting)) < 0.1, np.nan, later)
    # What the flight itself does is its outcome at any time, leaving early included.
    table.loc[row, "dep_delay"] = data.draw(st.one_of(st.just(np.nan), st.integers(-60, 600)), label="own delay")
    changed = waiting.union([row])
    for outcome in set(OUTCOMES) - {"dep_delay"}:
        table.loc[changed, outcome] = dice.choice([np.nan, -30.0, 0.0, 500.0], len(changed))

    before, after = inputs_of(blizzard, row), inputs_of(table, row)
    pd.testing.assert_series_equal(pd.Series(before), pd.Series(after), check_exact=True)


def test_what_happened_before_the_moment_does_change_the_inputs(blizzard: pd.DataFrame) -> None:
    row = 1_000
    moment = scheduled(blizzard)[row]
    left = left_at(blizzard)
    past = (blizzard["origin"] == blizzard.loc[row, "origin"]) & (left >= moment - HOUR) & (left < moment)
    table = blizzard.copy()
    table.loc[past, "dep_delay"] -= 0.5
    assert past.any()
    assert inputs_of(table, row)["origin_delay"] == pytest.approx(inputs_of(blizzard, row)["origin_delay"] - 0.5)  # type: ignore[operator]
