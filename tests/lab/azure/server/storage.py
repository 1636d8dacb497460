"""What making a storage account, a container or a key vault does beside keeping it."""

from __future__ import annotations

from tests.lab.azure.server.blobs import Blobs
from tests.lab.azure.server.resource_manager import ResourceManager, Rules
from tests.lab.azure.server.things import Body, Thing, Wrong

ACCOUNTS = "microsoft.storage/storageaccounts"
CONTAINERS = f"{ACCOUNTS}/blobservices/containers"
VAULTS = "microsoft.keyvault/vaults"


class Accounts(Rules):
    """An account comes with its blob service.

    https://learn.microsoft.com/azure/templates/microsoft.storage/storageaccounts/blobservices
    """

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        made = super().put(manager, id_, body, there)
        service = f"{id_}/blobServices/default"
        if manager.things.find(service) is None:
            manager.things.add(Thing(service, {"properties": {}}, came=True))
        return made


class Containers(Rules):
    """A container of the API is one of Blob Storage."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        parts = id_.split("/")
        self._blobs.make(parts[-5], parts[-1])
        return super().put(manager, id_, body, there)

    def delete(self, manager: ResourceManager, thing: Thing) -> None:
        parts = thing.id.split("/")
        self._blobs.drop(parts[-5], parts[-1])
        super().delete(manager, thing)


class Vaults(Rules):
    """A deleted vault keeps its name: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview."""

    def __init__(self) -> None:
        self._deleted: set[str] = set()

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        if there is None and id_.lower() in self._deleted:
            message = "A vault with the same name already exists in deleted state."
            raise Wrong(409, "ConflictError", message)
        return super().put(manager, id_, body, there)

    def delete(self, manager: ResourceManager, thing: Thing) -> None:
        self._deleted.add(thing.id.lower())
        super().delete(manager, thing)

    def forget(self) -> None:
        """Purge every deleted vault."""
        self._deleted.clear()
