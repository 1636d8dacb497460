"""Application Auto Scaling where moto answers otherwise than AWS does.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html: what is not there is
an ObjectNotFoundException (which terraform-provider-aws takes for done, internal/service/appautoscaling/target.go), and
the policies of a target go with it. DeleteScalingPolicy answers the same of a missing policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend
from moto.core.exceptions import JsonRESTError


def install() -> None:
    """Put the answers into moto."""
    deregister = ApplicationAutoscalingBackend.deregister_scalable_target
    delete = ApplicationAutoscalingBackend.delete_scaling_policy

    def deregistered(self: ApplicationAutoscalingBackend, namespace: str, r_id: str, dimension: str) -> None:
        _found(lambda: deregister(self, namespace, r_id, dimension))
        for key, policy in list(self.policies.items()):
            if policy.resource_id == r_id and policy.scalable_dimension == dimension:
                del self.policies[key]

    def deleted(self: ApplicationAutoscalingBackend, *given: Any, **named: Any) -> None:
        _found(lambda: delete(self, *given, **named))

    setattr(ApplicationAutoscalingBackend, "deregister_scalable_target", deregistered)  # noqa: B010
    setattr(ApplicationAutoscalingBackend, "delete_scaling_policy", deleted)  # noqa: B010


def _found(do: Callable[[], None]) -> None:
    try:
        do()
    except AWSValidationException as error:
        raise JsonRESTError("ObjectNotFoundException", str(error.message)) from error
