"""Labels that arrive later, kept under a URL of the environment: a file for each time that some were added.

    <url>/<moment in UTC>-<random>.parquet        request_id, label

Of two labels for one request the later one counts. Who adds to many files writes all of them as one.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.problems import MlinfraError

if TYPE_CHECKING:
    import pyarrow as arrow  # type: ignore[import-untyped]

MOST_FILES = 20


class Labels:
    """The labels of one endpoint."""

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url.rstrip("/")
        options = {"auto_mkdir": True} if url.startswith("file:") else {}
        self._files, self._root = fsspec.core.url_to_fs(self.url, **options)

    def add(self, labels: Mapping[str, float]) -> int:
        """Keep labels by request id; return how many were not known before.

        Raises:
            MlinfraError: what is kept cannot be read, or nothing can be written.
        """
        if not labels:
            return 0
        with self._explained():
            paths = self._paths()
            known = self._read(paths)
            new = len(labels.keys() - known.keys())
            together = len(paths) >= MOST_FILES
            self._write({**known, **labels} if together else labels)
            for path in paths if together else ():
                self._files.rm_file(path)
        return new

    def table(self) -> arrow.Table | None:
        """Return one label for each request id that has one: `request_id`, `label`; None where there are none."""
        import pyarrow as arrow

        with self._explained():
            known = self._read(self._paths())
        return arrow.table([list(known), list(known.values())], schema=_schema()) if known else None

    def _paths(self) -> list[str]:
        self._files.invalidate_cache()
        try:
            return sorted(str(path) for path in self._files.ls(self._root, detail=False))
        except FileNotFoundError:
            return []

    def _read(self, paths: list[str]) -> dict[str, float]:
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]

        known: dict[str, float] = {}
        for path in paths:
            try:
                content = self._files.cat_file(path)
            except FileNotFoundError:
                continue  # put together with others meanwhile
            table = parquet.read_table(io.BytesIO(content), schema=_schema())
            known |= dict(zip(table["request_id"].to_pylist(), table["label"].to_pylist(), strict=True))
        return known

    def _write(self, labels: Mapping[str, float]) -> None:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        table = arrow.table([list(labels), [float(label) for label in labels.values()]], schema=_schema())
        file = arrow.BufferOutputStream()
        parquet.write_table(table, file, compression="zstd")
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex}.parquet"
        self._files.pipe_file(f"{self._root}/{name}", file.getvalue().to_pybytes())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import pyarrow as arrow

        try:
            yield
        except (OSError, arrow.ArrowException) as error:
            raise MlinfraError(f"the labels in {self.url} cannot be read or written: {error}") from error


def _schema() -> Any:
    import pyarrow as arrow

    return arrow.schema([("request_id", arrow.string()), ("label", arrow.float64())])
