"""Reading and writing an endpoint's route: one object holds the weights and what is remembered with them.

The cluster takes a write only if nobody else wrote since it was read (`resourceVersion`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.kubernetes.clients import ROUTES, Cluster, Conflict
from mlinfra_providers.kubernetes.route import Split, route, split_of


class Routing:
    """One endpoint's route in a cluster."""

    def __init__(self, cluster: Cluster, endpoint: str) -> None:
        self._cluster = cluster
        self._endpoint = endpoint

    def observe(self) -> Split | None:
        """Return what is in force, or None where there is no route."""
        found = self._cluster.get(ROUTES, self._endpoint)
        return split_of(found) if found else None

    def shift(
        self,
        weights: Mapping[str, int],
        generation: int,
        rollout: Mapping[str, Any] | None,
        mirror: Mapping[str, int],
    ) -> None:
        """Set the split.

        Raises:
            Refused: the generation is not newer, or another shifted at the same time.
            MlinfraError: there is no route, or a release is not behind it.
        """
        found = self._found()
        known = split_of(found)
        if generation <= known.generation:
            raise Refused(
                f"{self._endpoint}: generation {generation} is not newer than {known.generation}",
                remedy="somebody else shifted meanwhile: look at mlinfra status",
            )
        if missing := sorted({*weights, *mirror} - set(known.backends)):
            raise MlinfraError(
                f"{self._endpoint}: {', '.join(missing)} is not deployed here", remedy="mlinfra up deploys it"
            )
        self._write(replace(known, generation=generation, weights=weights, rollout=rollout, mirror=mirror), found)

    def have(self, wanted: Split, labels: Mapping[str, str], owner: str, *, decided: bool = False) -> None:
        """Have a route with these backends. Who serves stays, unless it was `decided` or nobody has served yet.

        Raises:
            Refused: who serves is not among the backends.
        """
        found = self._cluster.get(ROUTES, self._endpoint)
        if found is None:
            body = route(wanted, self._endpoint, self._cluster.namespace, labels, owner)
            self._cluster.create(ROUTES, body)
            return
        known = split_of(found)
        serving = {release: weight for release, weight in known.weights.items() if weight}
        if decided or not serving:
            kept = replace(wanted, generation=max(known.generation + 1, wanted.generation), rollout=known.rollout)
        elif leaving := sorted(set(serving) - set(wanted.backends)):
            raise Refused(
                f"{', '.join(leaving)} serves {self._endpoint} and is not declared any more",
                remedy="name it as previous in the environment's lock file, as mlinfra promote does",
            )
        else:
            mirror = {release: share for release, share in known.mirror.items() if release in wanted.backends}
            kept = replace(known, backends=wanted.backends, weights=serving, mirror=mirror)
        self._write(kept, found, labels=labels, owner=owner)

    def remove(self) -> None:
        """Delete the route, or find it gone."""
        self._cluster.delete(ROUTES, self._endpoint)

    def _found(self) -> dict[str, Any]:
        found = self._cluster.get(ROUTES, self._endpoint)
        if found is None:
            raise MlinfraError(f"there is no endpoint {self._endpoint}", remedy="mlinfra up makes it")
        return found

    def _write(
        self, split: Split, found: Mapping[str, Any], labels: Mapping[str, str] | None = None, owner: str | None = None
    ) -> None:
        was = found["metadata"]
        body = route(
            split,
            self._endpoint,
            self._cluster.namespace,
            was.get("labels") or {} if labels is None else labels,
            (was.get("annotations") or {}).get("mlinfra/owner", "") if owner is None else owner,
            was["resourceVersion"],
        )
        try:
            self._cluster.replace(ROUTES, self._endpoint, body)
        except Conflict as conflict:
            raise Refused(
                f"{self._endpoint}: somebody else shifted at the same time", remedy="look at mlinfra status"
            ) from conflict
