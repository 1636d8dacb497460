"""TrainingJob: a runtime of Kubeflow Trainer. Runs are operations (service.py): an `up` starts none.

https://www.kubeflow.org/docs/components/trainer/operator-guides/runtime; a run is a TrainJob that names this runtime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.durations import seconds
from mlinfra.training import PARAMS_VARIABLE
from mlinfra_providers.kubernetes.around import account, name_in_state
from mlinfra_providers.kubernetes.labelled import COMPONENT, TRAIN_LIMIT, name
from mlinfra_providers.kubernetes.naming import label, labels, metadata, options, told
from mlinfra_providers.kubernetes.network import ARTIFACTS, holding, part_policy
from mlinfra_providers.kubernetes.pods import (
    LAST_WORDS,
    SCRATCH,
    bring,
    container_security,
    empty,
    mount,
    pod_security,
    resources,
    scratch,
    store_access,
    variables,
)

CODE = "/mlinfra/code"
SPOT = "karpenter.sh/capacity-type"
"""The label and taint of Karpenter's spare nodes (karpenter.sh/docs/concepts/nodepools)."""
SCRATCH_GIB = 20
GRACE_SECONDS = 120
"""For a run that is interrupted to keep what it has."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the runtime and the identity of its runs; gives its name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    called = name(job, limit=TRAIN_LIMIT)
    owner = account(part, links, "training")
    made = k8s.apiextensions.CustomResource(
        job.name,
        api_version="trainer.kubeflow.org/v1alpha1",
        kind="TrainingRuntime",
        metadata=metadata(part, links, called, annotations={"mlinfra/definition": told(definition(part, links))}),
        spec={
            "mlPolicy": {"numNodes": 1},
            "template": {
                "spec": {
                    "failurePolicy": {"maxRestarts": 3 if job.spot else 0},
                    "replicatedJobs": [{"name": "node", "replicas": 1, "template": _job(part, links, owner)}],
                }
            },
        },
        opts=options(links, depends_on=[links.of(store)["resource"] for store in job.references()]),
    )
    part_policy(part, links, name_in_state(part, "training"), _selected(part), to=[holding(ARTIFACTS)])
    return links.giving(part, name=called, resource=made)


def definition(part: ResolvedPart, links: Links) -> dict[str, Any]:
    """Return what was declared: the runtime's annotation, from which a run is judged."""
    job = part.part
    assert isinstance(job, TrainingJob)
    assert links.environment.images is not None
    return {
        **job.spec(),
        "folder": part.folder,
        "code_digest": part.code,
        "owner": part.owner,
        "image": links.environment.images.training,
    }


def _selected(part: ResolvedPart) -> Mapping[str, str]:
    return {COMPONENT: label(f"{name(part.part)}-training")}


def _job(part: ResolvedPart, links: Links, owner: str) -> dict[str, Any]:
    job, images = part.part, links.environment.images
    assert isinstance(job, TrainingJob)
    assert images is not None
    spec = k8s.core.v1.PodSpecArgs(
        restart_policy="Never",
        service_account_name=owner,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=GRACE_SECONDS,
        security_context=pod_security(),
        init_containers=[bring(links, images.training, "code", part.code, CODE)],
        containers=[
            k8s.core.v1.ContainerArgs(
                name="node",
                image=images.training,
                command=["python", "-m", "mlinfra.training.launcher"],
                args=[f"{CODE}/{job.code}"],
                env=variables(_variables(part)),
                env_from=store_access(),
                resources=resources(replace(job.compute)),
                security_context=container_security(),
                termination_message_policy=LAST_WORDS,
                volume_mounts=[mount("code", CODE, read_only=True), scratch()],
            )
        ],
        volumes=[empty("code", 1), empty(SCRATCH, SCRATCH_GIB)],
        affinity=_spare_nodes() if job.spot else None,
        tolerations=[_tolerated()] if job.spot else None,
    )
    return {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {
            "activeDeadlineSeconds": seconds(job.max_runtime),
            "backoffLimit": 0,
            "template": k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels(links.environment, part), **_selected(part)}),
                spec=spec,
            ),
        },
    }


def _variables(part: ResolvedPart) -> dict[str, str]:
    """Return what the launcher reads of the declaration; its inputs and its own folder are told by each run."""
    job = part.part
    assert isinstance(job, TrainingJob)
    return {PARAMS_VARIABLE: json.dumps(dict(job.params), sort_keys=True)}


def _spare_nodes() -> k8s.core.v1.AffinityArgs:
    """Prefer spare nodes; a cluster without any runs the job on others."""
    term = k8s.core.v1.NodeSelectorTermArgs(
        match_expressions=[k8s.core.v1.NodeSelectorRequirementArgs(key=SPOT, operator="In", values=["spot"])]
    )
    return k8s.core.v1.AffinityArgs(
        node_affinity=k8s.core.v1.NodeAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                k8s.core.v1.PreferredSchedulingTermArgs(weight=100, preference=term)
            ]
        )
    )


def _tolerated() -> k8s.core.v1.TolerationArgs:
    return k8s.core.v1.TolerationArgs(key=SPOT, operator="Equal", value="spot", effect="NoSchedule")
