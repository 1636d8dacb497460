"""Traffic: an endpoint's Envoy and the split between its releases. The only writer of weights, beside a shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local import ticker
from mlinfra_providers.local.ports import HOST
from mlinfra_providers.local.resources.local_handler import LocalHandler
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic


class TrafficSplit(LocalHandler):
    """The first release gets everything. After that whoever shifts (a rollout, a rollback, a person) has the last word:
    no `up` moves a request, unless its generation is newer.
    """

    outputs: ClassVar[tuple[str, ...]] = ("url", "record")
    immutable: ClassVar[frozenset[str]] = frozenset({"environment", "endpoint"})
    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Start Envoy and give the declared release all the traffic, or find it decided otherwise since."""
        router = self._router(inputs)
        Supervisor(router.layout).ensure()
        port = router.start()
        wanted = _ports(inputs["upstreams"])
        known = router.traffic() or Traffic(0)
        weights = _staying(known, wanted) or inputs["weights"]
        if (known.weights, known.upstreams) != (weights, wanted):
            self._apply(router, weights, wanted, inputs)
        _have_ticker(router, inputs)
        return f"{inputs['endpoint']}/traffic", _outputs(router, port)

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
        return Found(found, _outputs(router, router.port))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change who is behind the endpoint; who serves stays, unless it leaves."""
        router = self._router(new)
        port = router.start()
        wanted = _ports(new["upstreams"])
        known = router.traffic() or Traffic(0)
        decided = new["generation"] > known.generation
        weights_stay = _staying(known, wanted)
        weights = ({} if decided else weights_stay) or new["weights"]
        leaving = {release: at for release, at in known.upstreams.items() if release not in wanted}
        if not decided and not weights_stay and (serving := sorted(known.serving & leaving.keys())) and _gradual(new):
            raise MlinfraError(
                f"{', '.join(serving)} serves {new['endpoint']} and is not declared any more",
                remedy=f"name it as previous in environments/{new['environment']}.lock.yaml, as mlinfra promote does",
            )
        if weights:
            self._apply(router, weights, {**leaving, **wanted}, new)
            for release in leaving:
                router.drain(release)
        else:
            self._apply(router, weights, wanted, new)
        _have_ticker(router, new)
        return _outputs(router, port)

    def delete(self, id_: str, inputs: Properties) -> None:
        """Stop Envoy; the endpoint keeps its port for the next time."""
        router = self._router(inputs)
        router.stop()
        supervisor = Supervisor(router.layout)
        if not any(name.startswith("router/") for name in supervisor.status()):
            supervisor.remove_program(ticker.NAME)

    def _router(self, inputs: Properties) -> Router:
        return Router(self.layout(inputs), inputs["endpoint"])

    def _apply(
        self, router: Router, weights: Mapping[str, int], upstreams: Mapping[str, int], inputs: Properties
    ) -> None:
        known = router.traffic() or Traffic(0)
        stays = frozenset(upstreams)
        router.apply(
            Traffic(
                max(known.generation + 1, inputs["generation"]),
                weights,
                upstreams,
                mirror={release: share for release, share in known.mirror.items() if release in stays},
                # only a release that has served may stand in for another: a new one may not have been proved yet
                standby=((known.standby | known.serving) & stays) - frozenset(weights),
                release=inputs.get("release"),
                trial=known.trial if known.trial in stays else None,
                rollout=known.rollout,
            )
        )


def _have_ticker(router: Router, inputs: Properties) -> None:
    if _gradual(inputs):
        Supervisor(router.layout).set_program(ticker.program(router.layout))


def _gradual(inputs: Properties) -> bool:
    rollout = inputs.get("rollout") or {}
    return list(rollout.get("steps", ())) != [100] or bool(rollout.get("gates")) or bool(rollout.get("shadow"))


def _staying(known: Traffic, wanted: Mapping[str, int]) -> Mapping[str, int]:
    """Return the split as it is, or nothing when a release of it is leaving."""
    stays = {release: weight for release, weight in known.weights.items() if weight and release in wanted}
    return stays if sum(stays.values()) == 100 else {}


def _outputs(router: Router, port: int) -> Properties:
    traffic = router.traffic()
    return {"url": f"http://{HOST}:{port}", "record": dict(traffic.rollout) if traffic and traffic.rollout else None}


def _ports(upstreams: Mapping[str, float]) -> dict[str, int]:
    return {release: int(port) for release, port in upstreams.items()}
