"""The adapter of Azure ML: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from mlinfra.foundation import Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem
from mlinfra_providers.azureml.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.azureml.service import AzureMLService

_PACKAGE = "mlinfra:azureml:"


def _images(digit: str) -> dict[str, str]:
    return {kind: f"acmeml.azurecr.io/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


def _key(name: str) -> str:
    vault = (
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/keys/providers/Microsoft.KeyVault/vaults"
    )
    return f"{vault}/acme-ml/keys/{name}"


class AzureML:
    """Azure Machine Learning, in one subscription, resource group and region."""

    name = "azureml"
    proved_against = "the REST models of API 2025-12-01; its clients and resources on an emulated Azure; no account"
    proofs: Mapping[str, str] = {
        "TrainingJob": "the REST models; command jobs of its clients on the emulated Azure",
        "Endpoint": "the REST models; deployments and splits of its clients on the emulated Azure, no whole `up`",
    }
    not_yet: Mapping[str, str] = {
        "FeatureStore.source": "is named at the feature set; nothing writes the rows yet",
        "FeatureStore.refresh": "is when rows are materialised; nothing writes them yet",
        "Endpoint.rollout.label_delay": "labels are kept, not yet joined with requests: a gate of quality has no data",
        "Endpoint.rollout.shadow": "gets copies of half of the requests: Azure ML copies no more",
        "DriftMonitor.on_drift=block-promotion": "is written beside the models by the job; no promotion reads it yet",
    }
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {
        "account": ("11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"),
        "region": ("eastus", "westeurope"),
        "resource_group": ("acme-ml", "acme-ml-other"),
        "workspace": ("acme-ml", "acme-ml-other"),
        "network": ({"vpc": "ml", "subnets": ["ml-a"]}, {"vpc": "other", "subnets": ["ml-b"]}),
        "encryption": ({"key": _key("one")}, {"key": _key("other")}),
        "images": (_images("1"), _images("2")),
        "bucket": ("acmemldata", "acmemlotherdata"),
        "tags": ({"cost-center": "ml-1"}, {"cost-center": "ml-2"}),
        "state": ("azblob://state?storage_account=acmeml", "azblob://state?storage_account=acmemlother"),
        "artifacts": (
            "abfs://models@acmemlmodels.dfs.core.windows.net/mlinfra",
            "abfs://models@acmemlother.dfs.core.windows.net/mlinfra",
        ),
    }

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse what Azure has not, and what is missing or not written as Azure writes it."""
        from mlinfra_providers.azureml.refusals import refuse_place

        yield from refuse_foreign(environment, self.place)
        yield from refuse_place(environment)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what Azure ML cannot do, with a reason and a way out."""
        from mlinfra_providers.azureml.refusals import refuse_part

        return refuse_part(part, environment)

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says, or the table of Azure's types."""
        from mlinfra_providers.azureml.replacing import REPLACED_BY
        from mlinfra_providers.azureml.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].immutable if name in HANDLERS else REPLACED_BY.get(type_token)

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        from mlinfra_providers.azureml.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].kept if name in HANDLERS else frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what those who read a feature set would lose."""
        from mlinfra_providers.azureml.replacing import lost_columns

        return lost_columns(before, after) if type_token == f"{_PACKAGE}FeatureSetSpec" else None

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share: key, storage, workspace, logs, alarms, budget."""
        from mlinfra_providers.azureml import around

        return around.surround(parts, links)

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources."""
        from mlinfra_providers.azureml import drift_monitor, endpoint, feature_store, model_registry, training_job

        declare: dict[type[Part], Callable[[ResolvedPart, Links], Links]] = {
            FeatureStore: feature_store.declare,
            TrainingJob: training_job.declare,
            ModelRegistry: model_registry.declare,
            Endpoint: endpoint.declare,
            DriftMonitor: drift_monitor.declare,
        }
        return declare[type(part.part)](part, links)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra `azure`."""
        missing = [name for name in ("pulumi_azure_native", "adlfs") if find_spec(name) is None]
        missing += [] if _has_identity() else ["azure.identity"]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", "pip install 'mlinfra-toolkit[azure]'"
        else:
            yield True, "every package of the extra azure is installed", ""

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.azureml.bootstrap import AzureFoundation

        return AzureFoundation(environment, source)

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Ask about credentials, region, stores, permissions and quotas; change nothing."""
        from mlinfra_providers.azureml.doctor import examine

        return examine(environment, parts)

    def service(self, environment: Environment, repository: Path) -> AzureMLService:
        """Return the running side."""
        from mlinfra_providers.azureml.service import AzureMLService

        return AzureMLService(environment, repository)


def _has_identity() -> bool:
    # azure is a namespace that other distributions have, too: to look inside it, it must be there
    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False
