"""Captured requests that the server itself copied to a store of the environment (mlinfra_serving.shipping)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment
from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError
from mlinfra_providers.short_names import short_name

_DAY = timedelta(days=1)
_LIMIT = 63


def shipped_url(environment: Environment, endpoint: Endpoint) -> str:
    """Return where the servers of an endpoint copy what they capture: beside the environment's artifacts."""
    called = short_name(endpoint.renamed_from or endpoint.name, limit=_LIMIT)
    return f"{(environment.artifacts or '').rstrip('/')}/captured/{environment.name}/{called}"


class Shipped:
    """Implements `mlinfra_providers.remote.watching.Captured`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def bring(
        self, endpoint: Endpoint, release: str, since: datetime | None, until: datetime | None, folder: Path
    ) -> None:
        """Fetch the files of the window's days that are not here yet and may hold rows of it."""
        import fsspec  # type: ignore[import-untyped]

        from mlinfra_providers.local.captured import may_hold

        url = shipped_url(self._environment, endpoint)
        try:
            files, root = fsspec.core.url_to_fs(url)
            files.invalidate_cache()
            for day in _days(files, f"{root}/{release}", since, until):
                for path in _ls(files, day):
                    here = folder / release / PurePosixPath(day).name / PurePosixPath(path).name
                    begun = since is None or may_hold(here.stem, since, until or datetime.now(UTC))
                    if begun and here.suffix == ".parquet" and not here.exists():
                        write_atomically(here, files.cat_file(path))
        except Exception as error:  # every storage library has errors of its own
            raise MlinfraError(
                f"the captured requests in {url} cannot be read: {type(error).__name__}: {error}",
                remedy="check that whoever runs this may read the environment's artifacts",
            ) from error


def _days(files: Any, root: str, since: datetime | None, until: datetime | None) -> Iterator[str]:
    """Yield the folders of a window's days: the day before, too, as a file is open for some seconds."""
    if since is None:
        yield from (path for path in _ls(files, root) if PurePosixPath(path).name.startswith("date="))
        return
    day = (since.astimezone(UTC) - _DAY).date()
    while day <= (until or datetime.now(UTC)).astimezone(UTC).date():
        yield f"{root}/date={day}"
        day += _DAY


def _ls(files: Any, path: str) -> list[str]:
    try:
        return sorted(str(found) for found in files.ls(path, detail=False))
    except FileNotFoundError:
        return []
