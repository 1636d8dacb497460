"""Autoscaling around an update: SageMaker changes no machine of a variant, and removes none, that is registered.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlinfra_providers.sagemaker.clients import explained, gone_is_fine

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
NAMESPACE = "sagemaker"
_TARGET = ("MinCapacity", "MaxCapacity")
_POLICY = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")


def resource_id(endpoint: str, variant: str) -> str:
    """Return what Application Auto Scaling calls a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"


@dataclass(frozen=True)
class Registered:
    """A variant's registration, and its policies."""

    variant: str
    where: Mapping[str, str]
    bounds: Mapping[str, int]
    policies: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def take(api: Any, endpoint: str, variants: Iterable[str]) -> list[Registered]:
    """Deregister some variants of an endpoint, and return what they had."""
    found = []
    for variant in variants:
        where = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id(endpoint, variant),
            "ScalableDimension": DIMENSION,
        }
        with explained(f"taking the scaling of {variant} off"):
            targets = api.describe_scalable_targets(
                ServiceNamespace=NAMESPACE, ResourceIds=[where["ResourceId"]], ScalableDimension=DIMENSION
            )["ScalableTargets"]
            if not targets:
                continue
            policies = api.describe_scaling_policies(**where)["ScalingPolicies"]
            found.append(
                Registered(
                    variant,
                    where,
                    {key: targets[0][key] for key in _TARGET},
                    [{key: policy[key] for key in _POLICY if key in policy} for policy in policies],
                )
            )
            with gone_is_fine():
                api.deregister_scalable_target(**where)
    return found


def put_back(api: Any, registered: Iterable[Registered]) -> None:
    """Register variants as they were."""
    for item in registered:
        with explained(f"registering the scaling of {item.variant}"):
            api.register_scalable_target(**item.where, **item.bounds)
            for policy in item.policies:
                api.put_scaling_policy(**item.where, **policy)
