"""What comes with the lab's subscription: a resource group, the store of models and of the state, and a registry.

They are what an environment names and what is made before the first `up` (environments/examples/azureml.yaml).
"""

from __future__ import annotations

from tests.lab.azure.server.blobs import Blobs
from tests.lab.azure.server.resource_manager import SUBSCRIPTION, ResourceManager
from tests.lab.azure.server.things import Thing

ADDRESS = "MLINFRA_AZUREML_ENDPOINT"
"""The adapter's clients go there, without credentials, where it is set."""
VERSION = "2025-12-01"
GROUP = "lab"
ACCOUNT = "mlinfralab"
REGISTRY = "mlinfralab"
REGION = "westeurope"
MODELS, STATE = "models", "state"
KEY = "bGFi"
"""Nobody checks it."""


def group_id() -> str:
    """Return the id of the resource group."""
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


def connection_string(url: str) -> str:
    """Return how the clients of Blob Storage reach the account: as they reach Azurite.

    https://learn.microsoft.com/azure/storage/common/storage-use-azurite
    """
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url}/{ACCOUNT};"


def furnish(manager: ResourceManager, blobs: Blobs) -> None:
    """Make what comes with the account."""
    account = f"{group_id()}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    ids = [
        f"/subscriptions/{SUBSCRIPTION}",
        group_id(),
        account,
        f"{account}/blobServices/default",
        f"{group_id()}/providers/Microsoft.ContainerRegistry/registries/{REGISTRY}",
    ]
    for container in (MODELS, STATE):
        ids.append(f"{account}/blobServices/default/containers/{container}")
        blobs.make(ACCOUNT, container)
    for id_ in ids:
        manager.things.add(Thing(id_, {"location": REGION, "properties": {}}, came=True))
