"""Traffic: the split of an endpoint's requests. The only writer of it, beside a shift (service.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml.clients import azure, place_of
from mlinfra_providers.azureml.split import InForce, Split, newest
from mlinfra_providers.handler import Found, Handler, Properties


class TrafficSplit(Handler):
    """The first release gets everything. After that whoever shifts (a rollout, a rollback, a person) has the last word:
    no `up` moves a request, unless its generation is newer.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url", "remembered")
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"environment", "subscriptionId", "resourceGroupName", "workspaceName", "endpointName"}
    )
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Give the declared release all the requests, or find it decided otherwise since."""
        return f"{inputs['endpointName']}/traffic", self.update(inputs["endpointName"], inputs, inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the split that is really in force, as inputs too: what serves must survive the next `up`."""
        now = _split(inputs).observe()
        if now is None:
            return None
        names = newest(now.deployments)
        there = {
            **inputs,
            "deployed": {release: names[release] for release in now.weights},
            "weights": {release: weight for release, weight in now.weights.items() if weight},
            "generation": now.remembered.generation,
        }
        return Found(there, _outputs(now))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Leave who serves as it is; decide only for the first release, or by a newer generation."""
        split = _split(new)
        now = split.observe()
        if now is None:
            raise MlinfraError(f"there is no endpoint {new['endpointName']}", remedy="mlinfra plan --refresh, then up")
        known = now.remembered
        if new["generation"] > known.generation or not known.generation:
            split.set(_whole(new["weights"]), max(known.generation + 1, new["generation"]), known.rollout)
        else:
            split.keep()
        after = split.observe()
        return _outputs(after) if after is not None else {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Forget what was remembered, and end the split: what has a share cannot be deleted."""
        _split(inputs).forget()


def _outputs(now: InForce) -> Properties:
    return {"url": now.endpoint["properties"].get("scoringUri", ""), "remembered": now.remembered.rollout}


def _split(inputs: Properties) -> Split:
    return Split(azure(inputs), inputs["endpointName"], place_of(inputs))


def _whole(weights: Mapping[str, Any]) -> dict[str, int]:
    return {release: int(weight) for release, weight in weights.items()}
