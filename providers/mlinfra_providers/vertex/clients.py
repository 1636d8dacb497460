"""Google's clients, for one region. They are imported when the first one is asked for.

`MLINFRA_VERTEX_ENDPOINT` names another address of Vertex AI, Cloud Monitoring and Cloud Logging, an emulator's; Cloud
Storage's own setting for that is `STORAGE_EMULATOR_HOST`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from mlinfra.problems import MlinfraError

ENDPOINT = "MLINFRA_VERTEX_ENDPOINT"
_STORAGE_EMULATOR = "STORAGE_EMULATOR_HOST"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
POLL_SECONDS = 5.0
LONGEST_SECONDS = 3600.0
"""How long an operation may take: a model is deployed in minutes, with many replicas in more."""
PATIENCE_SECONDS = 120.0
"""How long a request is asked again that came too soon after others: the limits are so many a minute."""
_MACHINES = "exceed quota limits"
"""What Google says of machines that the project may not have: no waiting helps."""


class Clients:
    """The clients of a region: of models, endpoints, and the bucket."""

    def __init__(self, project: str, region: str) -> None:
        self._project = project
        self._region = region

    @property
    def models(self) -> Any:
        """Return the client of models and their versions."""
        return _vertex("ModelServiceClient", self._region)

    @property
    def endpoints(self) -> Any:
        """Return the client of endpoints and what is deployed to them."""
        return _vertex("EndpointServiceClient", self._region)

    @property
    def jobs(self) -> Any:
        """Return the client of custom jobs."""
        return _vertex("JobServiceClient", self._region)

    @property
    def online_stores(self) -> Any:
        """Return the client of online stores and their feature views."""
        return _vertex("FeatureOnlineStoreAdminServiceClient", self._region)

    @property
    def tables(self) -> Any:
        """Return the client of BigQuery; its own setting for an emulator is `BIGQUERY_EMULATOR_HOST`."""
        return _bigquery(self._project)

    def bucket(self, name: str) -> Any:
        """Return a bucket of Cloud Storage."""
        return _storage(self._project).bucket(name)


def clients(inputs: Mapping[str, Any]) -> Clients:
    """Return the clients for a resource's `project` and `location`."""
    return Clients(str(inputs["project"]), str(inputs["location"]))


@cache
def _vertex(client: str, region: str) -> Any:
    from google.api_core.client_options import ClientOptions
    from google.cloud import aiplatform_v1

    made = getattr(aiplatform_v1, client)
    if address := os.environ.get(ENDPOINT):
        from google.auth.credentials import AnonymousCredentials

        options = ClientOptions(api_endpoint=address)
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return _Patient(made(credentials=credentials, transport="rest", client_options=options))
    return _Patient(made(client_options=ClientOptions(api_endpoint=f"{region}-aiplatform.googleapis.com")))


class _Patient:
    """A client that asks again what Google throttles (https://cloud.google.com/vertex-ai/docs/quotas).

    Google's client does that by itself for no method of Vertex AI. What was throttled was not begun, so it is safe.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        from google.api_core.retry import Retry

        retry = Retry(predicate=_is_throttled, initial=0.5, maximum=15.0, timeout=PATIENCE_SECONDS)
        return partial(getattr(self._client, name), retry=retry)


def _is_throttled(error: Exception) -> bool:
    from google.api_core.exceptions import TooManyRequests

    return isinstance(error, TooManyRequests) and _MACHINES not in str(error)


@cache
def _storage(project: str) -> Any:
    from google.cloud.storage import Client  # type: ignore[import-untyped]

    emulator = os.environ.get(_STORAGE_EMULATOR, "")
    if emulator and "://" not in emulator:
        # Pulumi's backend wants it so, and this client with the scheme
        return Client(project=project, client_options={"api_endpoint": f"http://{emulator}"})
    return Client(project=project)


@cache
def _bigquery(project: str) -> Any:
    from google.cloud.bigquery import Client

    return Client(project=project)


def google(address: str, method: str, path: str, **request: Any) -> Any:
    """Ask an API of Google's that has no client here, and return its answer.

    Raises:
        GoogleAPIError: it refused.
    """
    from google.api_core.exceptions import from_http_response

    answer = _session().request(method, f"{os.environ.get(ENDPOINT, address)}{path}", **request)
    if not answer.ok:
        raise from_http_response(answer)  # type: ignore[no-untyped-call]
    return answer.json()


@cache
def _session() -> Any:
    from google.auth import default
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = default(scopes=[_SCOPE])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Say what Google answered as an error that a user can read.

    Raises:
        MlinfraError: Google refused, or was not reached.
    """
    from google.api_core.exceptions import GoogleAPIError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except GoogleAuthError as error:
        raise MlinfraError(f"{doing}: {error}", remedy="gcloud auth application-default login") from error
    except GoogleAPIError as error:
        # of what was asked again until patience ended, the last answer counts
        last = (error.cause or error) if isinstance(error, RetryError) else error
        raise MlinfraError(f"{doing}: Google answers {getattr(last, 'message', last)}") from error
    except RequestException as error:
        raise MlinfraError(
            f"{doing}: the connection to Google was lost: {error}", remedy="the same command goes on from here"
        ) from error


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """Let pass that something is not there (any more)."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except NotFound:
        return


def found(ask: Any, **question: Any) -> Any:
    """Return an answer, or None where what was asked for is not there."""
    from google.api_core.exceptions import NotFound

    try:
        return ask(**question)
    except NotFound:
        return None


def finished(operation: Any) -> Any:
    """Wait for a long-running operation, and return its result."""
    return operation.result(timeout=LONGEST_SECONDS)


def wait(seconds: float = POLL_SECONDS) -> None:
    """Wait before asking again."""
    time.sleep(seconds)
