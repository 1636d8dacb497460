"""MLflow on SQLite through its client, without a server. Imports MLflow: for `mlflow_worker`, never for others.

<environment>/registry/mlflow.db        experiments, runs, registered models
<environment>/registry/location.json    where the project was: MLflow keeps absolute paths
<environment>/registry/artifacts/       log files of runs
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from platformdirs import user_cache_path

from mlinfra.files import read_json, write_json
from mlinfra.problems import MlinfraError, Refused

DATABASE = "mlflow.db"
DIGEST_TAG = "mlinfra.digest"
RUN_TAG = "mlinfra.run"
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_STATUS = {"finished": "FINISHED", "timed out": "KILLED", "out of memory": "KILLED"}


class Mlflow:
    """The runs and models of one environment; the working directory is the registry's folder."""

    def track(self, repository: str, record: Mapping[str, Any], log: str | None) -> str:
        """Write a training run (the JSON of a `RunRecord`), or update it, and return MLflow's id."""
        with self._client(repository) as client:
            experiment = _experiment(client, record["job"])
            run = _find_run(client, experiment, record["id"])
            started = int(datetime.fromisoformat(record["started_at"]).timestamp() * 1000)
            if run is None:
                run = client.create_run(
                    experiment, run_name=record["id"], start_time=started, tags={RUN_TAG: record["id"]}
                )
            identifier: str = run.info.run_id
            client.log_batch(
                identifier,
                metrics=[Metric(name, value, started, 0) for name, value in record["metrics"].items()],
                params=[Param(name, json.dumps(value)) for name, value in record["params"].items()],
                tags=[RunTag(name, value) for name, value in _run_tags(record).items()],
            )
            if log is not None:
                client.log_artifact(identifier, log)
            client.set_terminated(
                identifier,
                status=_STATUS.get(record["outcome"], "FAILED"),
                end_time=started + int(record["seconds"] * 1000),
            )
            return identifier

    def ensure(self, repository: str, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Create a registered model, or bring its tags up to date, and return what `read` returns."""
        with self._client(repository) as client:
            if _model(client, name) is None:
                client.create_registered_model(name)
            for key, value in tags.items():
                client.set_registered_model_tag(name, key, value)
            return _described(client, name)

    def read(self, repository: str, name: str) -> dict[str, Any] | None:
        """Return a registered model with its versions and aliases, or None."""
        with self._client(repository) as client:
            return _described(client, name) if _model(client, name) is not None else None

    def delete(self, repository: str, name: str) -> bool:
        """Delete a registered model with all of its versions (not their artifacts); say whether it was there."""
        with self._client(repository) as client:
            found = _model(client, name) is not None
            if found:
                client.delete_registered_model(name)
            return found

    def register(
        self, repository: str, name: str, digest: str, source: str, run: str | None, tags: Mapping[str, str]
    ) -> int:
        """Make a version of a model, or return the one that has this digest already; its tags are brought up to date.

        Raises:
            MlinfraError: there is no such registered model.
        """
        with self._client(repository) as client:
            _known(client, name)
            found = _with_digest(client, name, digest)
            if found is None:
                # The digest is set with the version, so that a kill leaves a version with it or none.
                found = client.create_model_version(name, source, run_id=run, tags={DIGEST_TAG: digest, **tags})
            for key, value in tags.items():
                if found.tags.get(key) != value:
                    client.set_model_version_tag(name, str(found.version), key, value)
            return int(found.version)

    def delete_version(self, repository: str, name: str, version: int) -> bool:
        """Delete one version (not its artifact); say whether it was there."""
        with self._client(repository) as client:
            found = next((one for one in _versions(client, name) if int(one.version) == version), None)
            if found is not None:
                client.delete_model_version(name, str(version))
            return found is not None

    def alias(self, repository: str, name: str, alias: str, version: int | None) -> None:
        """Point an alias (`production`) at a version, or remove it (None).

        Raises:
            MlinfraError: there is no such model or version.
        """
        with self._client(repository) as client:
            model = _known(client, name)
            if version is None:
                if alias in model.aliases:
                    client.delete_registered_model_alias(name, alias)
                return
            versions = [int(one.version) for one in _versions(client, name)]
            if version not in versions:
                raise MlinfraError(f"model {name!r} has no version {version}, only: {versions}")
            client.set_registered_model_alias(name, alias, str(version))

    @contextmanager
    def _client(self, repository: str) -> Iterator[MlflowClient]:
        with FileLock("lock"):
            _prepare(Path(repository))
            uri = f"sqlite:///{Path(DATABASE).resolve()}"
            yield MlflowClient(tracking_uri=uri, registry_uri=uri)


def _prepare(repository: Path) -> None:
    """Have a database whose absolute paths are those of today."""
    if not Path(DATABASE).exists():
        partial = Path(f".{DATABASE}.partial")
        shutil.copyfile(_template(), partial)
        write_json(Path("location.json"), {"repository": repository.as_uri()}, durable=True)
        partial.replace(DATABASE)
        return
    before = (read_json(Path("location.json")) or {}).get("repository")
    now = repository.as_uri()
    if before is None or before == now:
        return
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        for table, column in _PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (now, len(before) + 1, len(before) + 1, f"{before}/"),
            )
    write_json(Path("location.json"), {"repository": now}, durable=True)


def _template() -> Path:
    """Return an empty, migrated database of this MLflow version, made once for each user: migrating takes seconds."""
    template = user_cache_path("mlinfra") / "mlflow" / f"{mlflow.__version__}.db"
    template.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{template}.lock"):
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=template.parent) as folder:
                partial = Path(folder) / DATABASE
                # MLflow makes its default experiment in the working directory.
                here = Path.cwd()
                os.chdir(folder)
                try:
                    MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
                finally:
                    os.chdir(here)
                with closing(sqlite3.connect(partial)) as connection, connection:
                    connection.execute("UPDATE experiments SET artifact_location = ''")
                partial.replace(template)
    return template


def _experiment(client: MlflowClient, job: str) -> str:
    found = client.get_experiment_by_name(job)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(job, artifact_location=(Path.cwd() / "artifacts").as_uri()))


def _find_run(client: MlflowClient, experiment: str, name: str) -> Run | None:
    found = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{name}'", max_results=1)
    return found[0] if found else None


def _run_tags(record: Mapping[str, Any]) -> dict[str, str]:
    lineage = {f"mlinfra.input.{name}": digest for name, digest in record["inputs"].items()}
    tags = {
        "mlinfra.verdict": ("accepted" if record["accepted"] else "rejected")
        if record["outcome"] == "finished"
        else record["outcome"],
        "mlinfra.checks": json.dumps(record["checks"]),
        "mlinfra.inputs_digest": record["digest"],
        "mlinfra.code": record["code"],
        "mlinfra.libraries": record["libraries"],
        "mlinfra.script": record["script"],
        "mlinfra.commit": record["commit"],
        "mlinfra.peak_memory_bytes": str(record["peak_memory_bytes"]),
        "mlinfra.runtime": record["runtime"],
        "mlinfra.runtime_version": record["runtime_version"],
        "mlinfra.model": record["model_digest"],
        "mlinfra.baseline": record["baseline_digest"],
        "mlinfra.signature": json.dumps(record["signature"]) if record["signature"] else None,
        **lineage,
    }
    return {name: value for name, value in tags.items() if value is not None}


def _model(client: MlflowClient, name: str) -> Any:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise


def _known(client: MlflowClient, name: str) -> Any:
    model = _model(client, name)
    if model is None:
        raise MlinfraError(f"there is no registered model {name!r} in this environment", remedy="make it: mlinfra up")
    return model


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token: str | None = None
    while token != "":
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found.extend(page)
        token = page.token or ""
    return sorted(found, key=lambda version: int(version.version))


def _with_digest(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    found = [version for version in _versions(client, name) if version.tags.get(DIGEST_TAG) == digest]
    if len(found) > 1:
        raise Refused(
            f"model {name!r} has {len(found)} versions with the digest {digest}",
            remedy="somebody else registered one of them; delete it in MLflow",
        )
    return found[0] if found else None


def _described(client: MlflowClient, name: str) -> dict[str, Any]:
    model = _known(client, name)
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    return {
        "name": name,
        "tags": dict(model.tags),
        "aliases": aliases,
        "versions": [
            {
                "version": int(version.version),
                "digest": version.tags.get(DIGEST_TAG),
                "run": version.run_id,
                "source": version.source,
                "tags": {key: value for key, value in version.tags.items() if key != DIGEST_TAG},
                "aliases": sorted(alias for alias, target in aliases.items() if target == int(version.version)),
            }
            for version in _versions(client, name)
        ],
    }
