"""What every pod has: no rights, a read-only root, its limits, and the tree that it runs or serves, checked.

The restricted Pod Security Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pulumi_kubernetes as k8s

from mlinfra.adapters import Links
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment

USER = 10001
"""Who the serving image runs as (serving/Dockerfile); volumes belong to the same group."""
STORE_SECRET = "mlinfra-artifacts"
"""The Secret with the artifact store's credentials, as variables of its library; optional: a node can have them."""
GPU = "nvidia.com/gpu"
SMALL = Compute(cpus=1, memory_gib=1)
"""What an init step gets."""
SCRATCH = "scratch"
LAST_WORDS = "FallbackToLogsOnError"
"""A container that fails leaves the end of its log as its message: what keeps a pod from being ready can be told."""


def pod_security() -> k8s.core.v1.PodSecurityContextArgs:
    """Return who a pod runs as."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    """Return what a container may do: nothing but its work."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def resources(need: Compute) -> k8s.core.v1.ResourceRequirementsArgs:
    """Return requests, and limits that are the same: nobody takes what another was promised."""
    amounts = {"cpu": str(need.cpus), "memory": f"{round(need.memory_gib * 1024)}Mi"}
    if need.gpus:
        amounts[GPU] = str(need.gpus)
    return k8s.core.v1.ResourceRequirementsArgs(requests=amounts, limits=dict(amounts))


def variables(values: Mapping[str, str]) -> list[k8s.core.v1.EnvVarArgs]:
    """Return variables in the order of their names."""
    return [k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in sorted(values.items())]


def empty(label: str, gib: int) -> k8s.core.v1.VolumeArgs:
    """Return a volume that lives as long as its pod."""
    return k8s.core.v1.VolumeArgs(name=label, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=f"{gib}Gi"))


def mount(label: str, path: str, *, inside: str | None = None, read_only: bool = False) -> k8s.core.v1.VolumeMountArgs:
    """Return where a volume stands in a container; `inside` is a folder of the volume."""
    return k8s.core.v1.VolumeMountArgs(name=label, mount_path=path, sub_path=inside, read_only=read_only)


def scratch() -> k8s.core.v1.VolumeMountArgs:
    """Return the folder for temporary files: the root is read-only."""
    return mount(SCRATCH, "/tmp")


def tree_url(environment: Environment, digest: str) -> str:
    """Return where the artifact store keeps a tree: `s3://…/trees/<digits>` (mlinfra.artifacts)."""
    return f"{(environment.artifacts or '').rstrip('/')}/trees/{digest.removeprefix('sha256:')}"


def bring(links: Links, image: str, label: str, digest: str, path: str) -> k8s.core.v1.ContainerArgs:
    """Return the init step that brings a tree into the volume `label`, and fails unless it has its digest.

    KServe's own storage initializer checks no digest.
    """
    return k8s.core.v1.ContainerArgs(
        name=f"bring-{label}",
        image=image,
        command=["python", "-m", "mlinfra_serving.bring"],
        args=["--from", tree_url(links.environment, digest), "--digest", digest, "--to", path],
        env_from=store_access(),
        resources=resources(replace(SMALL)),
        security_context=container_security(),
        termination_message_policy=LAST_WORDS,
        volume_mounts=[mount(label, path), scratch()],
    )


def store_access() -> Sequence[k8s.core.v1.EnvFromSourceArgs]:
    """Return the credentials of the artifact store, where they are in a Secret."""
    return [k8s.core.v1.EnvFromSourceArgs(secret_ref=k8s.core.v1.SecretEnvSourceArgs(name=STORE_SECRET, optional=True))]


def probe(path: str, port: int, *, every: int = 5, failures: int = 3, host: str = "") -> k8s.core.v1.ProbeArgs:
    """Return a check by HTTP, every so many seconds."""
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(
            path=path,
            port=port,
            http_headers=[k8s.core.v1.HTTPHeaderArgs(name="Host", value=host)] if host else None,
        ),
        period_seconds=every,
        failure_threshold=failures,
    )
