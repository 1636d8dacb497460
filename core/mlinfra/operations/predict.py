"""predict: asks an endpoint, in the Open Inference Protocol V2, and says which release answered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, WrongUse
from mlinfra.repository import Repository

RELEASE_HEADER = "x-mlinfra-release"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Answer:
    """The predictions of the rows asked about, the release that made them, and milliseconds until they were there.

    `unknown`: columns of the rows that are no inputs of the model; they were not sent."""

    endpoint: str
    predictions: Sequence[Any]
    release: str
    milliseconds: float
    request_id: str
    unknown: Sequence[str] = ()


def predict(
    repository: Repository, name: str, rows: Sequence[Mapping[str, Any]], *, endpoint: str | None = None
) -> Answer:
    """Ask an endpoint about rows (a mapping of input names to values each; a missing one is null).

    Raises:
        MlinfraError: there is no endpoint, nobody answers, the request is not understood, or it needs the client of
            the target.
    """
    import httpx

    session = Session.open(repository, name)
    part = session.one(Endpoint, endpoint)
    physical = part.part.renamed_from or part.part.name
    serving = session.service.observe(physical)
    if serving.asked_by:
        raise MlinfraError(
            f"{part.part.name} is asked with the credentials of {session.environment.target}, which mlinfra predict "
            "does not send yet",
            remedy=serving.asked_by.format(request="REQUEST.json"),
        )
    if serving.url is None or not part.deployments:
        raise MlinfraError(
            f"{part.part.name} serves nothing in {name} yet", remedy=f"mlinfra up {name}, after a first release"
        )
    release = part.deployments[0].release
    body = v2_request(rows, release.identity.signature)
    here = urlsplit(serving.url).hostname in LOOPBACK  # where no proxy is asked, whatever the environment names
    try:
        response = httpx.post(f"{serving.url}/v2/models/{physical}/infer", json=body, timeout=30, trust_env=not here)
    except httpx.HTTPError as error:
        raise MlinfraError(
            f"{part.part.name} does not answer at {serving.url}: {error}", remedy=f"mlinfra status {name} says why"
        ) from error
    if response.status_code != httpx.codes.OK:
        kind = WrongUse if response.status_code == httpx.codes.BAD_REQUEST else MlinfraError
        raise kind(f"{part.part.name} answered {response.status_code}: {_reason(response.text)}")
    answer = response.json()
    inputs = {column["name"] for column in release.identity.signature["inputs"]}
    return Answer(
        endpoint=part.part.name,
        predictions=answer["outputs"][0]["data"],
        release=response.headers.get(RELEASE_HEADER, answer.get("model_version", "")),
        milliseconds=response.elapsed.total_seconds() * 1000,
        request_id=answer.get("id", ""),
        unknown=sorted({name for row in rows for name in row} - inputs),
    )


def v2_request(rows: Sequence[Mapping[str, Any]], signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the V2 body for rows: one input a column, shape [n], typed by the signature.

    Raises:
        WrongUse: a value cannot be what its column is; all of them named.
    """
    wrong: list[str] = []
    inputs = []
    for column in signature["inputs"]:
        name, type_ = column["name"], column["type"]
        data = []
        for number, row in enumerate(rows, start=1):
            value = row.get(name)
            try:
                data.append(_typed(value, type_))
            except (TypeError, ValueError, KeyError, OverflowError):
                wrong.append(f"row {number}, {name}: found {value!r}, expected {type_}")
        inputs.append({"name": name, "shape": [len(rows)], "datatype": type_, "data": data})
    if wrong:
        raise WrongUse("\n".join(["these values do not fit the model's inputs", *wrong]))
    return {"inputs": inputs}


def _typed(value: Any, type_: str) -> Any:
    if value is None or value == "":
        return None
    if type_ == "BYTES":
        return str(value)
    if type_ == "BOOL":
        return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
    number = float(value) if type_ == "FP64" or isinstance(value, float) else int(value)
    if not math.isfinite(number) or (type_ == "INT64" and number != int(number)):
        raise ValueError("no such number")
    return number if type_ == "FP64" else int(number)


def _reason(text: str) -> str:
    import json

    try:
        return str(json.loads(text).get("error", text))
    except (ValueError, AttributeError):
        return text[:200]
