"""BigQuery's tables and load jobs, as far as rows of feature stores need them.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables/get, …/jobs/insert, …/jobs/get; how Parquet is read:
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet. A job that fails is an answer, too: its
`status.errorResult` says why. Columns and types must be those of the table, and what is required must be there.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from tests.lab.gcp.server.answers import Answer, Asked, Failed
from tests.lab.gcp.server.storage import Storage
from tests.lab.gcp.server.things import Things

PATH = "/bigquery/v2/projects/"
TABLE = "gcp:bigquery/table:Table"
_TABLE = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
_JOBS = re.compile(r"/bigquery/v2/projects/([^/]+)/jobs(?:/([^/]+))?")
_TYPES = {
    "INT64": arrow.int64(),
    "FLOAT64": arrow.float64(),
    "STRING": arrow.string(),
    "BOOL": arrow.bool_(),
    "TIMESTAMP": arrow.timestamp("us", tz="UTC"),
}
_LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""Names of types that the API still answers and takes."""


class Tables:
    """`rows` holds what was loaded, by `project.dataset.table`: a row is its values by column, as text where JSON has
    no such type."""

    def __init__(self, things: Things, storage: Storage) -> None:
        self._things = things
        self._storage = storage
        self._jobs: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def answer(self, asked: Asked) -> Answer:
        """Answer a request. Raises Failed."""
        if found := _TABLE.fullmatch(asked.path):
            return Answer.json(self._shown(*found.groups()))
        if (found := _JOBS.fullmatch(asked.path)) and asked.method == "POST":
            return Answer.json(self._insert(found[1], asked.json()))
        if found and found[2] in self._jobs:
            return Answer.json(self._jobs[found[2]])
        raise Failed("NOT_FOUND", f"Not found: {asked.path}")

    def _shown(self, project: str, dataset: str, table: str) -> dict[str, Any]:
        key = _key(project, dataset, table)
        if key not in self._things.kept:
            raise Failed("NOT_FOUND", f"Not found: Table {project}:{dataset}.{table}")
        path = f"{project}.{dataset}.{table}"
        return {
            "kind": "bigquery#table",
            "id": f"{project}:{dataset}.{table}",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": self._fields(key)},
            "creationTime": str(round(self._things.made[key] * 1000)),
            "numRows": str(len(self.rows.get(path, ()))),
            "type": "TABLE",
        }

    def _fields(self, key: tuple[str, str]) -> list[dict[str, Any]]:
        fields: list[dict[str, Any]] = json.loads(self._things.kept[key].get("schema") or "[]")
        return fields

    def _insert(self, project: str, body: Mapping[str, Any]) -> dict[str, Any]:
        id_, load = body["jobReference"]["jobId"], body["configuration"]["load"]
        if id_ in self._jobs:
            raise Failed("ALREADY_EXISTS", f"Already Exists: Job {project}:{id_}")
        place = load["destinationTable"]
        key = _key(place["projectId"], place["datasetId"], place["tableId"])
        if key not in self._things.kept:
            raise Failed("NOT_FOUND", f"Not found: Table {place['projectId']}:{place['datasetId']}.{place['tableId']}")
        status: dict[str, Any] = {"state": "DONE"}
        try:
            self.rows[".".join([place["projectId"], place["datasetId"], place["tableId"]])] = self._read(key, load)
        except Failed as failed:
            status["errorResult"] = {"reason": "invalid", "message": failed.message}
            status["errors"] = [status["errorResult"]]
        job = {
            "kind": "bigquery#job",
            "id": f"{project}:US.{id_}",
            "jobReference": {**body["jobReference"], "projectId": project},
            "configuration": {"jobType": "LOAD", **body["configuration"]},
            "status": status,
        }
        self._jobs[id_] = job
        return job

    def _read(self, key: tuple[str, str], load: Mapping[str, Any]) -> list[dict[str, Any]]:
        if (load["sourceFormat"], load["writeDisposition"]) != ("PARQUET", "WRITE_TRUNCATE_DATA"):
            raise Failed("INVALID_ARGUMENT", f"the lab cannot load {load['sourceFormat']}, {load['writeDisposition']}")
        pieces = [self._one(uri) for uri in load["sourceUris"]]
        table = arrow.concat_tables(pieces)
        fields = {field["name"]: field for field in self._fields(key)}
        given = {field["name"]: field for field in load.get("schema", {}).get("fields", [])}
        for column in table.schema:
            if column.name not in fields:
                raise Failed(
                    "INVALID_ARGUMENT", f"Provided Schema does not match Table. Cannot add field {column.name}"
                )
            kind = _LEGACY.get(fields[column.name]["type"], fields[column.name]["type"])
            if column.type != _TYPES[kind]:
                raise Failed("INVALID_ARGUMENT", f"Field {column.name} has changed type from {kind} to {column.type}")
            required = fields[column.name].get("mode") == "REQUIRED"
            if required and given.get(column.name, {}).get("mode") != "REQUIRED":
                told = f"Field {column.name} has changed mode from REQUIRED to NULLABLE"
                raise Failed("INVALID_ARGUMENT", f"Provided Schema does not match Table. {told}")
            if required and table[column.name].null_count:
                raise Failed("INVALID_ARGUMENT", f"Required field {column.name} cannot be null")
        rows: list[dict[str, Any]] = json.loads(json.dumps(table.to_pylist(), default=str))
        return rows

    def _one(self, uri: str) -> Any:
        found = self._storage.under(uri.rpartition("/")[0])
        name = uri.rpartition("/")[2]
        content = next((content for path, content in found if path == name), None)
        if content is None:
            raise Failed("NOT_FOUND", f"Not found: URI {uri}")
        return parquet.read_table(io.BytesIO(content))


def _key(project: str, dataset: str, table: str) -> tuple[str, str]:
    return TABLE, f"projects/{project}/datasets/{dataset}/tables/{table}"
