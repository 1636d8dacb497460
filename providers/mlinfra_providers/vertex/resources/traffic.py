"""Traffic: the split of an endpoint's requests. The only writer of it, beside a shift (service.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import clients
from mlinfra_providers.vertex.resources.deployed_model import endpoint_name
from mlinfra_providers.vertex.split import Split, newest


class TrafficSplit(Handler):
    """The first release gets everything. After that whoever shifts (a rollout, a rollback, a person) has the last word:
    no `up` moves a request, unless its generation is newer.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url", "remembered")
    immutable: ClassVar[frozenset[str]] = frozenset({"project", "location", "environment", "endpoint"})
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Give the declared release all the requests, or find it decided otherwise since."""
        return f"{inputs['endpoint']}/traffic", self.update(inputs["endpoint"], inputs, inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the split that is really in force, as inputs too: what serves must survive the next `up`."""
        now = _split(inputs).observe()
        if now is None:
            return None
        there = {
            **inputs,
            "deployed": {release: newest(now.endpoint)[release] for release in now.weights},
            "weights": {release: weight for release, weight in now.weights.items() if weight},
            "generation": now.remembered.generation,
        }
        return Found(there, self._outputs(inputs))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Leave who serves as it is; decide only for the first release, or by a newer generation."""
        split = _split(new)
        now = split.observe()
        if now is None:
            raise MlinfraError(f"there is no endpoint {new['endpoint']}", remedy="mlinfra plan --refresh, then up")
        known = now.remembered
        if new["generation"] > known.generation or not known.generation:
            weights = _whole(new["weights"])
            split.set(weights, max(known.generation + 1, new["generation"]), known.rollout, _url(new))
        else:
            split.keep()
        return self._outputs(new)

    def delete(self, id_: str, inputs: Properties) -> None:
        """Forget what was remembered, and end the split: what has a share cannot be undeployed."""
        _split(inputs).forget()

    def _outputs(self, inputs: Properties) -> Properties:
        return {"url": _url(inputs), "remembered": _split(inputs).remembered().rollout}


def _url(inputs: Properties) -> str:
    return f"http://{inputs['address']}/v1/{endpoint_name(inputs)}:rawPredict"


def _split(inputs: Properties) -> Split:
    return Split(clients(inputs), endpoint_name(inputs), inputs["bucket"], inputs["record"])


def _whole(weights: Mapping[str, Any]) -> dict[str, int]:
    return {release: int(weight) for release, weight in weights.items()}
