"""ModelRegistry: an MLflow server on the team's database; its files are in the artifact store.

Where the database is stands in a Secret that is there already, `<registry>-database`: `uri`, as MLflow has it. The
server is the training image's: it holds `mlflow` and the database's driver.
"""

from __future__ import annotations

import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra_providers.kubernetes.around import account, name_in_state
from mlinfra_providers.kubernetes.labelled import COMPONENT, REGISTRY_LIMIT, name
from mlinfra_providers.kubernetes.naming import labels, metadata, options
from mlinfra_providers.kubernetes.network import ARTIFACTS, DATABASES, holding, part_policy, same_namespace
from mlinfra_providers.kubernetes.pods import (
    SCRATCH,
    container_security,
    empty,
    pod_security,
    probe,
    resources,
    scratch,
    store_access,
)

PORT = 5000
NEED = Compute(cpus=1, memory_gib=2)


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the server; gives its name and address."""
    registry = part.part
    assert isinstance(registry, ModelRegistry)
    called = name(registry, "registry", limit=REGISTRY_LIMIT)
    selected = {COMPONENT: called}
    owner = account(part, links, "registry")
    server = k8s.apps.v1.Deployment(
        registry.name,
        metadata=metadata(part, links, called, annotations={"mlinfra/trained-by": registry.trained_by.key}),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=1,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels(links.environment, part), **selected}),
                spec=_pod(links, called, owner),
            ),
        ),
        opts=options(links, protect=True),
    )
    k8s.core.v1.Service(
        name_in_state(part, "registry"),
        metadata=metadata(part, links, called),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=selected,
            ports=[k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port=PORT)],
        ),
        opts=options(links),
    )
    reached = [holding(DATABASES), holding(ARTIFACTS)]
    part_policy(part, links, name_in_state(part, "registry"), selected, from_=[same_namespace()], on=PORT, to=reached)
    return links.giving(part, name=called, url=f"http://{_host(links, called)}", resource=server)


def _host(links: Links, called: str) -> str:
    return f"{called}.{links.around.namespace}.svc.cluster.local:{PORT}"


def _pod(links: Links, called: str, owner: str) -> k8s.core.v1.PodSpecArgs:
    environment = links.environment
    assert environment.images is not None
    database = k8s.core.v1.EnvVarSourceArgs(
        secret_key_ref=k8s.core.v1.SecretKeySelectorArgs(name=f"{called}-database", key="uri")
    )
    # MLflow answers only to names that it knows, against DNS rebinding: mlflow.org/docs, "Tracking Server Security"
    hosts = [called, f"{called}:{PORT}", f"{called}.{links.around.namespace}:{PORT}", _host(links, called)]
    return k8s.core.v1.PodSpecArgs(
        service_account_name=owner,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security(),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="mlflow",
                image=environment.images.training,
                command=["mlflow", "server"],
                args=[
                    "--host=0.0.0.0",
                    f"--port={PORT}",
                    f"--artifacts-destination={(environment.artifacts or '').rstrip('/')}/registries/{called}",
                    f"--allowed-hosts={','.join(hosts)}",
                ],
                env=[k8s.core.v1.EnvVarArgs(name="MLFLOW_BACKEND_STORE_URI", value_from=database)],
                env_from=store_access(),
                ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT)],
                readiness_probe=probe("/health", PORT, every=10, host=called),
                liveness_probe=probe("/health", PORT, every=30, failures=5, host=called),
                resources=resources(NEED),
                security_context=container_security(),
                volume_mounts=[scratch()],
            )
        ],
        volumes=[empty(SCRATCH, 2)],
    )
