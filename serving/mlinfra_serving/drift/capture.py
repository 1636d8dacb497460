"""The captured requests of one release in one window of time."""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.compute as compute  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from mlinfra.durations import seconds
from mlinfra.problems import MlinfraError

log = logging.getLogger(__name__)

OWN_COLUMNS = ("request_id", "time", "release", "mirrored")
_DATE_FOLDER = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class Window:
    """A span of time, start included, end not; None: without that limit."""

    start: datetime | None
    end: datetime | None

    def holds_day(self, day: date) -> bool:
        """Return whether a folder of this UTC day may hold requests of the window.

        A day to spare on either side: a request just before midnight may be written just after it.
        """
        start, end = (limit.date() if limit else None for limit in (self.start, self.end))
        spare = timedelta(days=1)
        return (start is None or day >= start - spare) and (end is None or day <= end + spare)

    def to_json(self) -> dict[str, str | None]:
        return {
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
        }


@dataclass(frozen=True)
class Captured:
    """What was read: `frame` holds the model's columns and `prediction`; unreadable files are named with a reason."""

    frame: pd.DataFrame
    files: int
    mirrored: int
    unreadable: dict[str, str]


def parse_window(text: str, now: datetime) -> Window:
    """Return the window that `1h`, `2013-07-01..2013-08-01T00:00:00Z` or `all` means at `now`.

    Raises:
        MlinfraError: none of these, or an end that is not after the start. Times without a zone are UTC.
    """
    if text == "all":
        return Window(None, None)
    try:
        if ".." not in text:
            return Window(now - timedelta(seconds=seconds(text)), now)
        start, end = (_moment(part) for part in text.split("..", 1))
    except (ValueError, OverflowError) as error:
        raise MlinfraError(
            f"{text!r} is not a window: {error}",
            remedy="use a duration (1h), two ISO times (2013-07-01..2013-08-01T00:00:00Z) or all",
        ) from error
    if end <= start:
        raise MlinfraError(
            f"the window {text!r} ends before it starts", remedy="put the earlier time first; the end is not included"
        )
    return Window(start, end)


def read_capture(place: Path | str, release: str, window: Window) -> Captured:
    """Return the rows that `release` answered in `window`, mirrored ones excluded, from `place/release/date=…/`.

    `place` is a folder, or a URL that fsspec reads. A file that cannot be read is skipped, logged and named in the
    answer: one broken file must not stop the watching of all others. A place that is not there is a release that was
    not asked yet.

    Raises:
        MlinfraError: the URL cannot be read.
    """
    if isinstance(place, Path):
        return _read(place, release, window)
    with tempfile.TemporaryDirectory(prefix="mlinfra-captured-") as scratch:
        _fetch(place, release, window, Path(scratch))
        return _read(Path(scratch), release, window)


def _fetch(url: str, release: str, window: Window, folder: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    try:
        files, root = fsspec.core.url_to_fs(url)
        for path in files.glob(f"{root}/{release}/date=*/*.parquet"):
            here = folder / release / Path(path).parent.name / Path(path).name
            if _of_window(here, window):
                here.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(path, str(here))
    except Exception as error:  # every storage library has errors of its own
        raise MlinfraError(
            f"the captured requests in {url} cannot be read: {type(error).__name__}: {error}",
            remedy="check that the job's identity may read them",
        ) from error


def _of_window(file: Path, window: Window) -> bool:
    found = _DATE_FOLDER.fullmatch(file.parent.name)
    return found is not None and window.holds_day(date.fromisoformat(found[1]))


def _read(folder: Path, release: str, window: Window) -> Captured:
    tables, mirrored, files = [], 0, 0
    unreadable: dict[str, str] = {}
    for file in sorted((folder / release).glob("date=*/*.parquet")):
        if not _of_window(file, window):
            continue
        files += 1
        try:
            table = _within(parquet.ParquetFile(file).read(), window)
            shadows = compute.fill_null(table["mirrored"], False)
            mirrored += compute.sum(shadows).as_py() or 0
            tables.append(table.filter(compute.invert(shadows)))
        except (OSError, KeyError, ValueError, TypeError, arrow.ArrowException) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            unreadable[str(file.relative_to(folder))] = reason
            log.warning("skipped captured file %s: %s", file, reason)
    return Captured(_frame(tables), files, mirrored, unreadable)


def _frame(tables: list[arrow.Table]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame()
    try:
        whole = arrow.concat_tables(tables, promote_options="permissive")
    except arrow.ArrowException:
        # one column with unlike types in two files, which pandas can hold together and arrow can not
        frame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    else:
        frame = whole.to_pandas()
    kept: pd.DataFrame = frame.drop(columns=[name for name in OWN_COLUMNS if name in frame.columns])
    return kept


def _within(table: arrow.Table, window: Window) -> arrow.Table:
    moments = arrow.timestamp("us", tz="UTC")
    for limit, compared in ((window.start, compute.greater_equal), (window.end, compute.less)):
        if limit is not None:
            times = compute.cast(table["time"], moments)
            table = table.filter(compared(times, arrow.scalar(limit, type=moments)))
    return table


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
