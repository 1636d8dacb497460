"""IAM-03, IAM-04, IAM-05 and IAM-07: what people can do on a notebook, and who may."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_false, is_true
from mlinfra.resources import Resource
from mlinfra_policies.demands import demand, hidden, says, where

_NOTEBOOK = "aws:sagemaker/notebookInstance:NotebookInstance"
_WORKBENCH = "gcp:workbench/instance:Instance"
_COMPUTE = "azure-native:machinelearningservices:Compute"


@decides("IAM-03", _NOTEBOOK)
def root_on_a_notebook(notebook: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Root access is Enabled unless somebody says otherwise."""
    access = at(notebook.inputs, "rootAccess")
    message = f"root access is {access.value or 'not stated, and so Enabled'}"
    yield from demand(access, says("Disabled"), message, remedy="rootAccess: Disabled")


@decides("IAM-03", _WORKBENCH)
def root_on_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench's metadata disables root."""
    yield from _metadata(instance, "notebook-disable-root")


@decides("IAM-03", _COMPUTE)
def ssh_on_a_compute_instance(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A compute instance is not reached by SSH, and root so."""
    access = at(compute.inputs, "properties.properties.sshSettings.sshPublicAccess")
    enabled = says("Enabled")
    answers = demand(
        access, lambda value: not enabled(value), "SSH is reached publicly", remedy="sshPublicAccess: Disabled"
    )
    yield from where(at(compute.inputs, "properties.computeType"), says("ComputeInstance"), answers)


@decides("IAM-03", "kubernetes:kubeflow.org/*:Notebook")
def root_in_a_notebook(notebook: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each container of a notebook runs as another user than root; its own word comes before its pod's."""
    of_pod = at(notebook.inputs, "spec.template.spec.securityContext.runAsNonRoot")
    for container in every(notebook.inputs, "spec.template.spec.containers[]"):
        [own] = every(container, "securityContext.runAsNonRoot")
        said = Value(own.path, of_pod.value if own.absent else own.value)
        remedy = "securityContext: {runAsNonRoot: true}"
        yield from demand(said, is_true, "the container may run as root", remedy=remedy)


@decides("IAM-04", _WORKBENCH)
def ways_out_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench's metadata disables the terminal and downloads."""
    yield from _metadata(instance, "notebook-disable-terminal")
    yield from _metadata(instance, "notebook-disable-downloads")


@decides("IAM-05", _NOTEBOOK)
def metadata_service_of_a_notebook(notebook: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A notebook demands version 2 of the instance metadata service; the default is 1."""
    version = at(notebook.inputs, "instanceMetadataServiceConfiguration.minimumInstanceMetadataServiceVersion")
    message = f"the minimum version is {version.value or 'not stated, and so 1'}"
    remedy = "minimumInstanceMetadataServiceVersion: '2'"
    yield from demand(version, lambda value: str(value).removesuffix(".0") == "2", message, remedy=remedy)


@decides("IAM-05", _WORKBENCH)
def shield_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench keeps its virtual trusted platform module and the monitoring of its integrity, both on by default."""
    for name in ("enableVtpm", "enableIntegrityMonitoring"):
        switch = at(instance.inputs, f"gceSetup.shieldedInstanceConfig.{name}")
        yield from demand(switch, lambda value: not is_false(value), "is switched off", remedy=f"{name}: true")


@decides("IAM-07", "aws:sagemaker/space:Space")
def sharing_of_a_space(space: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A space is private."""
    kind = at(space.inputs, "spaceSharingSettings.sharingType")
    shared = says("Shared")
    yield from demand(kind, lambda value: not shared(value), "the space is shared", remedy="sharingType: Private")


@decides("IAM-07", _WORKBENCH)
def owner_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench has one owner; without one, everybody who may use its service account may use it."""
    owners = every(instance.inputs, "instanceOwners[]")
    not_known = [owner for owner in owners if hidden(owner)]
    stated = [owner for owner in owners if not owner.absent]
    if not stated:
        yield violation("instanceOwners", "no owner is named, so the workbench is shared")
    elif len(stated) > 1:
        yield violation("instanceOwners", f"{len(stated)} owners share the workbench")
    elif not_known:
        yield unknown(not_known[0].path)


@decides("IAM-07", _COMPUTE)
def sharing_of_a_compute_instance(compute: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Applications of a compute instance are its owner's alone; the default shares them."""
    policy = at(compute.inputs, "properties.properties.applicationSharingPolicy")
    message = f"applications are {policy.value or 'not said to be Personal, and so Shared'}"
    answers = demand(policy, says("Personal"), message, remedy="applicationSharingPolicy: Personal")
    yield from where(at(compute.inputs, "properties.computeType"), says("ComputeInstance"), answers)


def _metadata(instance: Resource, name: str) -> Iterator[Answer]:
    entry = at(instance.inputs, f"gceSetup.metadata['{name}']")
    yield from demand(entry, is_true, f"{name} is not 'true'", remedy=f"{name}: 'true'")
