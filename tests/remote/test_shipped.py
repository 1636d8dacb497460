"""What servers copied to the store comes here once, and only that of the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlinfra import Capture, Endpoint
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.testing.specimens import MODEL
from mlinfra_providers.remote.shipped import Shipped, shipped_url

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ENDPOINT = Endpoint("api", model=MODEL, runtime="sklearn", capture=Capture(percent=100))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    written = {"name": "prod", "target": "x", "stacks": ["a"], "artifacts": (tmp_path / "store").as_uri()}
    return Environment.model_validate(written)


def ship(environment: Environment, moment: datetime, content: bytes = b"rows") -> str:
    """Write a file as a server does that began it at a moment; return its name."""
    folder = Path(shipped_url(environment, ENDPOINT).removeprefix("file://")) / "r" / f"date={moment:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{moment:%Y%m%dT%H%M%S}-x.parquet"
    (folder / name).write_bytes(content)
    return f"{folder.name}/{name}"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder / "r").as_posix() for path in folder.glob("r/*/*.parquet")}


def test_files_of_the_window_come_once(environment: Environment, tmp_path: Path) -> None:
    moments = (-60, -1, 5, 60)
    before, open_still, inside, after = (ship(environment, MIDNIGHT + number * MINUTE) for number in moments)
    shipped, here = Shipped(environment), tmp_path / "here"
    shipped.bring(ENDPOINT, "r", MIDNIGHT, MIDNIGHT + 10 * MINUTE, here)
    assert names(here) == {open_still, inside}
    (here / "r" / inside).write_bytes(b"mine")
    shipped.bring(ENDPOINT, "r", None, None, here)
    assert names(here) == {before, open_still, inside, after}
    assert (here / "r" / inside).read_bytes() == b"mine"


def test_nothing_captured_is_nothing(environment: Environment, tmp_path: Path) -> None:
    Shipped(environment).bring(ENDPOINT, "r", MIDNIGHT, None, tmp_path / "here")
    assert names(tmp_path / "here") == set()


def test_a_store_that_cannot_be_read_is_named(environment: Environment, tmp_path: Path) -> None:
    written = environment.model_copy(update={"artifacts": "nosuch://bucket"})
    with pytest.raises(MlinfraError, match="captured requests in nosuch://bucket/captured/prod/api"):
        Shipped(written).bring(ENDPOINT, "r", MIDNIGHT, None, tmp_path)
