"""Traffic: the split of an endpoint's requests. The only writer of weights, beside a shift (service.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.sagemaker.clients import clients
from mlinfra_providers.sagemaker.split import Split


class TrafficSplit(Handler):
    """The first release gets everything. After that whoever shifts (a rollout, a rollback, a person) has the last word:
    no `up` moves a request, unless its generation is newer.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url", "remembered")
    immutable: ClassVar[frozenset[str]] = frozenset({"account", "region", "environment", "endpoint"})
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Give the declared release all the requests, or find it decided otherwise since."""
        self.update(inputs["endpoint"], inputs, inputs)
        return f"{inputs['endpoint']}/traffic", self._outputs(inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the split that is really in force, as inputs too: what serves must survive the next `up`."""
        found = _split(inputs).observe()
        if found is None:
            return None
        there = {
            **inputs,
            "variants": [release for release in inputs["variants"] if release in found.weights],
            "weights": {release: weight for release, weight in found.weights.items() if weight},
            "generation": found.generation,
        }
        return Found(there, self._outputs(inputs))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Leave who serves as it is; decide only for the first release, or by a newer generation."""
        split = _split(new)
        found = split.observe()
        if found is None:
            raise MlinfraError(f"there is no endpoint {new['endpoint']}", remedy="mlinfra plan --refresh, then up")
        decided = new["generation"] > found.generation
        if decided or not found.generation:
            # nobody has shifted yet: SageMaker gave a share to what was there first
            split.set(_whole(new["weights"]), max(found.generation + 1, new["generation"]), found.rollout)
        return self._outputs(new)

    def delete(self, id_: str, inputs: Properties) -> None:
        """Forget what was remembered; the endpoint goes by itself."""
        _split(inputs).forget()

    def _outputs(self, inputs: Properties) -> Properties:
        url = f"https://runtime.sagemaker.{inputs['region']}.amazonaws.com/endpoints/{inputs['endpoint']}/invocations"
        found = _split(inputs).remembered()
        return {"url": url, "remembered": found.rollout}


def _split(inputs: Properties) -> Split:
    return Split(clients(inputs), inputs["endpoint"], inputs["bucket"], inputs["record"])


def _whole(weights: Mapping[str, Any]) -> dict[str, int]:
    return {release: int(weight) for release, weight in weights.items()}
