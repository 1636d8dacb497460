"""Vertex AI's own monitor of an endpoint, declared beside mlinfra's job where a DriftMonitor says `native`.

https://cloud.google.com/vertex-ai/docs/model-monitoring/overview: it compares each window with the one before, not with
the rows of the training; of numbers by Jensen-Shannon divergence, of texts by L-infinity, whichever a threshold names.
It reads sampled requests that came as `instances`. The tensors of the V2 protocol, which the server takes as well, it
cannot read; until it has learnt the columns from the first 1000 that it can, it waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.durations import seconds
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.naming import location, physical_name, place, plugin_options
from mlinfra_providers.vertex.storage import KEPT_DAYS, data_uri


def declare_native(
    part: ResolvedPart, links: Links, called: str, channels: Sequence[pulumi.Input[str]]
) -> PluginResource:
    """Register the monitoring job of everything that is deployed to the endpoint."""
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    endpoint = links.of(monitor.endpoint)
    thresholds = {column: {"value": check.value} for column, check in sorted(monitor.thresholds.items())}
    every = f"{seconds(monitor.every)}s"
    return PluginResource(
        "mlinfra:vertex:ModelDeploymentMonitoringJob",
        monitor.name,
        {
            **place(links),
            "displayName": called,
            "endpoint": f"{location(environment)}/endpoints/{endpoint['name']}",
            "modelDeploymentMonitoringObjectiveConfigs": [
                {
                    "deployedModelId": id_,
                    "objectiveConfig": {"predictionDriftDetectionConfig": {"driftThresholds": thresholds}},
                }
                for id_ in endpoint["deployed"].values()
            ],
            "modelDeploymentMonitoringScheduleConfig": {"monitorInterval": every, "monitorWindow": every},
            "loggingSamplingStrategy": {"randomSampleConfig": {"sampleRate": endpoint["captured"]}},
            "modelMonitoringAlertConfig": {"enableLogging": True, "notificationChannels": list(channels)},
            "statsAnomaliesBaseDirectory": {
                "outputUriPrefix": data_uri(environment, "monitors", physical_name(monitor), "native"),
            },
            "logTtl": f"{KEPT_DAYS * 24 * 3600}s",
            "encryptionSpec": {"kmsKeyName": links.around.key},
            "labels": as_labels(tags_of(environment, part)),
        },
        options=plugin_options(links, depends_on=[endpoint["resource"], *links.around.made]),
    )
