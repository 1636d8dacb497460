"""What is asked of AWS before anything is made: with the credentials that are here, and not for long."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.sagemaker.clients import explained

_SECONDS = 10
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "AuthorizationError"})
_ABSENT = frozenset({
    "404", "NoSuchBucket", "NoSuchEntity", "NotFoundException", "RepositoryNotFoundException", "ImageNotFoundException",
    "NoSuchResourceException",
})  # fmt: skip


class Absent(Exception):
    """What was asked for is not there."""


class Untold(Exception):
    """AWS does not say; why."""


class Asking:
    """Questions to an environment's account and region."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @cached_property
    def _session(self) -> Any:
        """A session of its own: boto3's keeps the credentials that a process had first."""
        import boto3

        return boto3.Session()

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client that gives up soon, of the environment's region or of another."""
        from botocore.config import Config

        patience = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 3})
        return self._session.client(service, region_name=region or self._environment.region, config=patience)

    @cached_property
    def identity(self) -> dict[str, str]:
        """Whose credentials these are: `Account` and `Arn`.

        Raises:
            MlinfraError: there are none, or AWS does not take them.
        """
        from botocore.exceptions import NoCredentialsError, PartialCredentialsError

        try:
            with explained("asking whose credentials these are"):
                found: dict[str, str] = self.client("sts").get_caller_identity()
        except MlinfraError as error:
            if isinstance(error.__cause__, NoCredentialsError | PartialCredentialsError):
                raise MlinfraError(
                    f"there are no credentials of AWS here: {error.__cause__}",
                    remedy="aws sso login and AWS_PROFILE=…, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                ) from error
            raise
        return found

    def check_account(self) -> None:
        """Check that the credentials are of the environment's account.

        Raises:
            MlinfraError: there are none, or they are of another.
        """
        account = self._environment.account
        if self.identity["Account"] != account:
            raise MlinfraError(
                f"the credentials are of the account {self.identity['Account']} ({self.identity['Arn']}), and the "
                f"environment names {account}",
                remedy="choose the profile of that account: AWS_PROFILE=…",
            )

    def ask(self, service: str, operation: str, *, anchor: str | None = None, **question: Any) -> dict[str, Any]:
        """Return an answer of the environment's region, or of the region `anchor`.

        Raises:
            Absent: it is not there.
            Untold: AWS does not say.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            answer: dict[str, Any] = getattr(self.client(service, anchor), operation)(**question)
        except ClientError as error:
            told = error.response.get("Error", {})
            code = str(told.get("Code"))
            if code in _ABSENT:
                raise Absent from error
            if code in _DENIED:
                raise Untold(f"these credentials may not ask ({operation.replace('_', ' ')})") from error
            raise Untold(f"AWS answers {code}: {told.get('Message')}") from error
        except BotoCoreError as error:
            raise Untold(str(error)) from error
        except ResponseParserError as error:
            raise Untold("what answers is not AWS") from error
        return answer
