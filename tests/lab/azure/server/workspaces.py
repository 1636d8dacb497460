"""What is in workspaces of Azure ML: bodies by the REST models; assets that never change.

https://learn.microsoft.com/azure/machine-learning/how-to-manage-environments-v2: a version of an asset is immutable but
for description, tags and stage. https://learn.microsoft.com/azure/machine-learning/how-to-create-attach-compute-cluster:
of a cluster only its scale, description and tags can be changed.
"""

from __future__ import annotations

from tests.lab.azure.server.online import refuse
from tests.lab.azure.server.resource_manager import ResourceManager, Rules
from tests.lab.azure.server.things import Body, Thing, Wrong

WORKSPACES = "microsoft.machinelearningservices/workspaces"
MODELS = {
    "computes": "ComputeResource",
    "connections": "WorkspaceConnectionPropertiesV2BasicResource",
    "datastores": "Datastore",
    "environments/versions": "EnvironmentVersion",
    "featuresets": "FeaturesetContainer",
    "featuresets/versions": "FeaturesetVersion",
    "featurestoreentities": "FeaturestoreEntityContainer",
    "featurestoreentities/versions": "FeaturestoreEntityVersion",
    "models": "ModelContainer",
    "models/versions": "ModelVersion",
    "schedules": "Schedule",
}
"""By what is in a workspace: the model of its body."""
_MUTABLE = frozenset({"description", "tags", "properties", "isArchived", "stage", "materializationSettings"})


class Asset(Rules):
    """A thing whose body has a model."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        refuse(MODELS[self._kind], body)
        if there is not None and self._kind.endswith("/versions"):
            names = {*there.properties, *body["properties"]} - _MUTABLE
            changed = sorted(name for name in names if there.properties.get(name) != body["properties"].get(name))
            if changed:
                raise Wrong(409, "UserError", f"A version of an asset is immutable: {', '.join(changed)}")
        return super().put(manager, id_, body, there)


class Workspaces(Rules):
    """Workspaces. Their body is flat in pulumi-azure-native, and nested in the API."""

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        refuse("Workspace", body)
        for key in ("storageAccount", "keyVault", "containerRegistry"):
            needed = body["properties"].get(key)
            if needed and manager.things.find(needed) is None:
                raise Wrong(400, "ValidationError", f"{key}: {needed} was not found.")
        return super().put(manager, id_, body, there)


def rules() -> dict[str, Rules]:
    """Return the rules of what is in a workspace, by type in lower case."""
    return {WORKSPACES: Workspaces(), **{f"{WORKSPACES}/{kind}": Asset(kind) for kind in MODELS}}
