"""boto3's clients, for one account and region. boto3 is imported when the first one is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from mlinfra.problems import MlinfraError

NO_SUCH = ("Could not find", "does not exist", "NoSuchKey", "not found", "No scalable target")
FIRST_POLL_SECONDS, POLL_SECONDS, POLL_GROWTH = 0.2, 10.0, 1.5


class Clients:
    """Clients of AWS's services; the first one checks that the credentials are of the account that is meant."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def __call__(self, service: str) -> Any:
        """Return the client of a service.

        Raises:
            MlinfraError: there are no credentials, or they are of another account.
        """
        _check_account(self._account, self._region)
        return _client(service, self._region)


def clients(inputs: Mapping[str, Any]) -> Clients:
    """Return the clients for a resource's `account` and `region`."""
    return Clients(str(inputs["account"]), str(inputs["region"]))


@cache
def _client(service: str, region: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, region_name=region, config=Config(retries={"mode": "adaptive", "max_attempts": 8}))


@cache
def _check_account(account: str, region: str) -> None:
    with explained("asking whose credentials these are"):
        found = _client("sts", region).get_caller_identity()["Account"]
    if found != account:
        raise MlinfraError(
            f"the credentials are of the account {found}, and the environment names {account}",
            remedy="choose the profile of that account: AWS_PROFILE=…",
        )


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Say what AWS answered as an error that a user can read.

    Raises:
        MlinfraError: AWS refused, or was not reached.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise MlinfraError(f"{doing}: AWS answers {said.get('Code')}: {said.get('Message')}") from error
    except BotoCoreError as error:
        raise MlinfraError(
            f"{doing}: {error}", remedy="check credentials and region: mlinfra doctor ENVIRONMENT"
        ) from error


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """Let pass that something is not there (any more)."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if not is_gone(error):
            raise


def is_gone(error: Any) -> bool:
    """Whether an answer says that something is not there. SageMaker says so by a ValidationException."""
    said = error.response.get("Error", {})
    codes = ("ResourceNotFound", "ResourceNotFoundException", "ObjectNotFoundException", "NoSuchKey", "404")
    return said.get("Code") in codes or any(text in str(said.get("Message")) for text in NO_SUCH)


def is_taken(error: Any) -> bool:
    """Whether an answer says that something of this name is there already."""
    said = error.response.get("Error", {})
    return said.get("Code") in ("ResourceInUse", "EntityAlreadyExists") or "already exist" in str(said.get("Message"))


@contextmanager
def done_already_is_fine() -> Iterator[None]:
    """Let pass that a change is under way: a request whose answer was lost is sent again, and SageMaker says so.

    What came of it must be read back: the change that is under way can be somebody else's.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if "in-progress" not in str(error.response.get("Error", {}).get("Message")):
            raise


def asking() -> Iterator[None]:
    """Yield each time that AWS may be asked again: often at first, then every ten seconds, without end."""
    pause = FIRST_POLL_SECONDS
    while True:
        yield
        time.sleep(pause)
        pause = min(POLL_SECONDS, pause * POLL_GROWTH)
