"""A platform on Kubernetes as one writes it by hand with pulumi_kubernetes: the lab's own proof.

`PROGRAM_*` variables change it between runs.
"""

from __future__ import annotations

import os

import pulumi
import pulumi_kubernetes as k8s

REPLICAS = int(os.environ.get("PROGRAM_REPLICAS", "1"))
FORCE = {"pulumi.com/patchForce": "true"} if "PROGRAM_FORCE" in os.environ else {}

namespace = k8s.core.v1.Namespace("flights", metadata=k8s.meta.v1.ObjectMetaArgs(name="flights"))
inside = k8s.meta.v1.ObjectMetaArgs(namespace=namespace.metadata.name)
account = k8s.core.v1.ServiceAccount("serving", metadata=inside)
role = k8s.rbac.v1.Role(
    "serving",
    metadata=inside,
    rules=[k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["configmaps"], verbs=["get"])],
)
k8s.rbac.v1.RoleBinding(
    "serving",
    metadata=inside,
    role_ref=k8s.rbac.v1.RoleRefArgs(
        api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.apply(lambda made: made.name or "")
    ),
    subjects=[
        k8s.rbac.v1.SubjectArgs(
            kind="ServiceAccount", name=account.metadata.apply(lambda made: made.name or ""), namespace="flights"
        )
    ],
)
secret = k8s.core.v1.Secret(
    "storage", metadata=inside, string_data={"password": pulumi.Output.secret("a-password-of-the-test")}
)
settings = k8s.core.v1.ConfigMap("serving", metadata=inside, data={"level": os.environ.get("PROGRAM_LEVEL", "info")})
k8s.core.v1.ResourceQuota(
    "limits",
    metadata=inside,
    spec=k8s.core.v1.ResourceQuotaSpecArgs(hard={"requests.cpu": "8", "requests.memory": "32Gi"}),
)
k8s.networking.v1.NetworkPolicy(
    "closed",
    metadata=inside,
    spec=k8s.networking.v1.NetworkPolicySpecArgs(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
    ),
)
k8s.policy.v1.PodDisruptionBudget(
    "serving",
    metadata=inside,
    spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        min_available=1, selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app": "flights"})
    ),
)
service = k8s.apiextensions.CustomResource(
    "v-3f9c",
    api_version="serving.kserve.io/v1beta1",
    kind="InferenceService",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="v-3f9c", namespace=namespace.metadata.name, annotations=FORCE),
    spec={
        "predictor": {
            "minReplicas": os.environ.get("PROGRAM_WRONG", REPLICAS),
            "maxReplicas": 4,
            "serviceAccountName": account.metadata.apply(lambda made: made.name or ""),
            "model": {
                "name": "flights",
                "modelFormat": {"name": "sklearn"},
                "storageUri": "s3://models/3f9c",
                "resources": {"requests": {"cpu": "0.5", "memory": "1Gi"}},
                "envFrom": [{"configMapRef": {"name": settings.metadata.apply(lambda made: made.name or "")}}],
            },
        }
    },
)
k8s.apiextensions.CustomResource(
    "flights",
    api_version="gateway.networking.k8s.io/v1",
    kind="HTTPRoute",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="flights", namespace=namespace.metadata.name),
    spec={
        "parentRefs": [{"name": "gateway"}],
        "rules": [{"backendRefs": [{"name": "v-3f9c-predictor", "port": 80, "weight": 100}]}],
    },
)
job = k8s.batch.v1.CronJob(
    "drift",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="drift", namespace=namespace.metadata.name),
    spec=k8s.batch.v1.CronJobSpecArgs(
        schedule="0 * * * *",
        job_template=k8s.batch.v1.JobTemplateSpecArgs(
            spec=k8s.batch.v1.JobSpecArgs(
                template=k8s.core.v1.PodTemplateSpecArgs(
                    spec=k8s.core.v1.PodSpecArgs(
                        restart_policy="Never",
                        containers=[
                            k8s.core.v1.ContainerArgs(
                                name="drift",
                                image="serving@sha256:" + "0" * 64,
                                resources=k8s.core.v1.ResourceRequirementsArgs(requests={"cpu": "0.5"}),
                            )
                        ],
                    )
                )
            )
        ),
    ),
)
k8s.core.v1.Service(
    "front",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="front", namespace=namespace.metadata.name),
    spec=k8s.core.v1.ServiceSpecArgs(
        selector={"app": "flights"},
        ports=[k8s.core.v1.ServicePortArgs(port=80)],
        cluster_ip=os.environ.get("PROGRAM_ADDRESS", "10.0.0.10"),
    ),
)
pulumi.export("namespace", namespace.metadata.name)
