"""The split of an endpoint, at Vertex AI, and what is remembered with it, in the environment's bucket.

Vertex AI keeps whole percent by the id of what is deployed, and nothing else. So what is remembered (generation and
rollout) is written first, on the condition that nobody wrote in between; then the split is set, on the condition that
the endpoint is as it was read (its etag). Whoever reads finds the split in force, and the newer wish beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.vertex.clients import Clients, explained, found


@dataclass(frozen=True)
class Remembered:
    """What the bucket holds: the newest wish. `version` is the object's generation, 0 where there is none."""

    generation: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    rollout: Mapping[str, Any] | None = None
    url: str | None = None
    version: int = 0


@dataclass(frozen=True)
class InForce:
    """The split in force, whole percent by release, what is remembered with it, and the endpoint as Google has it."""

    weights: Mapping[str, int]
    remembered: Remembered
    endpoint: Any


class Split:
    """One endpoint's split. `endpoint` is its whole resource name."""

    def __init__(self, clients: Clients, endpoint: str, bucket: str, record: str) -> None:
        self._clients = clients
        self._endpoint = endpoint
        self._bucket = bucket
        self._record = record

    def observe(self) -> InForce | None:
        """Return what is in force, or None where there is no endpoint."""
        with explained(f"reading the endpoint {self._endpoint}"):
            there = found(self._clients.endpoints.get_endpoint, name=self._endpoint)
        return None if there is None else InForce(percentages(there), self.remembered(), there)

    def remembered(self) -> Remembered:
        """Return what the bucket holds; nothing before the first split."""
        with explained(f"reading {self._record}"):
            blob = self._clients.bucket(self._bucket).blob(self._record)
            text = found(blob.download_as_bytes)
        if text is None:
            return Remembered()
        kept = json.loads(text)
        return Remembered(kept["generation"], kept["weights"], kept["rollout"], kept["url"], int(blob.generation))

    def set(
        self,
        weights: Mapping[str, int],
        generation: int,
        rollout: Mapping[str, Any] | None,
        url: str | None = None,
    ) -> None:
        """Set the split.

        Raises:
            Refused: the generation is not newer, or somebody else wrote in between.
            MlinfraError: a release is not deployed, or Google did not take the split.
        """
        now = self._there()
        if generation <= now.remembered.generation:
            raise Refused(
                f"{self._endpoint}: generation {generation} is not newer than {now.remembered.generation}",
                remedy="somebody else shifted meanwhile: look at mlinfra status",
            )
        ids = newest(now.endpoint)
        if missing := sorted(release for release, weight in weights.items() if weight and release not in ids):
            raise MlinfraError(f"{self._endpoint}: not deployed: {', '.join(missing)}", remedy="mlinfra up deploys it")
        self._remember(Remembered(generation, weights, rollout, url or now.remembered.url, now.remembered.version))
        write(
            self._clients.endpoints,
            now.endpoint,
            {ids[release]: weight for release, weight in weights.items() if weight},
        )

    def keep(self) -> None:
        """Give each release that was deployed anew the share that it has where it was deployed before.

        Where nobody has a share, the connection was lost between the wish and the split: then the wish is done.
        """
        now = self._there()
        ids = newest(now.endpoint)
        decided = now.weights if any(now.weights.values()) else now.remembered.weights
        shares = {release: weight for release, weight in decided.items() if weight}
        if shares.keys() <= ids.keys():
            write(self._clients.endpoints, now.endpoint, {ids[release]: weight for release, weight in shares.items()})

    def forget(self) -> None:
        """Remove what is remembered, and send nobody any requests: what has a share cannot be undeployed."""
        with explained(f"removing {self._record}"):
            found(self._clients.bucket(self._bucket).blob(self._record).delete)
        if (now := self.observe()) is not None:
            write(self._clients.endpoints, now.endpoint, {})

    def _there(self) -> InForce:
        now = self.observe()
        if now is None:
            raise MlinfraError(f"there is no endpoint {self._endpoint}", remedy="mlinfra plan --refresh, then up")
        return now

    def _remember(self, wish: Remembered) -> None:
        from google.api_core.exceptions import PreconditionFailed

        body = json.dumps(
            {
                "generation": wish.generation,
                "weights": dict(wish.weights),
                "rollout": wish.rollout,
                "url": wish.url,
            },
            sort_keys=True,
        )
        with explained(f"writing {self._record}"):
            try:
                self._clients.bucket(self._bucket).blob(self._record).upload_from_string(
                    body, content_type="application/json", if_generation_match=wish.version
                )
            except PreconditionFailed as error:
                raise Refused(
                    f"{self._endpoint}: somebody else shifted at the same time", remedy="look at mlinfra status"
                ) from error


def write(api: Any, endpoint: Any, split: Mapping[str, int]) -> None:
    """Write the split of an endpoint that was read, unless it is so.

    Raises:
        MlinfraError: Google refused, or somebody changed the endpoint since it was read.
    """
    if {id_: weight for id_, weight in endpoint.traffic_split.items() if weight} == split:
        return
    from google.cloud.aiplatform_v1 import Endpoint, UpdateEndpointRequest

    wanted = Endpoint(name=endpoint.name, display_name=endpoint.display_name, etag=endpoint.etag)
    wanted.traffic_split = dict(split)
    with explained(f"shifting {endpoint.name}"):
        after = api.update_endpoint(
            request=UpdateEndpointRequest(endpoint=wanted, update_mask={"paths": ["traffic_split"]})
        )
    taken = {id_: weight for id_, weight in after.traffic_split.items() if weight}
    if taken != split:
        raise MlinfraError(f"{endpoint.name}: Vertex AI did not take the split; in force is {taken}")


def hand_over(api: Any, endpoint: str, old: str, new: str) -> None:
    """Give the share of one deployed model to another one.

    Raises:
        MlinfraError: Google refused.
    """
    there = api.get_endpoint(name=endpoint)
    shares = {id_: weight for id_, weight in there.traffic_split.items() if weight}
    if old in shares:
        shares[new] = shares.get(new, 0) + shares.pop(old)
        write(api, there, shares)


def newest(endpoint: Any) -> dict[str, str]:
    """Return the id of what serves each release: what was deployed last, where a release is there twice."""
    by_age = sorted(endpoint.deployed_models, key=lambda item: item.create_time)
    return {item.display_name: item.id for item in by_age}


def percentages(endpoint: Any) -> dict[str, int]:
    """Return the share of each release in whole percent."""
    shares: dict[str, int] = {}
    for item in endpoint.deployed_models:
        shares[item.display_name] = shares.get(item.display_name, 0) + int(endpoint.traffic_split.get(item.id, 0))
    return shares
