"""The adapter of the local target: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.foundation import NOTHING, Foundation, SourceHost
from mlinfra_providers.by_file import AdapterByFile

if TYPE_CHECKING:
    from mlinfra_providers.local.service import LocalService


class Local(AdapterByFile):
    """Everything real and on this machine, bound to loopback, without an account."""

    name = "local"
    extra = "local"
    packages = ("duckdb", "envoy", "feast", "kserve", "mlflow", "sklearn", "supervisor", "xgboost")
    proved_against = "the real parts on Linux: Feast, MLflow, the KServe server, Envoy, supervisor, the Pulumi engine"
    proofs: Mapping[str, str] = {}
    not_yet: Mapping[str, str] = {}
    shared = False
    place: Mapping[str, tuple[Any, Any]] = {}

    def instance(self, need: Compute) -> Instance | None:
        """Return a process with the limits that were asked for; the machine itself is the doctor's question."""
        return Instance("process", need.cpus, need.memory_gib, need.gpus)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Share nothing: each part's processes know where the others are."""
        return links

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return nothing: a folder of the repository is all that is needed."""
        return NOTHING

    def service(self, environment: Environment, repository: Path) -> LocalService:
        """Return the running side."""
        from mlinfra_providers.local.service import LocalService

        return LocalService(environment, repository)
