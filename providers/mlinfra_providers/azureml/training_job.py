"""TrainingJob: a cluster that is empty between runs, and the definition of a command job, kept beside the models.

Runs are operations (jobs.py), not of an `up`: Azure ML starts a job by creating it. The definition is a `CommandJob`
of the API as JSON. https://learn.microsoft.com/azure/machine-learning/how-to-train-model. Rows, code and results lie
beside the models, too, because whoever asks for a run must reach them.
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
from mlinfra.digests import PREFIX
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.training import INPUT_PREFIX, PARAMS_VARIABLE
from mlinfra.training.contract import CODE_VARIABLE, DIGEST_PREFIX
from mlinfra_providers.azureml.naming import (
    COMPUTE_LIMIT,
    identity_id,
    name,
    options,
    physical_name,
    place,
    plugin_options,
    where,
    workspace_id,
)
from mlinfra_providers.azureml.places import datastore, given, records, runs
from mlinfra_providers.azureml.roles import identity
from mlinfra_providers.azureml.schedules import iso
from mlinfra_providers.azureml.workspace import environment_id
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import tags_of

RUN, ROWS = "RUN", "ROWS"
"""What stands in the definition for the name of a run, and for the digest of an input."""
LOG = "log.txt"
IDLE = "PT2M"
"""How long a machine waits for another run before it goes."""
MOST_NODES = 1


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register identity, cluster and definition; gives the definition's name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    environment, called = links.environment, name(links.environment.name, job)
    _, granted = identity(
        part, links, "training", reads=[given(environment)], writes=[runs(environment, physical_name(job))]
    )
    cluster = make_cluster(part, links, "training", part.instance, granted, spot=job.spot)
    content = command_job(part, environment, RUN, {"code": part.code, **dict.fromkeys(job.inputs, ROWS)})
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


def command_job(part: ResolvedPart, environment: Environment, run: str, trees: Mapping[str, str]) -> dict[str, Any]:
    """Return a run as the API is sent it: `trees` are the digests of the code and of each input.

    The launcher checks the digests of what is mounted. What it prints is kept beside what it makes: Azure ML's own
    copy of it lies in an account that nobody outside reaches.
    """
    job = part.part
    assert isinstance(job, TrainingJob)
    called = name(environment.name, job)
    found = " ".join(f"--input={input_}=${{{{inputs.{input_}}}}}" for input_ in job.inputs)
    launched = f"python -m mlinfra.training.launcher {found} --output=${{{{outputs.run}}}} {job.code}"
    # Azure ML names each input in a variable, and the code is none of the script's inputs
    command = f"env -u AZURE_ML_INPUT_code {CODE_VARIABLE}=${{{{inputs.code}}}} {' '.join(launched.split())}"
    digests = {f"{INPUT_PREFIX}{key.upper()}": digest for key, digest in trees.items() if key != "code"}
    digests[CODE_VARIABLE] = trees["code"]
    return {
        "jobType": "Command",
        "displayName": called,
        "experimentName": called,
        "description": f"mlinfra: {job.key} of {part.stack}",
        "command": f"bash -o pipefail -c '{command} 2>&1 | tee ${{{{outputs.run}}}}/{LOG}'",
        "environmentId": environment_id(environment, "training"),
        "computeId": cluster_id(environment, job, "training"),
        "environmentVariables": {
            PARAMS_VARIABLE: json.dumps(dict(job.params), sort_keys=True),
            **{f"{DIGEST_PREFIX}{variable}": digest for variable, digest in sorted(digests.items())},
        },
        "identity": {"identityType": "Managed", "resourceId": identity_id(environment, job, "training")},
        "inputs": {
            key: {
                "jobInputType": "uri_folder",
                "uri": datastore(environment, given(environment).below("trees", digest.removeprefix(PREFIX))),
                "mode": "ReadOnlyMount",
            }
            for key, digest in trees.items()
        },
        "outputs": {
            "run": {
                "jobOutputType": "uri_folder",
                "uri": datastore(environment, runs(environment, physical_name(job)).below(run)),
                "mode": "ReadWriteMount",
            }
        },
        "limits": {"jobLimitsType": "Command", "timeout": iso(seconds(job.max_runtime))},
        "resources": {"instanceCount": 1},
        "tags": tags_of(environment, part),
    }


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
