"""IAM-01 on Azure ML and Kubernetes: workspaces, endpoints and pods run as somebody of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies import namespaces
from mlinfra_policies.demands import comes_from, demand, hidden, says, sources
from mlinfra_policies.pods import Pod, pods

_USER_ASSIGNED = ("azure-native:managedidentity:UserAssignedIdentity",)
_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
_BINDINGS = (
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
)
_EVERYBODY = frozenset({"system:serviceaccounts", "system:authenticated", "system:unauthenticated"})


@decides("IAM-01", "azure-native:machinelearningservices:Workspace")
def identity_of_a_workspace(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workspace has a user-assigned identity, and it is the primary one."""
    primary = at(workspace.inputs, "primaryUserAssignedIdentity")
    kind = at(workspace.inputs, "identity.type")
    if primary.absent:
        yield violation(primary.path, "no user-assigned identity is the primary one")
    elif hidden(primary) and not comes_from(primary, workspace, inspection, *_USER_ASSIGNED):
        yield unknown(primary.path)
    if not kind.absent:
        message = f"is {kind.value}, and so there is no user-assigned identity"
        yield from demand(kind, lambda value: "userassigned" in str(value).lower(), message)


@decides("IAM-01", "azure-native:machinelearningservices:OnlineEndpoint")
def identity_of_an_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint has an identity; the resource manager gives it none that is not asked for."""
    kind = at(endpoint.inputs, "identity.type")
    message = "the endpoint has no identity"
    none = says("None", "")
    yield from demand(kind, lambda value: not none(value), message, remedy="identity: {type: SystemAssigned}")


@decides("IAM-01", "kubernetes:*")
def account_of_a_pod(workload: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every pod runs as a service account of its own, which does not rule the cluster.

    A serving runtime has no field for one: the service that uses it has.
    """
    for pod in pods(workload) if not workload.type.endswith("ServingRuntime") else ():
        yield from _account(pod, workload, inspection)


def _account(pod: Pod, workload: Resource, inspection: Inspection) -> Iterator[Answer]:
    names = [pod.at("serviceAccountName"), pod.at("serviceAccount")]
    name = next((each for each in names if not each.absent), names[0])
    if name.absent:
        if not pod.partial:
            yield violation(name.path, "no service account is named, so the namespace's default one is used")
    elif hidden(name) and not comes_from(name, workload, inspection, _ACCOUNT):
        yield unknown(name.path)
    elif name.value == "default":
        yield violation(name.path, "the namespace's default service account is shared")
    else:
        yield from _bindings(name, workload, inspection)


def _bindings(account: Value, workload: Resource, inspection: Inspection) -> Iterator[Answer]:
    for binding, role in _ruling(inspection):
        held = [_is(subject, binding, account, workload, inspection) for subject in every(binding.inputs, "subjects[]")]
        if not any(answer is not False for answer in held):
            continue
        if True in held and not hidden(role):
            yield violation(account.path, f"{binding.name} binds cluster-admin to the service account")
        else:
            yield unknown(account.path, f"{binding.name} may bind cluster-admin to the service account")


@lru_cache(maxsize=1)
def _ruling(inspection: Inspection) -> Sequence[tuple[Resource, Value]]:
    """Return the bindings whose role rules the cluster, or may, with that role; asked for each pod of a plan."""
    found = [(binding, at(binding.inputs, "roleRef.name")) for binding in inspection.of(*_BINDINGS)]
    return [(binding, role) for binding, role in found if hidden(role) or role.value == "cluster-admin"]


def _is(subject: Value, binding: Resource, account: Value, workload: Resource, inspection: Inspection) -> bool | None:
    """Whether a subject of a binding is a service account, or a group that holds it."""
    if hidden(subject):
        return None
    [kind], [name], [space] = every(subject, "kind"), every(subject, "name"), every(subject, "namespace")
    here = namespaces.of(workload, inspection)
    if kind.value == "Group":
        prefix, _, group = str(name.value).rpartition(":")
        return str(name.value) in _EVERYBODY or (prefix == "system:serviceaccounts" and namespaces.alike(group, here))
    if kind.value != "ServiceAccount":
        return False
    if hidden(name) or hidden(account):
        left, right = _meant(name, binding, inspection), _meant(account, workload, inspection)
        return bool(left & right) if left and right else None
    if name.value != account.value:
        return False
    there = namespaces.of(binding, inspection) if space.absent else namespaces.meant(space, binding, inspection)
    return namespaces.alike(there, here)


def _meant(name: Value, resource: Resource, inspection: Inspection) -> set[str]:
    """Return by what names and URNs an input means a service account; none where nobody knows."""
    if not hidden(name):
        return {str(name.value)}
    found = sources(name, resource, inspection, _ACCOUNT)
    names = [at(each.inputs, "metadata.name") for each in found]
    return {each.urn for each in found} | {str(each.value) for each in names if not (hidden(each) or each.absent)}
