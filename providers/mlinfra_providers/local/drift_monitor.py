"""DriftMonitor: the drift job of the serving package, run on its schedule by the supervisor."""

from __future__ import annotations

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.durations import seconds
from mlinfra_providers.local.naming import options, physical_name
from mlinfra_providers.plugin_resource import PluginResource


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the schedule; before the endpoint's first release there is nothing to compare with."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    endpoint = links.of(monitor.endpoint)
    release = endpoint["release"]
    PluginResource(
        "mlinfra:local:DriftSchedule",
        monitor.name,
        {
            "environment": links.environment.name,
            "name": physical_name(monitor),
            "endpoint": endpoint["name"],
            "release": release.short if release else None,
            "baseline": release.identity.baseline if release else None,
            "everySeconds": seconds(monitor.every),
            "thresholds": {column: check.spec() for column, check in sorted(monitor.thresholds.items())},
            "onDrift": monitor.on_drift,
            "webhook": links.environment.webhook if monitor.on_drift == "webhook" else None,
            "artifacts": links.environment.artifacts,
            "owner": part.owner,
        },
        options=options(links, depends_on=[endpoint["traffic"]]),
    )
    return links.giving(part)
