"""How adapters refuse a value of a part: what several of them say alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem


@dataclass(frozen=True)
class Refuser:
    """Refuses in the name of a target."""

    target: str

    def refuse(self, part: Part, field: str, reason: str, found: str, way_out: str) -> Problem:
        """Return the refusal of a field."""
        said = f"{self.target} refuses this: {reason}"
        return Problem("", 0, f"{part.key}.{field}", said, found=found, remedy=way_out)

    def override(self, part: Part, field: str, reason: str, found: str, value: str) -> Problem:
        """Return the refusal of a field for which the environment can have another value."""
        way_out = f"in the environment's file: override: {{{part.key}.{field}: {value}}}"
        return self.refuse(part, field, reason, found, way_out)

    def custom_runtime(self, endpoint: Endpoint) -> Iterator[Problem]:
        """Refuse the runtime `custom`."""
        if endpoint.runtime == "custom":
            reason = "the serving image serves, and no other can be named yet"
            yield self.override(endpoint, "runtime", reason, "custom", "sklearn")

    def nothing_at_rest(self, endpoint: Endpoint, reason: str) -> Iterator[Problem]:
        """Refuse that no machine is there while nobody asks."""
        if endpoint.scale.min == 0:
            yield self.override(endpoint, "scale.min", reason, "0", "1")

    def shadow(self, endpoint: Endpoint, reason: str) -> Iterator[Problem]:
        """Refuse copies of requests for a release that serves nobody."""
        if endpoint.rollout.shadow is not None:
            yield self.override(endpoint, "rollout.shadow", reason, endpoint.rollout.shadow, "null")

    def schedule(
        self, part: Part, field: str, every: str | None, known: Callable[[str], object], reason: str
    ) -> Iterator[Problem]:
        """Refuse an interval for which the target has no schedule: `known` returns None for it."""
        if every is not None and known(every) is None:
            yield self.override(part, field, reason, every, "1h")

    def webhook(self, monitor: DriftMonitor, reason: str) -> Iterator[Problem]:
        """Refuse to tell a webhook of drift."""
        if monitor.on_drift == "webhook":
            yield self.override(monitor, "on_drift", reason, "webhook", "log")

    def webhook_without_address(self, monitor: DriftMonitor, environment: Environment) -> Iterator[Problem]:
        """Refuse to tell a webhook that the environment does not name."""
        if monitor.on_drift == "webhook" and environment.webhook is None:
            reason = "no webhook is named in the environment"
            yield self.refuse(monitor, "on_drift", reason, "webhook", "write webhook: https://…, or on_drift: log")

    def native(self, monitor: DriftMonitor, *reasons: str) -> Iterator[Problem]:
        """Refuse the target's own monitor, for each reason."""
        for reason in reasons if monitor.native else ():
            yield self.override(monitor, "native", reason, "True", "false")

    def column(self, store: FeatureStore, path: str, reason: str, column: str) -> Problem:
        """Return the refusal of a column's name."""
        return self.refuse(store, path, reason, column, "call it something else")


def columns(store: FeatureStore) -> dict[str, str]:
    """Return the names of all columns of a store, by the path of the field that names each."""
    named = {"entity.name": store.entity.name, "event_time": store.event_time}
    return named | {f"features.{number}.name": feature.name for number, feature in enumerate(store.features)}
