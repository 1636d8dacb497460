"""TrainingJob: the definition of a custom job, kept in the bucket. Runs are operations (service.py), not of an `up`.

The definition is a `CustomJob` of the API as JSON, so that `gcloud ai custom-jobs create` takes it, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.training import PARAMS_VARIABLE
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.machines import machine_spec
from mlinfra_providers.vertex.naming import account_email, name, place, plugin_options
from mlinfra_providers.vertex.roles import account
from mlinfra_providers.vertex.storage import bucket_name, data_uri, job_record

RUN = "RUN"
"""What stands in the definition for the digest that names a run."""
DISK_GB = 100


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the account and the definition; gives the definition's name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    environment, around = links.environment, links.around
    runs = runs_uri(environment, part)
    granted = account(part, links, "training", reads=[given_uri(environment)], writes=[runs])
    called = name(environment.name, job)
    definition = custom_job(
        part,
        links,
        called,
        purpose="training",
        container=_container(part, links),
        machine=machine_spec(part.instance) if part.instance else {},
        limit=seconds(job.max_runtime),
        output=f"{runs}/{RUN}",
    )
    definition["jobSpec"]["scheduling"] |= {"strategy": "SPOT" if job.spot else "STANDARD"}
    made = PluginResource(
        "mlinfra:vertex:CustomJob",
        job.name,
        {
            **place(links),
            "bucket": bucket_name(environment),
            "record": job_record(environment, called),
            "declared": {
                **job.spec(), "folder": part.folder, "codeDigest": part.code, "owner": part.owner,
            },
            **definition,
        },
        options=plugin_options(
            links, depends_on=[*granted, *around.made, *(links.of(store)["resource"] for store in job.references())]
        ),
    )  # fmt: skip
    return links.giving(part, name=called, resource=made)


def custom_job(
    part: ResolvedPart,
    links: Links,
    called: str,
    *,
    purpose: str,
    container: Mapping[str, Any],
    machine: Mapping[str, Any],
    limit: float,
    output: str,
) -> dict[str, Any]:
    """Return a `CustomJob` of one machine, in the network, encrypted, under the part's own account; `limit` seconds."""
    pool = {
        "machineSpec": dict(machine),
        "replicaCount": "1",
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": DISK_GB},
        "containerSpec": dict(container),
    }
    return {
        "displayName": called,
        "jobSpec": {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": f"{limit:g}s", "disableRetries": True},
            "serviceAccount": account_email(links.environment, part.part, purpose),
            "pscInterfaceConfig": {"networkAttachment": links.around.network.attachment},
            "baseOutputDirectory": {"outputUriPrefix": output},
        },
        "labels": as_labels(tags_of(links.environment, part)),
        "encryptionSpec": {"kmsKeyName": links.around.key},
    }


def given_uri(environment: Environment) -> str:
    """Return where jobs find code and rows, as trees named by their content."""
    return data_uri(environment, "given")


def runs_uri(environment: Environment, part: ResolvedPart) -> str:
    """Return where a job's runs leave what they make, a folder a run."""
    return data_uri(environment, "runs", name(environment.name, part.part))


def _container(part: ResolvedPart, links: Links) -> dict[str, Any]:
    """Return the container. A run adds where its own code and rows are: the launcher fetches them (jobs.py)."""
    job, images = part.part, links.environment.images
    assert isinstance(job, TrainingJob)
    assert images is not None
    return {
        "imageUri": images.training,
        "command": ["python", "-m", "mlinfra.training.launcher"],
        "args": [job.code],
        "env": [{"name": PARAMS_VARIABLE, "value": json.dumps(dict(job.params), sort_keys=True)}],
    }
