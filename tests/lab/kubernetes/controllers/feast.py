"""Feast's operator, the team that gives each store a database, and a server that is asked to bring views online.

- github.com/feast-dev/feast, infra/feast-operator/internal/controller/services: a store is ready when its Secret is
  there (services.go: validate…Persistence); what was taken is `status.applied`, and `status.serviceHostnames` says
  where the servers are, `<domain>:<port>` (setServiceHostnames). The lab makes no Deployment `feast-<name>`.
- The Secret `<store>-database` is the team's. Here it comes with the store, and goes with it; its tables stay.
- `POST /materialize` is not Feast's own server (tests/serving/test_features_feast.py runs that one): the body is read
  by its request model and its own check of the window, the view must be one of a store here, and it is kept.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from tests.lab.kubernetes.controllers.workloads import stamp
from tests.lab.kubernetes.controllers.world import Object, World, condition, conditions, going, owned_by
from tests.postgres import Postgres

HOST, PORT = "LAB_POSTGRES_HOST", "LAB_POSTGRES_PORT"
"""Variables of the controllers: where the team's PostgreSQL is."""


class Feast:
    """The operator, and the server of all stores; `address` is known once it listens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._database = Postgres(os.environ[HOST], port=int(os.environ[PORT]))
        self.address = ""
        self.asked: list[Any] = []

    def databases(self, world: World) -> None:
        """Have the Secret of every store, and the database of its namespace."""
        for store in world.all("featurestores"):
            namespace, name = store["metadata"]["namespace"], f"{store['metadata']['name']}-database"
            if going(store) or world.get("secrets", namespace, name) is not None:
                continue
            self._database.make(namespace)
            documents = {
                "postgres": json.dumps(self._database.document(namespace)),
                "sql": json.dumps({"path": self._database.registry(namespace)}),
            }
            data = {key: base64.b64encode(text.encode()).decode() for key, text in documents.items()}
            about = {"name": name, "namespace": namespace, "ownerReferences": owned_by(store)}
            world.create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": data})

    def stores(self, world: World) -> None:
        """Say of every store that it is ready, where its Secret is there."""
        for store in world.all("featurestores"):
            if going(store):
                continue
            namespace, services = store["metadata"]["namespace"], store["spec"]["services"]
            secret = services["offlineStore"]["persistence"]["store"]["secretRef"]["name"]
            there = world.get("secrets", namespace, secret) is not None
            why = ("Ready", "ready") if there else ("Failed", f'secrets "{secret}" not found')
            status: Object = {
                "phase": "Ready" if there else "Failed",
                "conditions": conditions(store, [condition("FeatureStore", there, *why)], stamp()),
            }
            if there:
                hosts = {} if services["onlineStore"].get("disabled") else {"onlineStore": self.address}
                status |= {"applied": store["spec"], "serviceHostnames": hosts}
            world.patch("featurestores", store, {"status": status}, "/status")

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Answer as Feast's server does when it is asked to bring views online."""
        from feast.feature_server import MaterializeRequest, _parse_materialize_timestamps
        from pydantic import ValidationError

        if path != "/materialize":
            return 404, {"detail": "Not Found"}
        try:
            asked = MaterializeRequest.model_validate_json(body)
            _parse_materialize_timestamps(asked)
        except ValidationError as error:
            return 422, {"detail": error.errors(include_url=False, include_context=False)}
        except ValueError as error:
            return 500, {"detail": str(error)}
        unknown = set(json.loads(body)) - set(MaterializeRequest.model_fields)
        projects = {store["spec"]["feastProject"] for store in self._world.all("featurestores")}
        missing = sorted(set(asked.feature_views or ()) - projects)
        if unknown or missing:
            return 404, {"detail": f"Feature view {', '.join([*missing, *unknown])} does not exist"}
        self.asked.append(asked.model_dump())
        return 200, None
