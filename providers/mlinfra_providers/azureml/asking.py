"""What is asked of Azure before anything is made: by Resource Manager, with the credentials that are here."""

from __future__ import annotations

from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml.clients import token
from mlinfra_providers.azureml.naming import group_id

_SECONDS = 20
_MANAGER = "https://management.azure.com"
_ABSENT, _DENIED, _WRONG = 404, (401, 403), 400
VERSIONS = {
    "Microsoft.Authorization": "2022-04-01",
    "Microsoft.ContainerRegistry": "2023-07-01",
    "Microsoft.KeyVault": "2023-07-01",
    "Microsoft.MachineLearningServices": "2025-12-01",
    "Microsoft.ManagedIdentity": "2023-01-31",
    "Microsoft.Storage": "2023-05-01",
}
"""Of each provider's API; of subscriptions and resource groups it is another."""
_OF_RESOURCES = "2022-12-01"


class Absent(Exception):
    """What was asked for is not there."""


class Untold(Exception):
    """Azure does not say; why."""


class Asking:
    """Questions to an environment's subscription."""

    def __init__(self, environment: Environment) -> None:
        self.subscription = f"/subscriptions/{environment.account}"
        self.group = group_id(environment)

    def send(self, path: str, version: str) -> tuple[int, Any]:
        """Return the status and the document of an answer to GET.

        Raises:
            MlinfraError: there are no credentials.
            Untold: nobody answers.
        """
        import httpx

        address = path if path.startswith("https://") else f"{_MANAGER}{path}"
        try:
            answer = httpx.get(
                address,
                params=None if path.startswith("https://") else {"api-version": version},
                headers={"Authorization": f"Bearer {token(_MANAGER)}"},
                timeout=_SECONDS,
            )
        except httpx.HTTPError as error:
            raise Untold(f"it is not reached: {type(error).__name__}") from error
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, {}

    def ask(self, path: str) -> Any:
        """Return what is under a path, or under the next link of an answer.

        Raises:
            Absent: it is not there.
            Untold: Azure does not say.
        """
        version = next((found for name, found in VERSIONS.items() if f"/{name}/" in path), _OF_RESOURCES)
        status, told = self.send(path, version)
        if status == _ABSENT:
            raise Absent
        if status < _WRONG:
            return told
        error = told.get("error") if isinstance(told, dict) else None
        message = str(error.get("message", "") if isinstance(error, dict) else "").partition("\n")[0]
        if status in _DENIED:
            raise Untold(f"these credentials may not ask{f': {message}' if message else ''}")
        raise Untold(f"Azure answers {status}{f': {message}' if message else ''}")

    def all(self, path: str) -> list[Any]:
        """Return a whole list. Raises Absent, Untold."""
        answer = self.ask(path)
        found = list(answer.get("value", ()))
        while link := answer.get("nextLink"):
            answer = self.ask(link)
            found += answer.get("value", ())
        return found

    def tenant(self) -> str:
        """Return the tenant of the subscription, which proves that these credentials see it.

        Raises:
            MlinfraError: there are no credentials, or they do not see the subscription.
        """
        try:
            return str(self.ask(self.subscription)["tenantId"])
        except (Absent, Untold) as why:
            raise MlinfraError(
                f"these credentials do not see {self.subscription}: {str(why) or 'there is none'}",
                remedy="choose the subscription: az login --tenant …, az account set --subscription …",
            ) from why
