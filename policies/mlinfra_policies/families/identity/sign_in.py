"""IAM-02: people and programs sign in with the directory, not with keys of the service."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides
from mlinfra.policy.values import at, is_true
from mlinfra.resources import Resource
from mlinfra_policies.demands import demand, says, where


@decides("IAM-02", "aws:sagemaker/domain:Domain")
def sign_in_to_a_domain(domain: Resource, inspection: Inspection) -> Iterator[Answer]:
    """People sign in to a domain with the identity centre."""
    mode = at(domain.inputs, "authMode")
    message = f"people sign in with {mode.value or 'nothing that is stated'}, not with the directory"
    yield from demand(mode, says("SSO"), message, remedy="authMode: SSO")


@decides("IAM-02", "azure-native:machinelearningservices:Compute")
def sign_in_to_a_compute(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A compute instance or a cluster has no local accounts."""
    switch = at(compute.inputs, "properties.disableLocalAuth")
    message = "local authentication is not disabled"
    answers = demand(switch, is_true, message, remedy="disableLocalAuth: true")
    yield from where(at(compute.inputs, "properties.computeType"), says("ComputeInstance", "AmlCompute"), answers)


@decides(
    "IAM-02",
    "azure-native:machinelearningservices:OnlineEndpoint",
    "azure-native:machinelearningservices:BatchEndpoint",
)
def sign_in_to_an_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint takes tokens of the directory alone."""
    mode = at(endpoint.inputs, "properties.authMode")
    message = f"authentication is by {mode.value or 'nothing that is stated'}, not by tokens of the directory"
    yield from demand(mode, says("AADToken"), message, remedy="authMode: AADToken")
