"""Envoy's access log, read by release: requests, errors and latencies of a window, and no more of it than needed."""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson

from mlinfra_providers.local.ports import HOST

LONGEST_REQUEST = timedelta(seconds=70)
"""Lines are in the order in which requests ended, and tell when they began: this much before at most."""

_SEARCHED_BYTES = 64 << 10
_OTHER_RELEASE_ATTEMPT = 3
_SERVER_ERROR = 500


@dataclass
class Seen:
    """What the log says of one release; `latencies_ms` has one number for each request that it answered."""

    requests: int = 0
    errors: int = 0
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Reading:
    """A window of the log: `start` is later than what was asked for when older lines are not kept any more."""

    start: datetime
    releases: Mapping[str, Seen]


def read_access_log(path: Path, traffic: Mapping[str, Any], since: datetime, until: datetime) -> Reading:
    """Return what the log has of requests that began in a window, its start included, its end not.

    `traffic` (`upstreams`: ports by release, `weights`) says whose a request was that nobody answered. Only predictions
    count: mirrored requests, and Envoy's own probes, are not in this log.

    Raises:
        FileNotFoundError: there is no log yet.
    """
    by_host = {f"{HOST}:{port}": release for release, port in traffic["upstreams"].items()}
    serving = [release for release, weight in traffic["weights"].items() if weight]
    first, last = _text(since), _text(until)
    releases: defaultdict[str, Seen] = defaultdict(Seen)
    oldest, lines = _lines(path, _text(since - LONGEST_REQUEST))
    for line in lines:
        entry = _entry(line)
        if entry is None or not first <= entry["time"] < last or not _is_prediction(entry["method"], entry["path"]):
            continue
        answered, failed = _whose(entry, by_host, serving)
        for release in failed:
            releases[release].requests += 1
            releases[release].errors += 1
        if answered is not None:
            seen = releases[answered]
            seen.requests += 1
            seen.errors += entry["status"] >= _SERVER_ERROR
            duration = entry["upstream_us"] or entry["duration_us"]
            if duration is not None:
                seen.latencies_ms.append(duration / 1000)
    return Reading(max(since, oldest) if oldest else since, releases)


def _whose(
    entry: Mapping[str, Any], by_host: Mapping[str, str], serving: list[str]
) -> tuple[str | None, Sequence[str]]:  # fmt: skip
    """Return the release that answered a request, and those that should have and did not."""
    meant = by_host.get(entry["upstream"] or "")
    release, status = entry["release"], entry["status"]
    if release is None and 0 < status < _SERVER_ERROR:
        release = meant  # None: an answer of Envoy's own, such as to a body that is too large
    if release is not None:
        # Two attempts are made at the release that was chosen before another one stands in for it.
        if (entry["attempts"] or 0) < _OTHER_RELEASE_ATTEMPT:
            return release, ()
        others = [name for name in serving if name != release]
        return release, others if len(others) == 1 else ()
    if 0 < status < _SERVER_ERROR:
        return None, ()
    if meant is not None:
        return None, [meant]
    # Nobody could be reached, unless it was the client who left before anybody was.
    return None, () if "DC" in (entry["flags"] or "") else serving


@lru_cache(maxsize=1000)
def _is_prediction(method: str | None, path: str | None) -> bool:
    return method == "POST" and path is not None and path.partition("?")[0].endswith("/infer")


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = orjson.loads(line)
        return entry if isinstance(entry["time"], str) and isinstance(entry["status"], int) else None
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None


def _lines(path: Path, first: str) -> tuple[datetime | None, Sequence[bytes]]:
    """Return the time of the oldest line where older ones are gone, and the lines from about `first` on."""
    with ExitStack() as opened:
        # The newer file first: if the files are rotated in between, it is the older one too, and is read once.
        files = [opened.enter_context(path.open("rb"))]
        try:
            older = opened.enter_context(path.with_name(f"{path.name}.1").open("rb"))
        except FileNotFoundError:
            pass
        else:
            if os.fstat(older.fileno()).st_ino != os.fstat(files[0].fileno()).st_ino:
                files.insert(0, older)
        # The older file may begin within a line.
        oldest = _time_at(files[0], 0) or _time_at(files[0], 1) if len(files) > 1 else None
        content = b"".join(_from(file, first) for file in files)
    moment = datetime.fromisoformat(oldest) if oldest and oldest > first else None
    return moment, content.splitlines()


def _from(file: IO[bytes], first: str) -> bytes:
    """Return the content from the last place found behind which lines are older than `first`."""
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _SEARCHED_BYTES:
        middle = (low + high) // 2
        time = _time_at(file, middle)
        low, high = (middle, high) if time is not None and time < first else (low, middle)
    file.seek(low)
    if low:
        file.readline()
    return file.read()


def _time_at(file: IO[bytes], offset: int) -> str | None:
    """Return the time of the first whole line after `offset`, or None where there is none."""
    file.seek(offset)
    if offset:
        file.readline()
    entry = _entry(file.readline())
    return None if entry is None else str(entry["time"])


def _text(time: datetime) -> str:
    """Return a time as the log writes it; such texts are in order as times are."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
