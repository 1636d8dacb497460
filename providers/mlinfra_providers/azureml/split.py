"""The split of an endpoint, at Azure ML, and what is remembered with it, beside the models.

Azure ML keeps whole percent by deployment, and nothing else. So what is remembered (generation and rollout) is written
first, on the condition that nobody wrote in between; then the endpoint is put, whole, with the split that is meant.
Whoever reads finds the split in force, and the newer wish beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.azureml.clients import Azure, delete_blob, read_blob, write_blob
from mlinfra_providers.azureml.places import Place

MOST_COPIED = 50
"""The largest percentage of requests that Azure ML copies:
https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints"""
_KEPT = ("location", "kind", "tags", "sku", "identity")
_PROPERTIES = ("authMode", "publicNetworkAccess", "description", "compute", "properties", "traffic", "mirrorTraffic")


@dataclass(frozen=True)
class Remembered:
    """What the blob holds: the newest wish, and the blob's version."""

    generation: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    rollout: Mapping[str, Any] | None = None
    version: str | None = None


@dataclass(frozen=True)
class InForce:
    """The split in force, whole percent by release, what is remembered with it, the endpoint and its deployments."""

    weights: Mapping[str, int]
    remembered: Remembered
    endpoint: Mapping[str, Any]
    deployments: Mapping[str, Mapping[str, Any]]
    """By name."""


class Split:
    """One endpoint's split."""

    def __init__(self, azure: Azure, endpoint: str, record: Place) -> None:
        self._azure = azure
        self._endpoint = endpoint
        self._record = record

    def observe(self) -> InForce | None:
        """Return what is in force, or None where there is no endpoint."""
        found = self._azure.get(f"onlineEndpoints/{self._endpoint}")
        if found is None:
            return None
        there = {item["name"]: item for item in self._azure.list(f"onlineEndpoints/{self._endpoint}/deployments")}
        return InForce(percentages(found, there), self.remembered(), found, there)

    def remembered(self) -> Remembered:
        """Return what the blob holds; nothing before the first split."""
        found = read_blob(self._record)
        if found is None:
            return Remembered()
        kept = json.loads(found[0])
        return Remembered(kept["generation"], kept["weights"], kept["rollout"], found[1])

    def set(
        self,
        weights: Mapping[str, int],
        generation: int,
        rollout: Mapping[str, Any] | None,
        mirror: Mapping[str, int] | None = None,
    ) -> None:
        """Set the split, and who gets copies of requests.

        Raises:
            Refused: the generation is not newer, or somebody else wrote in between.
            MlinfraError: a release is not deployed, or Azure ML did not take the split.
        """
        now = self._there()
        if generation <= now.remembered.generation:
            raise Refused(
                f"{self._endpoint}: generation {generation} is not newer than {now.remembered.generation}",
                remedy="somebody else shifted meanwhile: look at mlinfra status",
            )
        names = newest(now.deployments)
        wanted = {**weights, **(mirror or {})}
        if missing := sorted(release for release, weight in wanted.items() if weight and release not in names):
            raise MlinfraError(f"{self._endpoint}: not deployed: {', '.join(missing)}", remedy="mlinfra up deploys it")
        body = {"generation": generation, "weights": dict(weights), "rollout": rollout}
        write_blob(self._record, json.dumps(body, sort_keys=True).encode(), now.remembered.version)
        copied = {names[release]: min(share, MOST_COPIED) for release, share in (mirror or {}).items() if share}
        self._write(now, {names[release]: weight for release, weight in weights.items() if weight}, copied)

    def keep(self) -> None:
        """Give each release that was deployed anew the share that it has where it was deployed before."""
        now = self._there()
        names = newest(now.deployments)
        shares = {names[release]: weight for release, weight in now.weights.items() if weight}
        mirror = now.endpoint["properties"].get("mirrorTraffic") or {}
        self._write(now, shares, {name: share for name, share in mirror.items() if name in names.values()})

    def forget(self) -> None:
        """Remove what is remembered, and send nobody any requests: what has a share cannot be deleted."""
        delete_blob(self._record)
        if (now := self.observe()) is not None:
            self._write(now, {}, {})

    def _there(self) -> InForce:
        now = self.observe()
        if now is None:
            raise MlinfraError(f"there is no endpoint {self._endpoint}", remedy="mlinfra plan --refresh, then up")
        return now

    def _write(self, now: InForce, split: Mapping[str, int], mirror: Mapping[str, int]) -> None:
        """Write the split, unless it is so.

        Raises:
            MlinfraError: Azure refused, or did not take it.
        """
        if _shares(now.endpoint, "traffic") == split and _shares(now.endpoint, "mirrorTraffic") == mirror:
            return
        body = whole(now.endpoint)
        body["properties"] |= {"traffic": dict(split), "mirrorTraffic": dict(mirror)}
        after = self._azure.put(f"onlineEndpoints/{self._endpoint}", body)
        if (taken := _shares(after, "traffic")) != split:
            raise MlinfraError(f"{self._endpoint}: Azure ML did not take the split; in force is {taken}")


def whole(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return an endpoint as a PUT takes it: what is left out of a PUT is lost, the split above all."""
    properties = endpoint["properties"]
    body = {key: endpoint[key] for key in _KEPT if endpoint.get(key) is not None}
    if identity := body.get("identity"):
        users: dict[str, Any] = {user: {} for user in identity.get("userAssignedIdentities") or ()}
        body["identity"] = {"type": identity["type"], **({"userAssignedIdentities": users} if users else {})}
    return {**body, "properties": {key: properties[key] for key in _PROPERTIES if properties.get(key) is not None}}


def release_of(deployment: str) -> str:
    """Return the release of a deployment, whose name is `r<release>-<digits>`."""
    return deployment.removeprefix("r").partition("-")[0]


def newest(deployments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of what serves each release: what was made last, where a release is there twice."""
    by_age = sorted(deployments, key=lambda name: deployments[name].get("systemData", {}).get("createdAt", ""))
    return {release_of(name): name for name in by_age}


def percentages(endpoint: Mapping[str, Any], deployments: Mapping[str, Any]) -> dict[str, int]:
    """Return the share of each release in whole percent."""
    traffic = endpoint["properties"].get("traffic") or {}
    shares: dict[str, int] = {}
    for name in deployments:
        shares[release_of(name)] = shares.get(release_of(name), 0) + int(traffic.get(name, 0))
    return shares


def _shares(endpoint: Mapping[str, Any], key: str) -> dict[str, int]:
    return {name: int(share) for name, share in (endpoint["properties"].get(key) or {}).items() if share}
