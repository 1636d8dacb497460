"""Requests made from real flights: valid, drawn repeatably, and holding what the training rows hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from stacks.flight_delay.replay import requests
from stacks.flight_delay.train import CATEGORIES, inputs_of_model

SCRIPT = Path(__file__).parents[2] / "stacks" / "flight_delay" / "replay.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_the_command_prints_one_body_per_flight_and_the_same_ones_again() -> None:
    printed = run("--month", "4", "--rows", "40")
    assert printed.returncode == 0, printed.stderr
    bodies = [json.loads(line) for line in printed.stdout.splitlines()]
    assert bodies == list(requests([4], 40))
    assert len({body["id"] for body in bodies}) == 40
    assert bodies != list(requests([4], 40, seed=1))
    for body in bodies:
        assert body["id"].startswith(("2013-04-", "2013-05-01T0"))
        assert {tensor["name"] for tensor in body["inputs"]} == set(inputs_of_model({}))
        for tensor in body["inputs"]:
            assert tensor["shape"] == [1]
            assert len(tensor["data"]) == 1
            assert tensor["datatype"] == ("BYTES" if tensor["name"] in CATEGORIES else "FP64")


def test_a_body_holds_the_values_of_the_training_row(joined: pd.DataFrame) -> None:
    rows = joined.set_index(["event_timestamp", "origin", "carrier", "flight"])
    nulls = 0
    for body in requests([1, 2, 3], 100, seed=3):
        moment, origin, carrier, flight = body["id"].rsplit("-", 3)
        row = rows.xs((pd.Timestamp(moment), origin, carrier, int(flight)))
        given = {tensor["name"]: tensor["data"][0] for tensor in body["inputs"]}
        assert (given.pop("origin"), given.pop("carrier"), given.pop("dest")) == (origin, carrier, row["dest"])
        nulls += sum(value is None for value in given.values())
        expected = row[list(given)].astype("float64")
        np.testing.assert_array_equal(np.array(list(given.values()), dtype="float64"), expected)
    assert nulls > 0


def test_a_months_flights_are_those_of_new_yorks_month(labelled: pd.DataFrame) -> None:
    july = labelled["event_timestamp"].dt.tz_convert("America/New_York").dt.month == 7
    moments = [body["id"][:17] for body in requests([7])]
    assert len(moments) == july.sum()
    assert moments == sorted(moments)


def test_more_rows_than_there_are_is_an_error_without_a_traceback() -> None:
    refused = run("--month", "2", "--rows", "1000000")
    assert refused.returncode == 2
    assert "1000000 rows asked for" in refused.stderr
    assert "Traceback" not in refused.stderr
