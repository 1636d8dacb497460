"""Syncs of feature views. https://cloud.google.com/vertex-ai/docs/featurestore/latest/sync-data: "only one data sync
operation can be active for a feature view at a given time"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.lab.gcp.server.answers import Failed
from tests.lab.gcp.server.operations import Clock
from tests.lab.gcp.server.things import Things

VIEW = "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview"


class FeatureViews:
    """The syncs that were asked for: when each began, by the name of the view."""

    def __init__(self, clock: Clock, things: Things) -> None:
        self._clock = clock
        self._things = things
        self._begun: dict[str, list[datetime]] = {}

    @property
    def synced(self) -> dict[str, int]:
        return {name: len(begun) for name, begun in self._begun.items()}

    def sync(self, request: Any) -> dict[str, Any]:
        """Begin a sync. Raises Failed."""
        name = request.feature_view
        if (VIEW, name) not in self._things.kept:
            raise Failed("NOT_FOUND", f"The FeatureView {name} is not found.")
        if any("endTime" not in sync["runTime"] for sync in self._shown(name)):
            raise Failed("FAILED_PRECONDITION", f"There is already a running sync for FeatureView {name}.")
        begun = self._begun.setdefault(name, [])
        begun.append(datetime.now(UTC))
        return {"featureViewSync": f"{name}/featureViewSyncs/{len(begun)}"}

    def listed(self, request: Any) -> dict[str, Any]:
        return {"featureViewSyncs": self._shown(request.parent)}

    def _shown(self, name: str) -> list[dict[str, Any]]:
        shown = []
        for number, start in enumerate(self._begun.get(name, ()), 1):
            end = start + timedelta(seconds=self._clock.seconds)
            times = {"startTime": start.isoformat()} | ({"endTime": end.isoformat()} if end < datetime.now(UTC) else {})
            shown.append({"name": f"{name}/featureViewSyncs/{number}", "runTime": times})
        return shown
