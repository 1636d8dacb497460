"""Azure Resource Manager, Blob Storage and Azure Monitor, by their REST APIs; only signing in needs an SDK.

`MLINFRA_AZUREML_ENDPOINT` names another address of all of them, without credentials: an emulator's. Blobs are there
under `/<account>/<container>/<path>`.
"""

from __future__ import annotations

import json
import logging
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
"""How long to wait before the state is asked for again, unless Azure says so (Retry-After)."""
LONGEST_SECONDS = 3600.0
"""How long an operation may take."""
TRIES = 5
SHORTEST_SECONDS = 0.1
_MANAGER = "https://management.azure.com"
_STORAGE = "https://storage.azure.com"
_TIMEOUT = 60.0
_ACCEPTED = 202
_NOT_FOUND, _CONFLICT, _PRECONDITION, _MANY, _WRONG = 404, 409, 412, 429, 400
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
        """Have it so, and return it when Azure says that it is. What is under way at it is waited for.

        Raises:
            MlinfraError: Azure refused, or failed.
        """
        self._settled(path)
        self._done("PUT", path, body)
        found = self._settled(path)
        state = (found or {}).get("properties", {}).get("provisioningState", "Succeeded")
        if found is None or state in _FAILED:
            raise MlinfraError(f"{path}: Azure ML says {state}", remedy="its lines in the workspace say why")
        return found

    def post(self, path: str) -> None:
        """Ask for something to be done."""
        self._ask("POST", f"{self._workspace}/{path}", {})

    def act(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for something to be done, and return what Azure says when it has taken it on.

        https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations

        Raises:
            MlinfraError: Azure refused.
        """
        answer = _checked(self._sent("POST", path, body))
        until, place = time.monotonic() + LONGEST_SECONDS, None
        while answer.status_code == _ACCEPTED and (place := answer.headers.get("Location", place)):
            if time.monotonic() > until:
                reason = f"not taken on after {LONGEST_SECONDS:.0f} seconds"
                raise MlinfraError(f"{path}: {reason}", remedy="mlinfra up tries again")
            time.sleep(_pause(answer))
            answer = _checked(_send("GET", place, _MANAGER))
        return _json(answer) or {}

    def delete(self, path: str) -> None:
        """Remove it, or find it gone; return when it is."""
        if self._settled(path) is not None:
            self._done("DELETE", path)
        until = time.monotonic() + LONGEST_SECONDS
        while self.get(path) is not None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def _done(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Send a request and wait for its operation, where there is one.

        https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations

        Raises:
            MlinfraError: Azure refused, or failed, in its own words.
        """
        answer = self._sent(method, path, body)
        operation = _checked(answer).headers.get("Azure-AsyncOperation") if answer.status_code != _NOT_FOUND else None
        until = time.monotonic() + LONGEST_SECONDS
        while operation:
            time.sleep(_pause(answer))
            answer = _send("GET", operation, _MANAGER)
            told = _json(answer) or {"status": "Succeeded"}
            if told["status"] in _FAILED:
                error = told.get("error") or {}
                raise MlinfraError(
                    f"{path}: Azure ML says {told['status']}: {error.get('code', '')}: {error.get('message', '')}",
                    remedy="mend it, then mlinfra up again",
                )
            if told["status"] in _SETTLED:
                return
            if time.monotonic() > until:
                reason = f"not there after {LONGEST_SECONDS:.0f} seconds"
                raise MlinfraError(f"{path}: {reason}", remedy="mlinfra up tries again")

    def _settled(self, path: str) -> dict[str, Any] | None:
        """Return it when nothing is under way at it any more; None where there is nothing."""
        until = time.monotonic() + LONGEST_SECONDS
        while True:
            answer = self._sent("GET", path)
            found = _json(answer)
            state = (found or {}).get("properties", {}).get("provisioningState", "Succeeded")
            if state in _SETTLED | _FAILED:
                return found
            if time.monotonic() > until:
                reason = f"still {state} after {LONGEST_SECONDS:.0f} seconds"
                raise MlinfraError(f"{path}: {reason}", remedy="mlinfra up tries again")
            time.sleep(_pause(answer))

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        address = f"{os.environ.get(ENDPOINT, _MANAGER)}{quote(f'{self._workspace}/{path}')}"
        return _send(method, address, _MANAGER, question={"api-version": API_VERSION}, body=body)

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
        asked["Authorization"] = f"Bearer {token(audience)}"
    for attempt in range(TRIES):
        try:
            answer = httpx.request(
                method,
                address,
                params=dict(question) if question else None,
                headers=asked,
                content=json.dumps(dict(body)).encode() if body is not None else content,
                timeout=_TIMEOUT,
            )
        except httpx.TransportError as error:
            # what changes a blob on a condition may have been done: whoever wrote it finds out by reading
            if attempt == TRIES - 1 or "If-Match" in asked or "If-None-Match" in asked:
                raise MlinfraError(f"{method} {address}: {error}", remedy="try again") from error
            time.sleep(min(2.0**attempt, POLL_SECONDS))
        else:
            if answer.status_code != _MANY or attempt == TRIES - 1:
                break
            time.sleep(_pause(answer))
    return answer


def _pause(answer: Any) -> float:
    """Return how many seconds Azure asks to wait.

    https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
    """
    told = answer.headers.get("Retry-After", "")
    return max(float(told), SHORTEST_SECONDS) if told.isdigit() else POLL_SECONDS


def token(audience: str) -> str:
    """Return what proves to Azure who asks.

    Raises:
        MlinfraError: there are no credentials.
    """
    from azure.core.exceptions import ClientAuthenticationError

    try:
        proof: str = _credential().get_token(f"{audience}/.default").token
    except ClientAuthenticationError as error:
        raise MlinfraError(
            f"there are no credentials of Azure here: {error.message.splitlines()[0]}",
            remedy="az login, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
        ) from error
    return proof


@cache
def _credential() -> Any:
    from azure.identity import DefaultAzureCredential

    # of each way to sign in that is not there it warns in lines of its own, before our one
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
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
