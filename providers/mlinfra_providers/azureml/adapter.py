"""The adapter of Azure ML: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra_providers.azureml.machines import find_machine
from mlinfra_providers.by_file import AdapterByFile

if TYPE_CHECKING:
    from mlinfra_providers.azureml.service import AzureMLService


def _images(digit: str) -> dict[str, str]:
    return {kind: f"acmeml.azurecr.io/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


def _key(name: str) -> str:
    vault = (
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/keys/providers/Microsoft.KeyVault/vaults"
    )
    return f"{vault}/acme-ml/keys/{name}"


class AzureML(AdapterByFile):
    """Azure Machine Learning, in one subscription, resource group and region."""

    name = "azureml"
    extra = "azure"
    packages = ("pulumi_azure_native", "adlfs", "azure.identity")
    proved_against = "the REST models of API 2025-12-01; its clients and resources on an emulated Azure; no account"
    proofs: Mapping[str, str] = {
        "FeatureStore": "the REST models; rows written to the emulated Blob Storage, backfills asked for, no Spark",
        "TrainingJob": "the REST models; command jobs of its clients on the emulated Azure",
        "Endpoint": "real servers behind the emulated Azure, deployed, changed by hand and mended by the real engine",
    }
    not_yet: Mapping[str, str] = {
        "Endpoint.rollout.shadow=copies of more than half of the requests": "are not made: Azure ML copies no more",
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

    def id_of(self, environment: Environment, type_token: str, inputs: Mapping[str, Any]) -> str | None:
        """Return the id of a resource of Azure Resource Manager, which is made of its names."""
        from mlinfra_providers.azureml.ids import id_of

        return id_of(environment, type_token, inputs)

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.azureml.bootstrap import AzureFoundation

        return AzureFoundation(environment, source)

    def service(self, environment: Environment, repository: Path) -> AzureMLService:
        """Return the running side."""
        from mlinfra_providers.azureml.service import AzureMLService

        return AzureMLService(environment, repository)
