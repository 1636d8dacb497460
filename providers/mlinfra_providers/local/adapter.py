"""The adapter of the local target: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.foundation import NOTHING, Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem

if TYPE_CHECKING:
    from mlinfra_providers.local.service import LocalService


class Local:
    """Everything real and on this machine, bound to loopback, without an account."""

    name = "local"
    proved_against = "the real parts on Linux: Feast, MLflow, the KServe server, Envoy, supervisor, the Pulumi engine"
    proofs: Mapping[str, str] = {}
    not_yet: Mapping[str, str] = {}
    shared = False
    place: Mapping[str, tuple[Any, Any]] = {}

    def refuse_environment(self, environment: Environment) -> Iterable[tuple[str, str, str]]:
        """Refuse every place but this machine; a shared state and a shared store of artifacts work from it too."""
        return refuse_foreign(environment, self.place)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse GPUs, containers, and more than one replica."""
        compute = getattr(part, "compute", None)
        if isinstance(compute, Compute) and compute.gpus:
            yield _refusal(part, "compute.gpus", "processes of this target get no GPU", str(compute.gpus), "0")
        if isinstance(part, Endpoint):
            if part.runtime == "custom":
                yield _refusal(
                    part, "runtime", "this target starts processes, not containers", "custom",
                    "sklearn",
                )  # fmt: skip
            if (part.scale.min, part.scale.max) != (1, 1):
                yield _refusal(
                    part, "scale", "one machine serves each release by one process",
                    f"min {part.scale.min}, max {part.scale.max}", "{min: 1, max: 1}",
                )  # fmt: skip
            elif part.scale.target_rps is not None:
                yield _refusal(
                    part, "scale.target_rps", "with one process there is nothing to add",
                    f"{part.scale.target_rps:g}", "null",
                )  # fmt: skip

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says."""
        from mlinfra_providers.local.resources import HANDLERS

        package, _, name = type_token.rpartition(":")
        return HANDLERS[name].immutable if package == "mlinfra:local" and name in HANDLERS else None

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        from mlinfra_providers.local.resources import HANDLERS

        package, _, name = type_token.rpartition(":")
        return HANDLERS[name].kept if package == "mlinfra:local" and name in HANDLERS else frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what a change would take from those who read the data: what the handler says."""
        from mlinfra_providers.local.resources import HANDLERS

        package, _, name = type_token.rpartition(":")
        own = package == "mlinfra:local" and name in HANDLERS
        return HANDLERS[name](Path()).loses(before, after) if own else None

    def instance(self, need: Compute) -> Instance | None:
        """Return a process with the limits that were asked for; the machine itself is the doctor's question."""
        return Instance("process", need.cpus, need.memory_gib, need.gpus)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Share nothing: each part's processes know where the others are."""
        return links

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources."""
        from mlinfra_providers.local import drift_monitor, endpoint, feature_store, model_registry, training_job

        declare: dict[type[Part], Callable[[ResolvedPart, Links], Links]] = {
            FeatureStore: feature_store.declare,
            TrainingJob: training_job.declare,
            ModelRegistry: model_registry.declare,
            Endpoint: endpoint.declare,
            DriftMonitor: drift_monitor.declare,
        }
        return declare[type(part.part)](part, links)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra `local`, and for what keeps processes together."""
        needed = ("duckdb", "envoy", "feast", "kserve", "mlflow", "sklearn", "supervisor", "xgboost")
        missing = [name for name in needed if find_spec(name) is None]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", "pip install 'mlinfra-toolkit[local]'"
        else:
            yield True, "every package of the extra local is installed", ""

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return nothing: a folder of the repository is all that is needed."""
        return NOTHING

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Look whether the room and the memory of this machine are enough for two fleets: nobody else is asked."""
        from mlinfra_providers.local.doctor import examine

        return examine(environment, parts)

    def service(self, environment: Environment, repository: Path) -> LocalService:
        """Return the running side."""
        from mlinfra_providers.local.service import LocalService

        return LocalService(environment, repository)


def _refusal(part: Part, field: str, reason: str, found: str, way_out: str) -> Problem:
    return Problem(
        "", 0, f"{part.key}.{field}", f"local refuses this: {reason}", found=found,
        remedy=f"in the environment's file: override: {{{part.key}.{field}: {way_out}}}",
    )  # fmt: skip
