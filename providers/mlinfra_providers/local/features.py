"""The feature store of one environment, as everything outside of its worker sees it: light to import.

    with Features(layout) as features:
        features.apply(spec, folder)
        features.historical(rows, ["airport-weather:wind_speed"], to)

`spec` is JSON: {"name": "airport-weather", "entity": {"name": "origin", "key": "string"},
"event_time": "observed_at", "features": [{"name": "wind_speed", "type": "float64"}], "online": true,
"ttl_seconds": 1209600 or null, "source": "features.py:weather", "source_digest": "sha256:…"}.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlinfra.digests import digest_json
from mlinfra.files import read_kept, write_json
from mlinfra.problems import MlinfraError
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.sources import Columns, Progress, Snapshot, data_folder, newest, snapshot
from mlinfra_providers.local.workers import AsksWorker, Worker

WORKER = "mlinfra_providers.local.feast_worker"


def schema_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what a change of a feature store's specification would break for its readers; [] is a change in place.

    Feast accepts all of these: readers then fail, and a removed column that comes back shows its old values.
    """
    broken = []
    for field in ("name", "key"):
        if old["entity"][field] != new["entity"][field]:
            broken.append(f"entity.{field} changes from {old['entity'][field]!r} to {new['entity'][field]!r}")
    if old["event_time"] != new["event_time"]:
        broken.append(f"event_time changes from {old['event_time']!r} to {new['event_time']!r}")
    types = {feature["name"]: feature["type"] for feature in new["features"]}
    for feature in old["features"]:
        name, kind = feature["name"], feature["type"]
        if name not in types:
            broken.append(f"feature {name!r} ({kind}) is removed")
        elif types[name] != kind:
            broken.append(f"feature {name!r} changes from {kind} to {types[name]}")
    return broken


class Features(AsksWorker):
    """The feature store of one environment; keeps its worker until closed, so that calls after the first are fast."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        layout.features.mkdir(parents=True, exist_ok=True)
        self._worker = Worker(WORKER, folder=layout.features)

    def apply(
        self,
        spec: Mapping[str, Any],
        folder: Path,
        *,
        refresh_seconds: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Create a feature store, or change it in place: read its source, declare it, materialize it.

        `folder` is the stack's folder. The source is read again when its digest changed, or the last reading is
        older than `refresh_seconds`, or with `force`. Returns what `read` returns.

        Raises:
            Refused: types change, or columns are removed; nothing was changed.
            MlinfraError: the source fails, or its rows do not fit the declaration.
        """
        self._worker.call("check", spec=spec)
        rows = self.snapshot(spec, folder, refresh_seconds=refresh_seconds, force=force, progress=progress)
        if progress is not None:
            progress(f"declaring {spec['name']}" + (", writing its newest values" if spec["online"] else ""))
        state: dict[str, Any] = self._worker.call(
            "apply", spec=spec, path=str(rows.path), digest=rows.digest, rows=rows.rows
        )
        return state

    def snapshot(
        self,
        spec: Mapping[str, Any],
        folder: Path,
        *,
        refresh_seconds: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Read a feature store's source, or find it read, and return its checked rows."""
        columns = Columns(
            entity=spec["entity"]["name"],
            key=spec["entity"]["key"],
            event_time=spec["event_time"],
            features={feature["name"]: feature["type"] for feature in spec["features"]},
        )
        return snapshot(
            self._layout,
            spec["name"],
            spec["source"],
            folder,
            digest=spec["source_digest"],
            columns=columns,
            refresh_seconds=refresh_seconds,
            force=force,
            progress=progress,
        )

    def rows(self, name: str) -> Snapshot:
        """Return all rows of a feature store, as a training job reads them that names it as an input.

        Raises:
            MlinfraError: it was not applied yet.
        """
        found = newest(self._layout, name)
        if found is None:
            raise MlinfraError(f"feature store {name!r} has no rows in this environment", remedy="mlinfra up makes it")
        return found

    def materialize(self, name: str) -> dict[str, Any]:
        """Write the newest value of every entity into the online store again; returns what `read` returns."""
        state: dict[str, Any] = self._worker.call("materialize", name=name)
        return state

    def read(self, name: str) -> dict[str, Any] | None:
        """Return what is really there, or None where it is missing (or a table or file of it).

        The specification's fields, and `data_digest`, `rows`, `online_rows` (entities with online values; None when
        not online), `materialized` (whether the online values are those of the declaration).
        """
        state: dict[str, Any] | None = self._worker.call("read", name=name)
        return state

    def delete(self, name: str, *, destroy_data: bool) -> list[Path]:
        """Delete a feature store with its data and return []; without `destroy_data` return what was kept: all.

        A kept feature store is found again by the next `apply`.
        """
        data = data_folder(self._layout, name)
        if not destroy_data:
            return [path for path in (self._layout.features, data) if path.exists()]
        self._worker.call("delete", name=name)
        shutil.rmtree(data, ignore_errors=True)
        return []

    def historical(self, rows: Path, features: Sequence[str], to: Path) -> dict[str, Any]:
        """Join features (`view:column`) to the rows of a Parquet file, each as of its `event_timestamp`.

        Writes `to`: the given rows and columns in their order, then the features; the number of rows is asserted.
        A feature is null where nothing was known yet, or what was known is older than the view's time to live.
        Returns {"digest", "rows", "columns": [[name, type], …]}.

        Raises:
            MlinfraError: a column or feature is missing or occurs twice, or rows were lost.
        """
        joined: dict[str, Any] = self._worker.call(
            "historical", rows=str(rows.resolve()), features=list(features), to=str(to.resolve())
        )
        return joined

    def dataset(
        self,
        name: str,
        source: str,
        folder: Path,
        views: Sequence[str],
        *,
        digest: str = "",
        refresh_seconds: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Return the rows that `source` gives, joined with all features of `views`: an input of a training job.

        The join is kept by the digests of the rows and of the views, and made again when one of them changes.

        Raises:
            MlinfraError: the source fails, a view is missing, or the join cannot be made.
        """
        rows = snapshot(
            self._layout,
            name,
            source,
            folder,
            digest=digest,
            refresh_seconds=refresh_seconds,
            force=force,
            progress=progress,
        )
        if not views:
            return rows
        states = {view: self._worker.call("known", name=view) for view in views}
        columns = [f"{view}:{feature['name']}" for view in views for feature in states[view]["features"]]
        key = digest_json(
            {
                "rows": rows.digest,
                "views": {view: [state["data_digest"], state["ttl_seconds"]] for view, state in states.items()},
                "features": columns,
            }
        )
        joined = data_folder(self._layout, name) / "joined" / f"{key.removeprefix('sha256:')}.parquet"
        about = joined.with_suffix(".json")
        made = read_kept(about) if joined.is_file() else None
        if made is None:
            if progress is not None:
                progress(f"joining {rows.rows:,} rows with {', '.join(views)}")
            made = self.historical(rows.path, columns, joined)
            write_json(about, made, durable=True)
            for old in set(joined.parent.iterdir()) - {joined, about}:
                old.unlink(missing_ok=True)
        return Snapshot(name, joined, made["digest"], made["rows"], dict(made["columns"]), rows.read_at)

    def online(
        self, name: str, keys: Sequence[str | int], features: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the newest values for each key, by feature name; None where nothing is known."""
        values: list[dict[str, Any]] = self._worker.call(
            "online", name=name, keys=list(keys), features=list(features) if features is not None else None
        )
        return values

    def feature_service(self, name: str, features: Sequence[str]) -> None:
        """Keep which features (`view:column`) one model version reads; the same again is fine, others are refused."""
        self._worker.call("feature_service", name=name, features=list(features))
