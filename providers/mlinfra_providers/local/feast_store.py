"""The feature store of one environment, through Feast. Imports Feast (5 s): for `feast_worker`, never for others.

    <environment>/features/registry.pb      what is declared
    <environment>/features/online.db        SQLite: the newest values by entity
    <environment>/features/<name>.json      what was materialized last

Paths in the registry are relative to this folder, which is the process's working directory, so a project that is
moved keeps working.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from feast import Entity, FeatureService, FeatureStore, FeatureView, FileSource
from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException
from feast.repo_config import RepoConfig
from filelock import FileLock

from mlinfra.files import read_kept, write_json
from mlinfra.problems import MlinfraError, Refused, nearest
from mlinfra_providers.local import offline_store
from mlinfra_providers.local.feast_views import (
    KEY_VERSION,
    KEYS,
    ONLINE,
    PROJECT,
    declared_view,
    drop_online,
    fingerprint,
    marker,
    online_rows,
    remove_departed,
    type_of,
)
from mlinfra_providers.local.features import schema_changes
from mlinfra_providers.local.tables import TIME, digest_table, read_table, type_name, write_table

EVENT_TIMESTAMP = "event_timestamp"
_REGISTRY = "registry.pb"
_NEXT_REGISTRY = "registry.next.pb"


class Store:
    """Feast's feature store in `folder`; makes `folder` the process's working directory."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        self._store: FeatureStore | None = None
        self._seen: tuple[int, int] | None = None
        self._views: dict[str, FeatureView] = {}  # Feast parses a view again each time: milliseconds a lookup

    def read(self, name: str) -> dict[str, Any] | None:
        """Return what is really there, or None where view, online table or offline file is missing."""
        view = self._view(name)
        if view is None:
            return None
        source = view.batch_source
        assert isinstance(source, FileSource)
        tags = dict(view.tags)
        counted = online_rows(name)
        if not Path(source.path).is_file() or (view.online and counted is None):
            return None
        key = view.entity_columns[0]
        return {
            "name": name,
            "entity": {"name": key.name, "key": type_of(key)},
            "event_time": source.timestamp_field,
            "features": [{"name": field.name, "type": type_of(field)} for field in view.features],
            "online": view.online,
            "ttl_seconds": int(view.ttl.total_seconds()) if view.ttl else None,
            "source": tags["mlinfra.source"],
            "source_digest": tags["mlinfra.source_digest"],
            "data_digest": tags["mlinfra.data_digest"],
            "rows": int(tags["mlinfra.rows"]),
            "online_rows": counted if view.online else None,
            "materialized": not view.online or read_kept(marker(name)) == fingerprint(view),
        }

    def state(self, name: str) -> dict[str, Any]:
        """Return what `read` returns.

        Raises:
            MlinfraError: there is no such feature store, or a part of it is missing.
        """
        self._known(name)
        state = self.read(name)
        if state is None:
            raise MlinfraError(
                f"feature store {name!r} has lost its data or its online table",
                remedy="mlinfra up --refresh makes it again",
            )
        return state

    def check(self, spec: Mapping[str, Any]) -> None:
        """Refuse a change of `spec` against what is there that would break readers.

        Raises:
            Refused: types changed, columns went, or another view's entity of this name has another type.
        """
        name = str(spec["name"])
        view = self._view(name)
        current = self.read(name) if view is not None else None
        if view is not None and current is None:
            # A file or table is gone, but readers may still hold the schema.
            current = {
                "entity": {"name": view.entity_columns[0].name, "key": type_of(view.entity_columns[0])},
                "event_time": spec["event_time"],
                "features": [{"name": field.name, "type": type_of(field)} for field in view.features],
            }
        reasons = schema_changes(current, spec) if current is not None else []
        entity = spec["entity"]
        for other in self._feast().list_feature_views():
            key = other.entity_columns[0]
            if other.name != name and key.name == entity["name"] and type_of(key) != entity["key"]:
                reasons.append(
                    f"entity {key.name!r} is {type_of(key)} in {other.name}, declared here is {entity['key']}"
                )
        if reasons:
            raise Refused(
                "\n  - ".join([f"feature store {name!r} cannot be changed in place:", *reasons]),
                remedy="declare a new feature (or feature store) under another name, and keep the old one until "
                "nothing reads it",
            )

    def apply(self, spec: Mapping[str, Any], path: str, digest: str, rows: int) -> dict[str, Any]:
        """Create the view, or change it in place, over the Parquet file at `path`, and materialize it.

        Raises:
            Refused: see `check`.
        """
        with self._lock():
            self.check(spec)
            name = str(spec["name"])
            view = declared_view(spec, os.path.relpath(path), digest, rows)
            missing = self.read(name) is None
            if missing:
                marker(name).unlink(missing_ok=True)
            if missing or fingerprint(self._view(name)) != fingerprint(view):
                entity = Entity(
                    name=spec["entity"]["name"],
                    join_keys=[spec["entity"]["name"]],
                    value_type=KEYS[spec["entity"]["key"]],
                )
                with self._next() as store:
                    store.apply([entity, view])
            if view.online:
                self._materialize(name)
            else:
                drop_online(name)
            return self.state(name)

    def materialize(self, name: str) -> dict[str, Any]:
        """Write the newest value of every entity into the online store again.

        Raises:
            MlinfraError: there is no such feature store, or it is not online.
        """
        with self._lock():
            view = self._known(name)
            if not view.online:
                raise MlinfraError(f"feature store {name!r} is not online", remedy="declare it with online=True")
            marker(name).unlink(missing_ok=True)
            self._materialize(name)
            return self.state(name)

    def delete(self, name: str) -> bool:
        """Remove the view, its services and its online values; say whether it was there."""
        with self._lock():
            view = self._view(name)
            if view is not None:
                with self._next() as store:
                    for service in store.list_feature_services():
                        if any(projection.name == name for projection in service.feature_view_projections):
                            store.delete_feature_service(service.name)
                    store.delete_feature_view(name)
                    key = view.entity_columns[0].name
                    if not any(other.entity_columns[0].name == key for other in store.list_feature_views()):
                        store.registry.delete_entity(key, PROJECT, commit=True)
            drop_online(name)
            return view is not None

    def feature_service(self, name: str, features: Sequence[str]) -> None:
        """Keep which features one model version reads, under `name`; the same again is fine.

        Raises:
            Refused: the service exists with other features.
            MlinfraError: a feature does not exist.
        """
        with self._lock():
            wanted = self._references(features)
            try:
                existing = self._feast().get_feature_service(name)
            except FeatureServiceNotFoundException:
                existing = None
            if existing is not None:
                found = {
                    view.name: [field.name for field in view.features] for view in existing.feature_view_projections
                }
                if found != wanted:
                    raise Refused(
                        f"feature service {name!r} exists with other features: {found}",
                        remedy="a model version's features never change; take another name",
                    )
                return
            with self._next() as store:
                views = [store.get_feature_view(view)[columns] for view, columns in wanted.items()]
                store.apply([FeatureService(name=name, features=views)])

    def historical(self, rows: str, features: Sequence[str], to: str) -> dict[str, Any]:
        """Join features (`view:column`) to the Parquet file `rows` as of each row's `event_timestamp`.

        The result, written to `to`, has exactly the given rows, in their order, and the features behind them.

        Raises:
            MlinfraError: a column is missing or occurs twice, or the join lost or repeated a row.
        """
        table = read_table(Path(rows))
        wanted = self._references(features)
        keys = list(dict.fromkeys(self._known(view).entity_columns[0].name for view in wanted))
        _check_rows(table, rows, keys, [column for columns in wanted.values() for column in columns])
        position = "__mlinfra_row"
        asked = table.select([*keys, EVENT_TIMESTAMP]).append_column(
            position, pa.array(range(table.num_rows), pa.int64())
        )
        joined = (
            self._feast()
            .get_historical_features(entity_df=asked.to_pandas(), features=list(features))
            .to_arrow()
            .sort_by(position)
        )
        if not joined.column(position).combine_chunks().equals(asked.column(position).combine_chunks()):
            raise MlinfraError(
                f"the join returned {joined.num_rows:,} rows for {table.num_rows:,}: rows were lost or repeated",
                remedy="this is a fault of the feature store; nothing was written",
            )
        for columns in wanted.values():
            for column in columns:
                table = table.append_column(column, joined.column(column))
        write_table(table, Path(to))
        return {
            "digest": digest_table(table),
            "rows": table.num_rows,
            "columns": [[field.name, type_name(field.type)] for field in table.schema],
        }

    def online(
        self, name: str, keys: Sequence[str | int], features: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the newest values for each key, by feature name; None where there is none.

        Raises:
            MlinfraError: no such feature store or feature, or it is not online.
        """
        view = self._known(name)
        columns = [field.name for field in view.features] if features is None else list(features)
        references = [f"{name}:{column}" for column in columns]
        self._references(references)
        if not view.online:
            raise MlinfraError(f"feature store {name!r} is not online", remedy="declare it with online=True")
        return self.lookup(references, view.entity_columns[0].name, keys)

    def lookup(self, references: list[str], entity: str, keys: Sequence[str | int]) -> list[dict[str, Any]]:
        """Return the newest values for each key: the fast path, without any check."""
        found = self._feast().get_online_features(features=references, entity_rows=[{entity: key} for key in keys])
        values = found.to_dict()
        names = [reference.partition(":")[2] for reference in references]
        return [{name: values[name][position] for name in names} for position in range(len(keys))]

    def _feast(self) -> FeatureStore:
        if self._store is None or _version() != self._seen:  # another process may have changed the registry
            self._store = _open(_REGISTRY)
            self._seen = _version()
            self._views.clear()
        return self._store

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with FileLock("lock"):
            yield

    @contextmanager
    def _next(self) -> Iterator[FeatureStore]:
        """Yield a store on a copy of the registry, which becomes the registry: Feast overwrites its file in place."""
        if Path(_REGISTRY).exists():
            shutil.copyfile(_REGISTRY, _NEXT_REGISTRY)
        else:
            Path(_NEXT_REGISTRY).unlink(missing_ok=True)
        yield _open(_NEXT_REGISTRY)
        Path(_NEXT_REGISTRY).replace(_REGISTRY)
        self._store = None

    def _view(self, name: str) -> FeatureView | None:
        store = self._feast()
        if name not in self._views:
            try:
                self._views[name] = store.get_feature_view(name)
            except FeatureViewNotFoundException:
                return None
        return self._views[name]

    def _known(self, name: str) -> FeatureView:
        view = self._view(name)
        if view is None:
            near = nearest(name, [known.name for known in self._feast().list_feature_views()])
            raise MlinfraError(
                f"there is no feature store {name!r} in this environment",
                remedy=f"did you mean {near!r}?" if near else "create it: mlinfra up",
            )
        return view

    def _references(self, features: Sequence[str]) -> dict[str, list[str]]:
        wanted: dict[str, list[str]] = {}
        for reference in features:
            name, _, column = reference.partition(":")
            known = [field.name for field in self._known(name).features]
            if column not in known:
                near = nearest(column, known)
                raise MlinfraError(
                    f"feature store {name!r} has no feature {column!r}, only: {', '.join(known)}",
                    remedy=f"did you mean {near!r}?" if near else "",
                )
            wanted.setdefault(name, []).append(column)
        return wanted

    def _materialize(self, name: str) -> None:
        view = self._known(name)
        if read_kept(marker(name)) == fingerprint(view):
            return
        source = view.batch_source
        assert isinstance(source, FileSource)
        key = view.entity_columns[0]
        table = read_table(Path(source.path)).select([key.name, source.timestamp_field])
        times = pc.min_max(table.column(source.timestamp_field)).as_py()
        # Always the whole of time: materializing an older window would write old values over newer ones.
        self._feast().materialize(
            start_date=times["min"].astimezone(UTC) - timedelta(seconds=1),
            end_date=times["max"].astimezone(UTC) + timedelta(seconds=1),
            feature_views=[name],
        )
        remove_departed(name, key.name, type_of(key), pc.unique(table.column(key.name)).to_pylist())
        write_json(marker(name), fingerprint(view), durable=True)


def _version() -> tuple[int, int] | None:
    try:
        found = Path(_REGISTRY).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _open(registry: str) -> FeatureStore:
    return FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry={"path": registry, "cache_ttl_seconds": 0},
            online_store={"type": "sqlite", "path": ONLINE},
            offline_store={"type": offline_store.TYPE},
            entity_key_serialization_version=KEY_VERSION,
        )
    )


def _check_rows(table: Any, path: str, keys: Sequence[str], features: Sequence[str]) -> None:
    wrong = [
        f"column {name!r} is missing (there are: {', '.join(table.column_names)})"
        for name in (EVENT_TIMESTAMP, *keys)
        if name not in table.column_names
    ]
    if not wrong and table.schema.field(EVENT_TIMESTAMP).type != TIME:
        wrong.append(f"column {EVENT_TIMESTAMP!r} holds no times with a time zone")
    elif not wrong and table.column(EVENT_TIMESTAMP).null_count:
        wrong.append(f"column {EVENT_TIMESTAMP!r} has nulls: which features to join is a question of time")
    taken = [name for position, name in enumerate(features) if name in (*table.column_names, *features[:position])]
    wrong += [f"feature {name!r} occurs twice: as a column of the rows, or in two feature stores" for name in taken]
    if wrong:
        raise MlinfraError(f"{path}: " + "; ".join(wrong))
