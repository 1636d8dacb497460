"""TrainingJob: a cluster that is empty between runs, and the definition of a command job, kept beside the models.

Runs are operations (service.py), not of an `up`: Azure ML starts a job by creating it. The definition is a `CommandJob`
of the API as JSON. https://learn.microsoft.com/azure/machine-learning/how-to-train-model
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.training import PARAMS_VARIABLE
from mlinfra_providers.azureml.naming import (
    COMPUTE_LIMIT,
    identity_id,
    name,
    options,
    place,
    plugin_options,
    where,
    workspace_id,
)
from mlinfra_providers.azureml.places import Place, data, datastore, records, tree
from mlinfra_providers.azureml.roles import identity
from mlinfra_providers.azureml.schedules import iso
from mlinfra_providers.azureml.workspace import environment_id
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import tags_of

RUN = "RUN"
"""What stands in the definition for the digest that names a run."""
IDLE = "PT2M"
"""How long a machine waits for another run before it goes."""
MOST_NODES = 1


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register identity, cluster and definition; gives the definition's name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    environment, called = links.environment, name(links.environment.name, job)
    inputs = {"code": tree(environment, part.code), **_inputs(part, links)}
    runs = data(environment, "runs", called)
    _, granted = identity(part, links, "training", reads=list(inputs.values()), writes=[runs])
    cluster = make_cluster(part, links, "training", part.instance, granted, spot=job.spot)
    given = " ".join(f"--input={input_}=${{{{inputs.{input_}}}}}" for input_ in job.inputs)
    content = {
        "jobType": "Command",
        "displayName": called,
        "experimentName": called,
        "description": f"mlinfra: {job.key} of {part.stack}",
        "command": " ".join(
            ["python -m mlinfra.training.launcher", *([given] if given else []), f"${{{{inputs.code}}}}/{job.code}"]
        ),
        "environmentId": environment_id(environment, "training"),
        "computeId": cluster_id(environment, job, "training"),
        "environmentVariables": {PARAMS_VARIABLE: json.dumps(dict(job.params), sort_keys=True)},
        "identity": {"identityType": "Managed", "resourceId": identity_id(environment, job, "training")},
        "inputs": {
            input_: {"jobInputType": "uri_folder", "uri": datastore(environment, there), "mode": "ReadOnlyMount"}
            for input_, there in inputs.items()
        },
        "outputs": {
            "run": {
                "jobOutputType": "uri_folder",
                "uri": datastore(environment, runs.below(RUN)),
                "mode": "ReadWriteMount",
            }
        },
        "limits": {"jobLimitsType": "Command", "timeout": iso(seconds(job.max_runtime))},
        "resources": {"instanceCount": 1},
        "tags": tags_of(environment, part),
    }
    there = records(environment, "jobs", f"{called}.json")
    made = PluginResource(
        "mlinfra:azureml:TrainingDefinition",
        job.name,
        {
            **place(links),
            "account": there.account,
            "container": there.container,
            "record": there.path,
            "declared": {**job.spec(), "folder": part.folder, "codeDigest": part.code, "owner": part.owner},
            "content": content,
        },
        options=plugin_options(
            links,
            depends_on=[cluster, *links.around.made, *(links.of(store)["resource"] for store in job.references())],
        ),
    )
    return links.giving(part, name=called, resource=made)


def make_cluster(
    part: ResolvedPart,
    links: Links,
    purpose: str,
    instance: Instance | None,
    granted: list[pulumi.Resource],
    *,
    spot: bool,
) -> ml.Compute:
    """Register a cluster of one machine at most, in the workspace's network, with the identity of the part."""
    environment = links.environment
    return ml.Compute(
        f"{part.part.name}-{purpose}",
        compute_name=cluster_name(environment, part.part, purpose),
        location=environment.region,
        identity=ml.ManagedServiceIdentityArgs(
            type="UserAssigned", user_assigned_identities=[identity_id(environment, part.part, purpose)]
        ),
        properties=ml.AmlComputeArgs(
            compute_type="AmlCompute",
            compute_location=environment.region,
            description=f"mlinfra: {part.key} of {part.stack}",
            disable_local_auth=True,
            properties=ml.AmlComputePropertiesArgs(
                vm_size=instance.name if instance else None,
                vm_priority="LowPriority" if spot else "Dedicated",
                os_type="Linux",
                enable_node_public_ip=False,
                remote_login_port_public_access="Disabled",
                scale_settings=ml.ScaleSettingsArgs(
                    min_node_count=0, max_node_count=MOST_NODES, node_idle_time_before_scale_down=IDLE
                ),
            ),
        ),
        tags=tags_of(environment, part),
        opts=options(links, depends_on=granted),
        **where(links),
    )


def cluster_name(environment: Environment, part: Part, purpose: str) -> str:
    """Return the name of a part's cluster: at most 16 letters and digits."""
    return name(environment.name, part, purpose, limit=COMPUTE_LIMIT, separator="")


def cluster_id(environment: Environment, part: Part, purpose: str) -> str:
    """Return the id of a part's cluster."""
    return f"{workspace_id(environment)}/computes/{cluster_name(environment, part, purpose)}"


def _inputs(part: ResolvedPart, links: Links) -> Mapping[str, Place]:
    """Return where each input's rows are put before a run: named by what they are made of."""
    job = part.part
    assert isinstance(job, TrainingJob)
    specs: Mapping[str, Any] = job.spec()["inputs"]
    return {
        input_: data(links.environment, "inputs", short(digest_json([specs[input_], part.code])), input_)
        for input_ in job.inputs
    }
