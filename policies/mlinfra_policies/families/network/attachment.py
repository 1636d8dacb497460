"""NET-02, NET-04, NET-07 and NET-08: models, training, notebooks and workspaces sit in the customer's own network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, is_false, is_true
from mlinfra.resources import Resource
from mlinfra_policies.demands import comes_from, demand, hidden, named, says, where

ENDPOINTS = {
    "gcp:vertex/aiEndpoint:AiEndpoint": "",
    "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment": "endpointConfig.",
}
"""Endpoints of Vertex, and where their network settings begin."""

_TRAINING = {"AiPersistentResource": "", "CustomJob": "jobSpec.", "HyperparameterTuningJob": "trialJobSpec."}
_COMPUTE = "azure-native:machinelearningservices:Compute"
_WORKSPACE = "azure-native:machinelearningservices:Workspace"
_AWS = ("aws:ec2/subnet:Subnet", "aws:ec2/defaultSubnet:DefaultSubnet", "aws-native:ec2:Subnet")
_GROUPS = (
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws-native:ec2:SecurityGroup",
)
_AZURE = ("azure-native:network:Subnet",)
_GOOGLE = ("gcp:compute/network:Network", "google-native:compute/*:Network")
_SUBNETWORKS = ("gcp:compute/subnetwork:Subnetwork", "google-native:compute/*:Subnetwork")
_ATTACHMENTS = ("gcp:compute/networkAttachment:NetworkAttachment",)


@decides("NET-02", "aws:sagemaker/model:Model")
def network_of_a_model(model: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A model of SageMaker has subnets and security groups."""
    yield from _vpc(at(model.inputs, "vpcConfig"), model, inspection)


@decides("NET-02", *ENDPOINTS)
def network_of_an_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint of Vertex has a VPC network or private service connect."""
    yield from connection(endpoint, ENDPOINTS[endpoint.type], inspection).answers("it is attached to no network")


@decides("NET-02", _WORKSPACE)
@decides("NET-08", _WORKSPACE)
def network_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workspace of Azure ML has a managed network, whatever that lets out."""
    mode = at(workspace.inputs, "managedNetwork.isolationMode")
    message = f"the managed network is {mode.value or 'not described, and so disabled'}"
    managed = says("AllowInternetOutbound", "AllowOnlyApprovedOutbound")
    yield from demand(mode, managed, message, remedy="isolationMode: AllowOnlyApprovedOutbound")


@decides("NET-04", "aws:sagemaker/trainingJob:TrainingJob")
def network_of_training(job: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A training job has a VPC and is isolated."""
    yield from _isolated_in_a_vpc(Value("", job.inputs), job, inspection)


@decides("NET-04", "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob")
def network_of_tuning(job: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every definition of a tuning job has a VPC and is isolated."""
    single = at(job.inputs, "trainingJobDefinition")
    for definition in [*every(job.inputs, "trainingJobDefinitions[]"), *([] if single.absent else [single])]:
        yield from _isolated_in_a_vpc(definition, job, inspection)


@decides(
    "NET-04",
    "gcp:vertex/aiPersistentResource:AiPersistentResource",
    "google-native:aiplatform/*:CustomJob",
    "google-native:aiplatform/*:HyperparameterTuningJob",
)
def network_of_training_on_vertex(job: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A job or a cluster of Vertex has a VPC network or a private service connect interface."""
    prefix = _TRAINING[job.type.rpartition(":")[2]]
    network = at(job.inputs, f"{prefix}network")
    interface = at(job.inputs, f"{prefix}pscInterfaceConfig.networkAttachment")
    found = Connection(
        (network, interface),
        (named(network, job, inspection, *_GOOGLE), named(interface, job, inspection, *_ATTACHMENTS)),
    )
    yield from found.answers("training runs in no network of yours")


@decides("NET-04", _COMPUTE)
def network_of_a_cluster(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A training cluster of Azure ML has a subnet, and its nodes have no public addresses."""
    addresses = at(compute.inputs, "properties.properties.enableNodePublicIp")
    message = "the nodes have public addresses, as they do by default"
    answers = [
        *_subnet(compute, inspection),
        *demand(addresses, is_false, message, remedy="enableNodePublicIp: false"),
    ]
    yield from where(at(compute.inputs, "properties.computeType"), says("AmlCompute"), answers)


@decides("NET-07", "aws:sagemaker/notebookInstance:NotebookInstance")
def subnet_of_a_notebook(notebook: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A notebook of SageMaker has a subnet."""
    yield from _named(at(notebook.inputs, "subnetId"), notebook, inspection, *_AWS)


@decides("NET-07", _COMPUTE)
def subnet_of_a_compute_instance(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A compute instance of Azure ML has a subnet."""
    kind = at(compute.inputs, "properties.computeType")
    yield from where(kind, says("ComputeInstance"), _subnet(compute, inspection))


@decides("NET-07", "gcp:workbench/instance:Instance")
def network_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each interface of a workbench is on a network that is not the default one."""
    interfaces = every(instance.inputs, "gceSetup.networkInterfaces[]")
    if not interfaces:
        yield violation("gceSetup.networkInterfaces", "no interface is described, so it is on the default network")
    for interface in interfaces:
        [network], [subnet] = every(interface, "network"), every(interface, "subnet")
        # a subnet of the default network is called default, too
        place = subnet if network.absent else network
        if str(place.value).rpartition("/")[2] == "default":
            yield violation(place.path, "the interface is on the default network")
            continue
        states = (
            named(network, instance, inspection, *_GOOGLE),
            named(subnet, instance, inspection, *_SUBNETWORKS),
        )
        yield from Connection((network, subnet), states).answers("the interface names no network")


@decides("NET-08", "aws:sagemaker/domain:Domain")
def network_of_a_domain(domain: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A domain's apps use the VPC alone; the default lets them use the internet."""
    access = at(domain.inputs, "appNetworkAccessType")
    message = f"is {access.value or 'not stated'}: traffic leaves over the internet"
    yield from demand(access, says("VpcOnly"), message, remedy="appNetworkAccessType: VpcOnly")


@dataclass(frozen=True)
class Connection:
    """Settings of which one is enough, and of each whether it is in place, None where nobody knows."""

    settings: Sequence[Value]
    states: Sequence[bool | None]

    def answers(self, message: str) -> Iterator[Answer]:
        """Yield a violation where none is in place, an unknown where one may be."""
        if True in self.states:
            return
        for setting, state in zip(self.settings, self.states, strict=True):
            if state is None:
                yield unknown(setting.path)
                return
        yield violation(self.settings[0].path, message)


def connection(endpoint: Resource, prefix: str, inspection: Inspection) -> Connection:
    """Return how an endpoint of Vertex is attached: by a network, or by private service connect that is switched on."""
    switch = at(endpoint.inputs, f"{prefix}privateServiceConnectConfig.enablePrivateServiceConnect")
    switched = None if hidden(switch) else is_true(switch.value)
    if prefix:
        return Connection((switch,), (switched,))
    network = at(endpoint.inputs, "network")
    return Connection((network, switch), (named(network, endpoint, inspection, *_GOOGLE), switched))


def _isolated_in_a_vpc(job: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    [vpc], [switch] = every(job, "vpcConfig"), every(job, "enableNetworkIsolation")
    yield from _vpc(vpc, resource, inspection)
    message = "network isolation is off or not stated"
    yield from demand(switch, is_true, message, remedy="enableNetworkIsolation: true")


def _vpc(vpc: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield what is missing from a `vpcConfig`. Ids need not be known, if it is known that there are some."""
    if vpc.absent or vpc.value == {}:
        yield violation(vpc.path, "is missing: no subnets and no security groups are named")
        return
    for name, types in (("subnets", _AWS), ("securityGroupIds", _GROUPS)):
        [listed] = every(vpc, name)
        if hidden(listed):
            if hidden(vpc) or not comes_from(listed, resource, inspection, *types):
                yield unknown(listed.path)
        elif not isinstance(listed.value, list) or all(map(is_absent, listed.value)):
            yield violation(listed.path, "is missing or empty")


def _subnet(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _named(at(compute.inputs, "properties.properties.subnet.id"), compute, inspection, *_AZURE)


def _named(subnet: Value, resource: Resource, inspection: Inspection, *types: str) -> Iterator[Answer]:
    yield from Connection((subnet,), (named(subnet, resource, inspection, *types),)).answers("no subnet is named")
