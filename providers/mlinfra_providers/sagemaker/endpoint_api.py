"""What SageMaker says of an endpoint, and waiting until it has done what it was told."""

from __future__ import annotations

from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra_providers.sagemaker.clients import asking, explained, is_gone

SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
"""The states in which nothing happens any more (botocore: EndpointStatus)."""


def describe(api: Any, name: str) -> dict[str, Any] | None:
    """Return what SageMaker says of an endpoint, or None where there is none."""
    from botocore.exceptions import ClientError

    with explained(f"reading the endpoint {name}"):
        try:
            return dict(api.describe_endpoint(EndpointName=name))
        except ClientError as error:
            if is_gone(error):
                return None
            raise


def gone(api: Any, name: str) -> None:
    """Wait until an endpoint that was deleted is not there any more."""
    for _ in asking():
        if describe(api, name) is None:
            return


def settled(api: Any, name: str) -> dict[str, Any]:
    """Return what SageMaker says when no change runs: it refuses the next one until then.

    Raises:
        MlinfraError: the endpoint is gone.
    """
    for _ in asking():
        found = describe(api, name)
        if found is None:
            raise MlinfraError(f"the endpoint {name} is gone", remedy="mlinfra plan --refresh, then up")
        if found["EndpointStatus"] in SETTLED:
            return found
    raise AssertionError("it is asked without end")
