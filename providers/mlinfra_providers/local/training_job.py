"""TrainingJob: the definition that runs are made from. Runs themselves are operations (service.py)."""

from __future__ import annotations

from typing import Any

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.training_job import Dataset, TrainingJob
from mlinfra.durations import seconds
from mlinfra_providers.local.naming import options, physical_name
from mlinfra_providers.plugin_resource import PluginResource


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the definition."""
    job = part.part
    assert isinstance(job, TrainingJob)
    PluginResource(
        "mlinfra:local:TrainingDefinition",
        job.name,
        {"environment": links.environment.name, **definition(part)},
        options=options(links, depends_on=[links.of(store)["resource"] for store in job.references()]),
    )
    return links.giving(part)


def definition(part: ResolvedPart) -> dict[str, Any]:
    """Return everything that a run is made of, as JSON."""
    job = part.part
    assert isinstance(job, TrainingJob)
    return {
        "name": physical_name(job),
        "folder": part.folder,
        "code": part.code,
        "script": job.code,
        "inputs": {
            name: (
                {
                    "source": value.source,
                    "refreshSeconds": seconds(value.refresh) if value.refresh else None,
                    "features": [physical_name(store) for store in value.features],
                }
                if isinstance(value, Dataset)
                else {"featureStore": physical_name(value)}
            )
            for name, value in job.inputs.items()
        },
        "params": dict(job.params),
        "cpus": job.compute.cpus,
        "memoryGib": job.compute.memory_gib,
        "gpus": job.compute.gpus,
        "spot": job.spot,
        "maxRuntimeSeconds": seconds(job.max_runtime),
        "accept": [check.spec() for check in job.accept],
        "owner": part.owner,
    }
