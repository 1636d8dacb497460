"""Azure Resource Manager, Blob Storage and Azure Monitor, by their REST APIs; only signing in needs an SDK.

`MLINFRA_AZUREML_ENDPOINT` names another address of all of them, without credentials: an emulator's. Blobs are there
under `/<account>/<container>/<path>`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.azureml.places import Place

ENDPOINT = "MLINFRA_AZUREML_ENDPOINT"
API_VERSION = "2025-12-01"
BLOB_VERSION = "2023-11-03"
POLL_SECONDS = 10.0
LONGEST_SECONDS = 3600.0
"""How long an operation may take."""
_MANAGER = "https://management.azure.com"
_STORAGE = "https://storage.azure.com"
_TIMEOUT = 60.0
_NOT_FOUND, _CONFLICT, _PRECONDITION, _WRONG = 404, 409, 412, 400
_SETTLED, _FAILED = {"Succeeded"}, {"Failed", "Canceled"}


class Azure:
    """The APIs, for one workspace."""

    def __init__(self, subscription: str, group: str, workspace: str) -> None:
        self._workspace = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
        )

    def get(self, path: str, **question: str) -> dict[str, Any] | None:
        """Return what is under a path of the workspace, or None where there is nothing."""
        return self._ask("GET", f"{self._workspace}/{path}", question)

    def list(self, path: str) -> list[dict[str, Any]]:
        """Return what a collection has."""
        answer = self._ask("GET", f"{self._workspace}/{path}", {}) or {}
        found: list[dict[str, Any]] = list(answer.get("value", ()))
        while link := answer.get("nextLink"):
            answer = _json(_send("GET", link, _MANAGER)) or {}
            found += answer.get("value", ())
        return found

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have it so, and return it when Azure says that it is.

        Raises:
            MlinfraError: Azure refused, or failed.
        """
        self._ask("PUT", f"{self._workspace}/{path}", {}, body)
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until:
            found = self.get(path) or {}
            state = found.get("properties", {}).get("provisioningState", "Succeeded")
            if state in _SETTLED:
                return found
            if state in _FAILED:
                raise MlinfraError(f"{path}: Azure ML says {state}", remedy="its lines in the workspace say why")
            time.sleep(POLL_SECONDS)
        raise MlinfraError(f"{path}: not there after {LONGEST_SECONDS:.0f} seconds", remedy="mlinfra up tries again")

    def delete(self, path: str) -> None:
        """Remove it, or find it gone; return when it is."""
        self._ask("DELETE", f"{self._workspace}/{path}", {})
        until = time.monotonic() + LONGEST_SECONDS
        while self.get(path) is not None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def metrics(self, resource: str, **question: str) -> dict[str, Any]:
        """Return what Azure Monitor has of a resource of the workspace."""
        path = f"{self._workspace}/{resource}/providers/Microsoft.Insights/metrics"
        return self._ask("GET", path, {**question, "api-version": "2023-10-01"}) or {}

    def _ask(
        self, method: str, path: str, question: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        question = {"api-version": API_VERSION, **question}
        address = f"{os.environ.get(ENDPOINT, _MANAGER)}{quote(path)}"
        return _json(_send(method, address, _MANAGER, question=question, body=body))


def read_blob(there: Place) -> tuple[bytes, str] | None:
    """Return a blob and its version (ETag), or None where there is none."""
    answer = _send("GET", _address(there), _STORAGE, headers={"x-ms-version": BLOB_VERSION})
    if answer.status_code == _NOT_FOUND:
        return None
    return _checked(answer).content, answer.headers["ETag"]


def write_blob(there: Place, content: bytes, version: str | None = None, *, anyhow: bool = False) -> None:
    """Write a blob; unless `anyhow`, only over this version, or where there is none.

    Raises:
        Refused: somebody else wrote in between.
    """
    condition = {} if anyhow else {"If-Match": version} if version else {"If-None-Match": "*"}
    headers = {"x-ms-version": BLOB_VERSION, "x-ms-blob-type": "BlockBlob", **condition}
    answer = _send("PUT", _address(there), _STORAGE, headers=headers, content=content)
    if answer.status_code in (_CONFLICT, _PRECONDITION):
        raise Refused(f"{there.path}: somebody else wrote at the same time", remedy="look at mlinfra status")
    _checked(answer)


def delete_blob(there: Place) -> None:
    """Remove a blob, or find it gone."""
    answer = _send("DELETE", _address(there), _STORAGE, headers={"x-ms-version": BLOB_VERSION})
    if answer.status_code != _NOT_FOUND:
        _checked(answer)


def azure(inputs: Mapping[str, Any]) -> Azure:
    """Return the APIs for a resource's place."""
    return Azure(*(str(inputs[key]) for key in ("subscriptionId", "resourceGroupName", "workspaceName")))


def place_of(inputs: Mapping[str, Any]) -> Place:
    """Return where the blob of a resource is."""
    return Place(str(inputs["account"]), str(inputs["container"]), str(inputs["record"]))


def _address(there: Place) -> str:
    path = quote(f"/{there.container}/{there.path}")
    if emulator := os.environ.get(ENDPOINT):
        return f"{emulator}/{there.account}{path}"
    return f"https://{there.account}.blob.core.windows.net{path}"


def _send(
    method: str,
    address: str,
    audience: str,
    *,
    question: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Any:
    import httpx

    asked = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
    if ENDPOINT not in os.environ:
        asked["Authorization"] = f"Bearer {_token(audience)}"
    try:
        return httpx.request(
            method,
            address,
            params=dict(question) if question else None,
            headers=asked,
            content=json.dumps(dict(body)).encode() if body is not None else content,
            timeout=_TIMEOUT,
        )
    except httpx.HTTPError as error:
        raise MlinfraError(f"{method} {address}: {error}") from error


def _token(audience: str) -> str:
    from azure.core.exceptions import ClientAuthenticationError

    try:
        token: str = _credential().get_token(f"{audience}/.default").token
    except ClientAuthenticationError as error:
        raise MlinfraError(f"Azure: {error.message.splitlines()[0]}", remedy="az login") from error
    return token


@cache
def _credential() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _json(answer: Any) -> dict[str, Any] | None:
    if answer.status_code == _NOT_FOUND:
        return None
    text = _checked(answer).text
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _checked(answer: Any) -> Any:
    """Return the answer.

    Raises:
        MlinfraError: Azure refused.
    """
    if answer.status_code < _WRONG:
        return answer
    try:
        said = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = answer.text[:300]
    raise MlinfraError(f"{answer.request.url.path}: Azure answers {answer.status_code}: {said}")
