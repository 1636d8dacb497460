"""Traffic: an endpoint's Envoy and the split between its releases. The only writer of weights, beside a shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.ports import HOST
from mlinfra_providers.local.resources.local_handler import LocalHandler
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic


class TrafficSplit(LocalHandler):
    """Declared weights count when another release is declared to serve, or with a newer generation.

    Between that, whoever shifts (a rollout, a rollback, a person) has the last word, and no `up` undoes it.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url",)
    immutable: ClassVar[frozenset[str]] = frozenset({"environment", "endpoint"})
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Start Envoy and give the declared release all the traffic, or find it decided otherwise since."""
        router = self._router(inputs)
        Supervisor(router.layout).ensure()
        port = router.start()
        wanted = _ports(inputs["upstreams"])
        known = router.traffic() or Traffic(0)
        weights = (_staying(known, wanted) if known.release == inputs.get("release") else {}) or inputs["weights"]
        if (known.weights, known.upstreams) != (weights, wanted):
            self._apply(router, weights, wanted, inputs)
        return f"{inputs['endpoint']}/traffic", {"url": f"http://{HOST}:{port}"}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the split that is really in force, as inputs too: what serves must survive the next `up`."""
        router = self._router(inputs)
        observed = router.observe()
        if not observed.running:
            return None
        found = {
            **inputs,
            "upstreams": {release: upstream.port for release, upstream in observed.upstreams.items()},
            "weights": {release: weight for release, weight in observed.weights.items() if weight},
            "generation": observed.generation,
        }
        return Found(found, {"url": f"http://{HOST}:{router.port}"})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change who is behind the endpoint; who serves stays, unless another release is declared, or it leaves."""
        router = self._router(new)
        port = router.start()
        wanted = _ports(new["upstreams"])
        known = router.traffic() or Traffic(0)
        decided = old.get("release") != new.get("release") or new["generation"] > known.generation
        weights = ({} if decided else _staying(known, wanted)) or new["weights"]
        leaving = {release: at for release, at in known.upstreams.items() if release not in wanted}
        if weights:
            self._apply(router, weights, {**leaving, **wanted}, new)
            for release in leaving:
                router.drain(release)
        else:
            self._apply(router, weights, wanted, new)
        return {"url": f"http://{HOST}:{port}"}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Stop Envoy; the endpoint keeps its port for the next time."""
        self._router(inputs).stop()

    def _router(self, inputs: Properties) -> Router:
        return Router(self.layout(inputs), inputs["endpoint"])

    def _apply(
        self, router: Router, weights: Mapping[str, int], upstreams: Mapping[str, int], inputs: Properties
    ) -> None:
        known = router.traffic()
        generation = max((known.generation if known else 0) + 1, inputs["generation"])
        # only a release that has served may stand in for another: the declared one may not have been proved yet
        standby = frozenset(upstreams) - frozenset(inputs["weights"]) - frozenset(weights)
        router.apply(Traffic(generation, weights, upstreams, standby=standby, release=inputs.get("release")))


def _staying(known: Traffic, wanted: Mapping[str, int]) -> Mapping[str, int]:
    """Return the split as it is, or nothing when a release of it is leaving."""
    stays = {release: weight for release, weight in known.weights.items() if weight and release in wanted}
    return stays if sum(stays.values()) == 100 else {}


def _ports(upstreams: Mapping[str, float]) -> dict[str, int]:
    return {release: int(port) for release, port in upstreams.items()}
