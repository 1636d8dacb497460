"""BigQuery's jobs.query, for the one question that is asked of it: the rows of a table in a window of `logging_time`.

https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query: named parameters, and rows as lists of `v`, values
as text; timestamps in microseconds where `formatOptions.useInt64Timestamp` asks for it. A table that is not there: 404.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.lab.gcp.server.answers import Answer, Asked, Failed

PATH = re.compile(r"/bigquery/v2/projects/([^/]+)/queries")
_QUERY = re.compile(r"SELECT (.+) FROM `([\w.-]+)`(?: WHERE (.+))?")
_LIMIT = re.compile(r"logging_time (>=|<) @(\w+)")
_COLUMN = re.compile(r"(?:CAST\()?(\w+)(?: AS STRING\) AS \w+)?")
_TYPES = {"logging_time": "TIMESTAMP"}
_REPEATED = frozenset({"request_payload", "response_payload"})
_MICROSECONDS = 1_000_000


def query(asked: Asked, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Answer:
    """Answer a query. Raises Failed."""
    body = asked.json()
    read = _QUERY.fullmatch(body["query"])
    if read is None or body.get("useLegacySql") is not False:
        raise Failed("INVALID_ARGUMENT", f"the lab cannot read the query {body['query']}")
    if read[2] not in tables:
        raise Failed("NOT_FOUND", f"Not found: Table {read[2].replace('.', ':', 1)}")
    columns = [_column(text) for text in read[1].split(", ")]
    limits = list(_limits(read[3] or "", body.get("queryParameters", [])))
    rows = [
        {"f": [{"v": _value(name, row[name])} for name in columns]}
        for row in tables[read[2]]
        if all(holds(datetime.fromisoformat(row["logging_time"])) for holds in limits)
    ]
    fields = [
        {"name": name, "type": _TYPES.get(name, "STRING"), "mode": "REPEATED" if name in _REPEATED else "NULLABLE"}
        for name in columns
    ]
    project = asked.path.split("/")[4]
    job = {"projectId": project, "jobId": f"lab-{body.get('requestId', '')}", "location": "us-central1"}
    told = {"jobReference": job, "jobComplete": True, "schema": {"fields": fields}, "totalRows": str(len(rows))}
    return Answer.json({"kind": "bigquery#queryResponse", **told, "rows": rows})


def _column(text: str) -> str:
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise Failed("INVALID_ARGUMENT", f"the lab cannot read the column {text}")
    return found[1]


def _limits(where: str, parameters: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    known = {item["name"]: datetime.fromisoformat(item["parameterValue"]["value"]) for item in parameters}
    for text in where.split(" AND ") if where else ():
        found = _LIMIT.fullmatch(text)
        if found is None or found[2] not in known:
            raise Failed("INVALID_ARGUMENT", f"Query parameter not found or condition not read: {text}")
        moment = known[found[2]]
        yield moment.__le__ if found[1] == ">=" else moment.__gt__


def _value(name: str, value: Any) -> Any:
    if name in _REPEATED:
        return [{"v": item} for item in value]
    if _TYPES.get(name) == "TIMESTAMP":
        return str(round(datetime.fromisoformat(value).timestamp() * _MICROSECONDS))
    return str(value)
