"""What is asked of Google before anything is made: by the REST APIs, with the credentials that are here."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError

_SECONDS = 20
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ABSENT, _DENIED, _WRONG = 404, (401, 403), 400


class Absent(Exception):
    """What was asked for is not there."""


class Untold(Exception):
    """Google does not say; why."""


class Asking:
    """Questions to an environment's project."""

    def __init__(self, environment: Environment) -> None:
        self.project = environment.account or ""
        self.region = environment.region or ""

    @cached_property
    def _session(self) -> Any:
        """The session of the credentials that are here.

        Raises:
            MlinfraError: there are none.
        """
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession

        try:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
        except GoogleAuthError as error:
            raise _no_credentials(error) from error
        return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]

    def whose(self) -> str:
        """Return who the credentials are of, as far as they tell.

        Raises:
            MlinfraError: there are none.
        """
        credentials = self._session.credentials
        found = getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None)
        return str(found or "whoever logged in") if found != "default" else "the account of this machine"

    def send(self, method: str, address: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the document of an answer.

        Raises:
            MlinfraError: there are no credentials.
            Untold: nobody answers.
        """
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            answer = self._session.request(method, address, json=body, timeout=_SECONDS)
        except GoogleAuthError as error:
            raise _no_credentials(error) from error
        except RequestException as error:
            raise Untold(f"it is not reached: {type(error).__name__}") from error
        try:
            return int(answer.status_code), answer.json()
        except ValueError:
            return int(answer.status_code), {}

    def ask(self, address: str, body: Any = None) -> Any:
        """Return an answer: of GET, and with a body of POST, to what only asks.

        Raises:
            Absent: it is not there.
            Untold: Google does not say.
        """
        status, told = self.send("GET" if body is None else "POST", address, body)
        if status == _ABSENT:
            raise Absent
        if status < _WRONG:
            return told
        error = told.get("error") if isinstance(told, dict) else None
        message = str(error.get("message", "") if isinstance(error, dict) else "").partition("\n")[0]
        if status in _DENIED:
            raise Untold(f"these credentials may not ask{f': {message}' if message else ''}")
        raise Untold(f"Google answers {status}{f': {message}' if message else ''}")

    def number(self) -> str:
        """Return the number of the project, which proves that these credentials see it.

        https://cloud.google.com/resource-manager/reference/rest/v3/projects/get

        Raises:
            MlinfraError: there are no credentials, or they do not see the project.
        """
        try:
            found = self.ask(f"https://cloudresourcemanager.googleapis.com/v3/projects/{self.project}")
        except (Absent, Untold) as why:
            raise MlinfraError(
                f"the project {self.project} is not seen by {self.whose()}: {str(why) or 'there is none'}",
                remedy="choose the credentials of that project: gcloud auth application-default login",
            ) from why
        return str(found["name"]).rpartition("/")[2]


def _no_credentials(error: Exception) -> MlinfraError:
    first = str(error).splitlines()[0].partition(" To set up")[0]
    return MlinfraError(
        f"there are no credentials of Google here: {first}",
        remedy="gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=FILE",
    )
