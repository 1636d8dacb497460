"""NET-03 and NET-06: endpoints, workspaces and notebooks that the public internet reaches, or that reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, Verdict, decides, unknown, violation
from mlinfra.policy.values import at, every, is_false, is_true
from mlinfra.resources import Resource
from mlinfra_policies.demands import demand, hidden, says, where
from mlinfra_policies.families.network.attachment import ENDPOINTS, connection
from mlinfra_policies.ml_types import AWS

_GROUPS = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
_INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_RANGES = {
    _RULE: ("cidrBlocks[]", "ipv6CidrBlocks[]"),
    _INGRESS_RULE: ("cidrIpv4", "cidrIpv6"),
    **dict.fromkeys(_GROUPS, ("ingress[].cidrBlocks[]", "ingress[].ipv6CidrBlocks[]")),
}
_PUBLIC = {
    "azure-native:machinelearningservices:Workspace": ("publicNetworkAccess",),
    "azure-native:machinelearningservices:OnlineEndpoint": ("properties.publicNetworkAccess",),
    "azure-native:machinelearningservices:Registry": (
        "registryProperties.publicNetworkAccess",
        "properties.publicNetworkAccess",
        "publicNetworkAccess",
    ),
}
"""By type: where the switch may stand; versions of the provider differ."""

_COMPUTE = "azure-native:machinelearningservices:Compute"
_VISIBILITY = ("networking.kserve.io/visibility", "networking.knative.dev/visibility")


@decides("NET-03", *_GROUPS)
def range_of_a_security_group(group: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A group that an ML resource uses admits not the whole internet, neither inline nor by rules beside it."""
    used, _ = _used_groups(inspection)
    if group.urn in used:
        yield from _admitted(group)
        for rule in inspection.of(_RULE, _INGRESS_RULE):
            if group.urn in rule.property_dependencies.get("securityGroupId", ()):
                for answer in _admitted(rule):
                    message = f"{rule.type.rpartition(':')[2]} {rule.name}: {answer.path} {answer.message}"
                    yield Answer(answer.verdict, "ingress", message, answer.remedy)


@decides("NET-03", _RULE, _INGRESS_RULE)
def range_of_a_rule(rule: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A rule of a group that the plan does not show is judged itself."""
    urns, ids = _used_groups(inspection)
    sources = [urn for urn in rule.property_dependencies.get("securityGroupId", ()) if urn in urns]
    if sources:
        if not any(inspection.by_urn(urn) for urn in sources):
            yield from _admitted(rule)
    elif str(at(rule.inputs, "securityGroupId").value) in ids:
        yield from _admitted(rule)


@decides("NET-03", *ENDPOINTS)
def exposure_of_an_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint of Vertex without a private way is public."""
    message = "neither a network nor private service connect is set, so the endpoint is public"
    yield from connection(endpoint, ENDPOINTS[endpoint.type], inspection).answers(message)


@decides("NET-03", "gcp:vertex/aiIndexEndpoint:AiIndexEndpoint")
def exposure_of_an_index_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An index endpoint is public only where it says so."""
    switch = at(endpoint.inputs, "publicEndpointEnabled")
    yield from demand(
        switch, lambda value: not is_true(value), "the endpoint is public", remedy="publicEndpointEnabled: false"
    )


@decides("NET-03", *_PUBLIC)
def exposure_on_azure(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Public access is on unless somebody says otherwise."""
    paths = _PUBLIC[f"azure-native:machinelearningservices:{resource.type.rpartition(':')[2]}"]
    places = [at(resource.inputs, path) for path in paths]
    switch = next((place for place in places if not place.absent), places[0])
    message = f"public access is {switch.value or 'not switched off, and so on'}"
    yield from demand(switch, says("Disabled"), message, remedy="publicNetworkAccess: Disabled")


@decides("NET-03", "kubernetes:core/v1:Service")
def exposure_of_a_service(service: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A service is reached from inside the cluster, which is the default."""
    kind = at(service.inputs, "spec.type")
    exposed = says("LoadBalancer", "NodePort")
    message = f"a service of the type {kind.value} is reached from outside the cluster"
    yield from demand(kind, lambda value: not exposed(value), message, remedy="type: ClusterIP")


@decides("NET-03", "kubernetes:serving.kserve.io/*:InferenceService")
def exposure_of_an_inference_service(service: Resource, inspection: Inspection) -> Iterator[Answer]:
    """One of two labels says that a service is local to the cluster."""
    labels = [at(service.inputs, f"metadata.labels['{name}']") for name in _VISIBILITY]
    if not any(says("cluster-local")(label.value) for label in labels):
        not_known = [label for label in labels if hidden(label)]
        if not_known:
            yield unknown(not_known[0].path)
        else:
            remedy = "metadata.labels: {networking.kserve.io/visibility: cluster-local}"
            yield violation(labels[0].path, "no label says that the service is local to the cluster", remedy=remedy)


@decides("NET-06", "aws:sagemaker/notebookInstance:NotebookInstance")
def internet_of_a_notebook(notebook: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A notebook of SageMaker has direct internet access unless somebody says otherwise."""
    access = at(notebook.inputs, "directInternetAccess")
    message = f"direct internet access is {access.value or 'not stated, and so Enabled'}"
    yield from demand(access, says("Disabled"), message, remedy="directInternetAccess: Disabled")


@decides("NET-06", "gcp:workbench/instance:Instance")
def address_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench has a public address unless somebody says otherwise."""
    switch = at(instance.inputs, "gceSetup.disablePublicIp")
    yield from demand(switch, is_true, "the public address is not switched off", remedy="disablePublicIp: true")


@decides("NET-06", "gcp:colab/runtimeTemplate:RuntimeTemplate")
def internet_of_a_runtime(template: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A runtime has internet access where it says so, and where it describes no network at all."""
    network = at(template.inputs, "networkSpec")
    if network.absent:
        yield violation(network.path, "no network is described, so the runtime has internet access")
    switch = at(template.inputs, "networkSpec.enableInternetAccess")
    yield from demand(
        switch, lambda value: not is_true(value), "internet access is on", remedy="enableInternetAccess: false"
    )


@decides("NET-06", _COMPUTE)
def address_of_a_compute_instance(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A compute instance has a public address unless somebody says otherwise."""
    switch = at(compute.inputs, "properties.properties.enableNodePublicIp")
    message = "the compute instance has a public address, as it does by default"
    answers = demand(switch, is_false, message, remedy="enableNodePublicIp: false")
    yield from where(at(compute.inputs, "properties.computeType"), says("ComputeInstance"), answers)


def any_address(block: Any) -> bool:
    """Whether an address block is 0.0.0.0/0 or ::/0, however it is written."""
    try:
        return ip_network(str(block), strict=False).prefixlen == 0
    except ValueError:
        return False


def _admitted(resource: Resource) -> Iterator[Answer]:
    found: list[Answer] = []
    for path in _RANGES[resource.type]:
        for block in every(resource.inputs, path):
            if hidden(block):
                found.append(unknown(block.path))
            elif any_address(block.value):
                found.append(violation(block.path, f"admits {block.value}, the whole internet"))
    direction = at(resource.inputs, "type")  # only a SecurityGroupRule has one; what others hold is ingress
    if hidden(direction) and any(answer.verdict is Verdict.VIOLATION for answer in found):
        yield unknown(direction.path)
    elif direction.value != "egress":
        yield from found


@lru_cache(maxsize=1)
def _used_groups(inspection: Inspection) -> tuple[frozenset[str], frozenset[str]]:
    """Return the security groups that ML resources use: by URNs, and by ids."""
    urns: set[str] = set()
    ids: set[str] = set()
    for resource in inspection.of(*AWS):
        ids.update(_ids(resource.inputs))
        for sources in resource.property_dependencies.values():
            urns.update(urn for urn in sources if urn.split("::")[2].split("$")[-1] in _GROUPS)
    return frozenset(urns), frozenset(ids)


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("sg-"):
            yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _ids(item)
