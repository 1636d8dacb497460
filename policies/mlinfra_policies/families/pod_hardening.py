"""Hardening of pods (POD-01 to POD-11), in whatever resource they are described.

What is allowed follows Kubernetes' Pod Security Standards. What a pod says in its `securityContext` holds for each of
its containers that says nothing else, where the API has the field in both (`runAsNonRoot`, `seccompProfile`); other
fields exist in containers alone. A `runAsUser` of 0 and AppArmor's `Unconfined` are wrong wherever they stand. Where
absence says nothing (see `Pod.partial`), only a bad value counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, is_false, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies import namespaces
from mlinfra_policies.demands import Holds, demand, hidden, says
from mlinfra_policies.network_policies import network_policies
from mlinfra_policies.pods import Container, Pod, pods

ANY = "kubernetes:*"

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""Kubernetes' safe set: https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/ (1.32)."""
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_UNCONFINED = says("Unconfined")


@decides("POD-01", ANY)
def no_privileged_container(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for _, container in _containers(resource):
        said = container.at("securityContext.privileged")
        yield from _bad(said, is_true, "the container is privileged", "privileged: false")


@decides("POD-02", ANY)
def no_host_namespaces(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod in pods(resource):
        for name in ("hostPID", "hostIPC", "hostNetwork"):
            yield from _bad(pod.at(name), is_true, "the pod shares a namespace of its host", f"{name}: false")


@decides("POD-03", ANY)
def no_host_path(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod in pods(resource):
        for said in pod.every("volumes[].hostPath"):
            yield from _bad(said, lambda _: True, "the volume is a path of the host")


@decides("POD-04", ANY)
def no_host_port(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for _, container in _containers(resource):
        for said in container.every("ports[].hostPort"):
            yield from _bad(said, lambda port: number(port) != 0, f"the container takes port {said.value} of its host")


@decides("POD-05", ANY)
def no_privilege_escalation(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for _, container in _containers(resource):
        said = container.at("securityContext.allowPrivilegeEscalation")
        yield from _wanted(said, is_false, container.partial, "false", "the default allows it")


@decides("POD-06", ANY)
def runs_as_non_root(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod, container in _containers_or_pod(resource):
        said = _inherited(pod, container, "securityContext.runAsNonRoot")
        yield from _wanted(said, is_true, container.partial, "true", "the image decides who it runs as")
    for described in _described(resource):
        said = described.at("securityContext.runAsUser")
        yield from _bad(said, lambda user: number(user) == 0, "user 0 is root", "runAsUser: 1000")


@decides("POD-07", ANY)
def drops_all_capabilities(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for _, container in _containers(resource):
        dropped = container.at("securityContext.capabilities.drop")
        names = container.every("securityContext.capabilities.drop[]")
        if not any(str(each.value).upper() == "ALL" for each in names):
            if any(map(hidden, names)):
                yield unknown(dropped.path)
            elif names or not container.partial:
                yield violation(dropped.path, "the container does not drop ALL capabilities", remedy='drop: ["ALL"]')
        for added in container.every("securityContext.capabilities.add[]"):
            yield from _bad(
                added,
                lambda name: str(name).upper() != "NET_BIND_SERVICE",
                f"adds the capability {added.value}; only NET_BIND_SERVICE may be added",
            )


@decides("POD-08", ANY)
def seccomp_profile(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod, container in _containers_or_pod(resource):
        said = _inherited(pod, container, "securityContext.seccompProfile.type")
        yield from _wanted(
            said,
            lambda profile: profile in ("RuntimeDefault", "Localhost"),
            container.partial,
            "RuntimeDefault",
            "system calls are not filtered",
        )


@decides("POD-09", ANY)
def read_only_root_file_system(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for _, container in _containers(resource):
        said = container.at("securityContext.readOnlyRootFilesystem")
        yield from _wanted(said, is_true, container.partial, "true", "the default is writable")


@decides("POD-10", ANY)
def restricted_volumes_sysctls_and_masks(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod in pods(resource):
        for volume in pod.every("volumes[]"):
            yield from _volume(volume)
        for sysctl in pod.every("securityContext.sysctls[].name"):
            yield from _bad(
                sysctl, lambda name: str(name) not in _SAFE_SYSCTLS, f"{sysctl.value} is outside the safe set"
            )
        if isinstance(pod.annotations, Mapping):
            for name, profile in pod.annotations.items():
                if name.startswith(_APPARMOR):
                    beside = re.sub(r"(^|\.)spec$", r"\1metadata", pod.path)
                    said = Value(f"{beside}.annotations['{name}']", profile)
                    yield from _bad(said, _UNCONFINED, "AppArmor is switched off")
    for _, container in _containers(resource):
        mask = container.at("securityContext.procMount")
        yield from _bad(mask, lambda value: value == "Unmasked", "all of /proc is shown", "procMount: Default")
    for described in _described(resource):
        profile = described.at("securityContext.appArmorProfile.type")
        yield from _bad(profile, _UNCONFINED, "AppArmor is switched off", "type: RuntimeDefault")
        for name in ("user", "role"):
            said = described.at(f"securityContext.seLinuxOptions.{name}")
            yield from _bad(said, lambda _: True, f"names an SELinux {name}")


@decides("POD-11", ANY)
def own_namespace_with_a_network_policy(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    found = pods(resource)
    if not found or resource.type.rpartition(":")[2].startswith("Cluster"):
        return
    path = "metadata.namespace"
    namespace = namespaces.of(resource, inspection)
    if namespace is None:
        yield unknown(path)
    elif namespace == "default":
        yield violation(path, "the pods live in the namespace default", remedy="metadata.namespace: NAMESPACE")
    else:
        for pod in [pod for pod in found if not pod.partial] or found[-1:]:
            covered = _is_covered(pod, resource, namespace, inspection)
            if covered is None:
                yield unknown(path, f"whether a network policy selects the pods of {pod.path} is not known")
            elif not covered:
                yield violation(path, f"no network policy of the plan selects the pods of {pod.path}")


def _is_covered(pod: Pod, resource: Resource, namespace: str | Resource, inspection: Inspection) -> bool | None:
    """Whether a network policy of the plan selects a resource's pods; None where that is not known."""
    answers = [False if inspection.complete else None]
    for policy in network_policies(inspection):
        there = namespaces.alike(namespace, policy.namespace)
        if there is not False:
            selected = policy.selects(pod, resource, inspection)
            if selected and there:
                return True
            if selected is False and pod.partial:
                selected = None
            answers.append(there if selected else selected)
    return None if None in answers else False


def _volume(volume: Value) -> Iterator[Answer]:
    yield from _bad(volume, lambda _: False, "")
    if isinstance(volume.value, Mapping):
        for name, value in volume.value.items():
            if name not in {"name", "hostPath", *_VOLUMES} and not name.startswith("__"):
                said = Value(f"{volume.path}.{name}", value)
                yield from _bad(said, lambda _: True, f"a volume of type {name} is outside the restricted types")


def _bad(said: Value, bad: Holds, message: str, remedy: str = "") -> Iterator[Answer]:
    """Yield what there is to say of a field that must not have some values; it may be absent."""
    if not said.absent:
        yield from demand(said, lambda value: not bad(value), message, remedy=remedy)


def _wanted(said: Value, holds: Holds, partial: bool, wanted: str, default: str) -> Iterator[Answer]:
    """Yield what there is to say of a field that must have some values; where it is absent, `default` tells why."""
    if not (said.absent and partial):
        found = f"is not set: {default}" if said.absent else f"is {said.value}"
        name = said.path.rpartition(".")[2]
        yield from demand(said, holds, f"{name} {found}; wanted is {wanted}", remedy=f"{name}: {wanted}")


def _inherited(pod: Pod, container: Container, path: str) -> Value:
    own, of_pod = container.at(path), pod.at(path)
    return of_pod if own.absent and not of_pod.absent else own


def _containers(resource: Resource) -> Iterator[tuple[Pod, Container]]:
    for pod in pods(resource):
        for container in pod.containers():
            yield pod, container


def _containers_or_pod(resource: Resource) -> Iterator[tuple[Pod, Container]]:
    """Yield each pod with each of its containers; one without containers with one that says nothing."""
    for pod in pods(resource):
        for container in pod.containers() or [Container(pod.path, {}, partial=True)]:
            yield pod, container


def _described(resource: Resource) -> Iterator[Pod | Container]:
    for pod in pods(resource):
        yield pod
        yield from pod.containers()
