"""What is asked of a cluster before anything is made: with the kubeconfig that is here, and not for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError

_SECONDS = 15
_ABSENT, _UNKNOWN_USER, _DENIED = 404, 401, 403


class Absent(Exception):
    """What was asked for is not there."""


class Untold(Exception):
    """The cluster does not say; why."""


class Asking:
    """Questions to an environment's cluster."""

    def __init__(self, environment: Environment) -> None:
        self._context = environment.context or ""
        self._known: Any = None

    @property
    def api(self) -> Any:
        """The client.

        Raises:
            MlinfraError: the kubeconfig has no such context.
        """
        import os

        from kubernetes import config

        if self._known is None:
            try:
                file = os.environ.get("KUBECONFIG") or None
                self._known = config.new_client_from_config(config_file=file, context=self._context)  # type: ignore[no-untyped-call]
            except config.ConfigException as error:
                raise MlinfraError(
                    f"there are no credentials of the cluster {self._context} here: {error}",
                    remedy="set KUBECONFIG to a file with this context; `kubectl config get-contexts` lists them",
                ) from error
        return self._known

    def check(self) -> str:
        """Return the version of the cluster, which anybody may ask who is somebody.

        Raises:
            MlinfraError: there are no credentials, or the cluster does not answer or take them.
        """
        from kubernetes import client

        try:
            version: str = self.ask(client.VersionApi(self.api).get_code).git_version
        except Untold as why:
            raise MlinfraError(
                f"the cluster {self._context} is not asked: {why}", remedy="see `kubectl config view`, and log in"
            ) from why
        return version

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Return an answer.

        Raises:
            Absent: it is not there.
            Untold: the cluster does not say.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return question(*arguments, _request_timeout=_SECONDS)
        except ApiException as error:
            if error.status == _ABSENT:
                raise Absent from error
            if error.status == _DENIED:
                raise Untold("these credentials may not ask") from error
            if error.status == _UNKNOWN_USER:
                raise Untold("the cluster does not know these credentials") from error
            raise Untold(f"the cluster answers {error.status} {error.reason}") from error
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise Untold(f"it does not answer: {str(reason).splitlines()[0]}") from error
