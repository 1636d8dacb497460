"""Azure ML: a workspace's encryption, and its storage account's, hold for all that is in it."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, Judge, decides, unknown, violation
from mlinfra.policy.values import at, every
from mlinfra.resources import Resource
from mlinfra_policies.azure import storage_accounts
from mlinfra_policies.families.encryption.keys import if_said, said_of

_WORKSPACE = "azure-native:machinelearningservices:Workspace"
_COMPUTE = "azure-native:machinelearningservices:Compute"
_DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
_OF_A_WORKSPACE = (
    "encryption of the workspace: {status: Enabled, "
    "keyVaultProperties: {keyVaultArmId: ${vault.id}, keyIdentifier: ${key.keyUriWithVersion}}}"
)
_OF_AN_ACCOUNT = (
    "encryption of the storage account: {keySource: Microsoft.Keyvault, "
    "keyVaultProperties: {keyVaultUri: ${vault.properties.vaultUri}, keyName: ${key.name}}}"
)


@decides("ENC-01", _WORKSPACE)
@decides("ENC-09", _WORKSPACE)
def encryption_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workspace's key protects its endpoints' storage and its home storage.

    The status alone tells: the API takes no Enabled without a key. A key that is there and empty is none.
    """
    status = at(workspace.inputs, "encryption.status")
    vault = at(workspace.inputs, "encryption.keyVaultProperties")
    if status.hidden:
        yield unknown(status.path)
    elif str(status.value).lower() != "enabled":
        yield violation(status.path, f"is {status.value or 'absent'}, not Enabled", remedy=_OF_A_WORKSPACE)
    elif not vault.absent and (key := at(vault, "keyIdentifier")).absent:
        yield violation(key.path, "no key is named")


@decides("ENC-03", _WORKSPACE)
def online_store_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A feature store is a workspace of a kind of its own, encrypted as every workspace is."""
    yield from if_said(at(workspace.inputs, "kind"), "FeatureStore", encryption_of_a_workspace(workspace, inspection))


@decides("ENC-04", _WORKSPACE)
def offline_store_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A feature store keeps its history in the workspace's storage account."""
    yield from if_said(at(workspace.inputs, "kind"), "FeatureStore", _storage_of_a_workspace(workspace, inspection))


@decides("ENC-05", _COMPUTE)
def disks_of_a_cluster(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The workspace's key protects the disks of a training cluster."""
    disks = _in_workspace(compute, inspection, encryption_of_a_workspace)
    yield from if_said(at(compute.inputs, "properties.computeType"), "AmlCompute", disks)


@decides("ENC-08", _COMPUTE)
def disks_of_a_compute_instance(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The workspace's key protects the disks of a compute instance."""
    disks = _in_workspace(compute, inspection, encryption_of_a_workspace)
    yield from if_said(at(compute.inputs, "properties.computeType"), "ComputeInstance", disks)


@decides("ENC-02", _DEPLOYMENT)
def captured_by_a_deployment(deployment: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Captured requests go to the storage account of the deployment's workspace."""
    for mode in every(deployment.inputs, "properties.dataCollector.collections{}.dataCollectionMode"):
        yield from if_said(mode, "Enabled", _in_workspace(deployment, inspection, _storage_of_a_workspace))


def _storage_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Judge the storage account of a workspace."""
    id_ = at(workspace.inputs, "storageAccount")
    accounts = storage_accounts(workspace, inspection)
    if not accounts:
        yield unknown(id_.path, "the storage account is not part of the plan")
    for account in accounts:
        source = at(account.inputs, "encryption.keySource")
        if source.hidden:
            yield said_of(account, id_, unknown(source.path))
        elif str(source.value).lower() != "microsoft.keyvault":
            found = source.value or "Microsoft.Storage by default"
            yield said_of(account, id_, violation(source.path, f"is {found}", remedy=_OF_AN_ACCOUNT))


def _in_workspace(resource: Resource, inspection: Inspection, judge: Judge) -> Iterator[Answer]:
    """Judge the workspace that holds a resource."""
    name = at(resource.inputs, "workspaceName")
    workspaces = inspection.referred(resource, name, "workspaceName", _WORKSPACE)
    if not workspaces:
        yield unknown(name.path, "the workspace is not part of the plan")
    for workspace in workspaces:
        for answer in judge(workspace, inspection):
            yield said_of(workspace, name, answer)
