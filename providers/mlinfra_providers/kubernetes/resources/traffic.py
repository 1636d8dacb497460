"""Traffic: an endpoint's HTTPRoute. The only writer of weights, beside a shift (service.py).

A typed resource would write the weights that were declared first at every change, and undo a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.kubernetes.clients import Cluster
from mlinfra_providers.kubernetes.route import Split, path_of
from mlinfra_providers.kubernetes.split import Routing
from mlinfra_providers.kubernetes.truth import Pods, look, wait_for


class TrafficSplit(Handler):
    """The first release gets everything. After that whoever shifts (a rollout, a rollback, a person) has the last word:
    no `up` moves a request, unless its generation is newer.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url", "remembered")
    immutable: ClassVar[frozenset[str]] = frozenset({"context", "namespace", "environment", "endpoint"})
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Give the declared release all the requests, or find it decided otherwise since.

        Raises:
            MlinfraError: the release does not get ready; nothing is routed to it.
        """
        _wait(inputs)
        _routing(inputs).have(_declared(inputs), inputs["labels"], inputs["owner"])
        return f"{inputs['namespace']}/{inputs['endpoint']}", _outputs(inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the split that is really in force, as inputs too: what serves must survive the next `up`."""
        found = _routing(inputs).observe()
        if found is None:
            return None
        there = {
            **inputs,
            "backends": dict(found.backends),
            "weights": {release: weight for release, weight in found.weights.items() if weight},
            "generation": found.generation,
            "serves": dict(_pods(inputs).serves),
        }
        return Found(there, _outputs(inputs))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change who is behind the endpoint, once the declared release runs as declared; who serves stays.

        Raises:
            MlinfraError: it does not get ready; the route stays as it is.
        """
        _wait(new)
        routing = _routing(new)
        found = routing.observe()
        decided = found is not None and new["generation"] > found.generation
        routing.have(_declared(new), new["labels"], new["owner"], decided=decided)
        return _outputs(new)

    def delete(self, id_: str, inputs: Properties) -> None:
        """Delete the route."""
        _routing(inputs).remove()


def _routing(inputs: Properties) -> Routing:
    return Routing(Cluster(inputs["context"], inputs["namespace"]), inputs["endpoint"])


def _wait(inputs: Properties) -> None:
    cluster, release = Cluster(inputs["context"], inputs["namespace"]), inputs["release"]
    wait_for(cluster, inputs["endpoint"], release, inputs["backends"][release], inputs["serves"])


def _pods(inputs: Properties) -> Pods:
    cluster, release = Cluster(inputs["context"], inputs["namespace"]), inputs["release"]
    return look(cluster, inputs["endpoint"], release, inputs["backends"][release])


def _declared(inputs: Properties) -> Split:
    return Split(
        generation=max(1, int(inputs["generation"])),
        weights=_whole(inputs["weights"]),
        backends=dict(inputs["backends"]),
    )


def _whole(weights: Mapping[str, Any]) -> dict[str, int]:
    return {release: int(weight) for release, weight in weights.items()}


def _outputs(inputs: Properties) -> Properties:
    found = _routing(inputs).observe()
    return {"url": path_of(inputs["namespace"], inputs["endpoint"]), "remembered": found.rollout if found else None}
