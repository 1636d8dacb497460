"""The one project of the lab: who answers what, and the faults in front of Vertex AI."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.lab.gcp.names import PLUGIN, THINGS
from tests.lab.gcp.server import bigquery, tables
from tests.lab.gcp.server.answers import Answer, Asked, Failed
from tests.lab.gcp.server.api import understood
from tests.lab.gcp.server.endpoints import Endpoints
from tests.lab.gcp.server.faults import Faults
from tests.lab.gcp.server.feature_views import FeatureViews
from tests.lab.gcp.server.jobs import Jobs
from tests.lab.gcp.server.logs import Logs
from tests.lab.gcp.server.models import Models
from tests.lab.gcp.server.monitors import Monitors
from tests.lab.gcp.server.operations import Clock, Operations
from tests.lab.gcp.server.seen import Seen
from tests.lab.gcp.server.storage import Storage
from tests.lab.gcp.server.things import Things

GIVEN_BUCKETS = ("lab-state", "lab-artifacts")
"""They come with the project: the state of Pulumi, and the store of models."""
_OPERATION = re.compile(r"/(?:v1|ui)/(projects/.+/operations/[^/:]+)(:\w+)?")
_PREDICT = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/endpoints/[^/:]+):(predict|rawPredict)")
_SERIES = re.compile(r"/v3/projects/[^/]+/timeSeries")


class Lost(Exception):
    """The connection is to be cut."""


class Project:
    """Everything that is there."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self.clock, self.faults = Clock(), Faults()
        self.requests: Counter[str] = Counter()
        self._fill()

    def _fill(self) -> None:
        self.seen, self.storage, self.logs = Seen(), Storage(self._url), Logs()
        self.operations = Operations(self.clock, self._lock)
        self.models = Models(self.operations)
        self.endpoints = Endpoints(self.operations, self.models, self.faults, self.seen)
        self.jobs = Jobs(self.operations, self.storage, self.faults, self.logs)
        self.monitors = Monitors(self.operations, self.endpoints)
        self.things = Things(self.storage)
        self.tables = tables.Tables(self.things, self.storage)
        self.views = FeatureViews(self.operations.clock, self.things)
        for bucket in GIVEN_BUCKETS:
            self.storage.make(bucket)
        self._methods: dict[str, Callable[[Any], dict[str, Any]]] = {
            "CreateEndpoint": self.endpoints.create,
            "GetEndpoint": self.endpoints.get,
            "ListEndpoints": self.endpoints.list,
            "UpdateEndpoint": self.endpoints.update,
            "DeleteEndpoint": self.endpoints.delete,
            "DeployModel": self.endpoints.deploy,
            "UndeployModel": self.endpoints.undeploy,
            "MutateDeployedModel": self.endpoints.mutate,
            "UploadModel": self.models.upload,
            "GetModel": self.models.get,
            "ListModels": self.models.list,
            "ListModelVersions": self.models.versions,
            "UpdateModel": self.models.update,
            "DeleteModel": self._delete_model,
            "CreateCustomJob": self.jobs.create,
            "GetCustomJob": self.jobs.get,
            "ListCustomJobs": self.jobs.list,
            "CancelCustomJob": self.jobs.cancel,
            "DeleteCustomJob": self.jobs.delete,
            "CreateModelDeploymentMonitoringJob": self.monitors.create,
            "GetModelDeploymentMonitoringJob": self.monitors.get,
            "ListModelDeploymentMonitoringJobs": self.monitors.list,
            "UpdateModelDeploymentMonitoringJob": self.monitors.update,
            "DeleteModelDeploymentMonitoringJob": self.monitors.delete,
            "SyncFeatureView": self.views.sync,
            "ListFeatureViewSyncs": self.views.listed,
        }

    def _delete_model(self, request: Any) -> dict[str, Any]:
        served = {item.model for endpoint in self.endpoints.kept.values() for item in endpoint.deployed_models}
        return self.models.delete(request, served=served)

    def answer(self, asked: Asked) -> Answer:
        """Answer a request. Raises Failed, and Lost where the connection is to be cut."""
        if asked.path == "/token":
            return Answer.json({"access_token": "lab", "expires_in": 3600, "token_type": "Bearer"})
        if asked.path.startswith(THINGS):
            with self._lock:
                return self.things.answer(asked)
        if asked.path.startswith("/lab/"):
            return self._lab(asked)
        if predicted := _PREDICT.fullmatch(asked.path):
            return self.endpoints.predict(asked, predicted[1], raw=predicted[2] == "rawPredict")
        if operation := _OPERATION.fullmatch(asked.path):
            return Answer.json({} if operation[2] else self.operations.get(operation[1]))
        if _SERIES.fullmatch(asked.path):
            return self.seen.series(asked)
        if asked.path == "/v2/entries:list":
            return self.logs.list(asked, self.endpoints.printed)
        if bigquery.PATH.fullmatch(asked.path):
            return bigquery.query(asked, self.seen.tables)
        if asked.path.startswith(tables.PATH):
            with self._lock:
                return self.tables.answer(asked)
        if asked.path.startswith("/v1/projects/"):
            return self._vertex(asked)
        with self._lock:
            return self.storage.answer(asked)

    def _vertex(self, asked: Asked) -> Answer:
        known = understood(asked)
        if known is None:
            raise Failed("NOT_FOUND", f"Vertex AI has no {asked.method} {asked.path}")
        operation, message = known
        self.requests[operation.name] += 1
        if operation.name not in self._methods:
            raise Failed("UNIMPLEMENTED", f"the lab has no {operation.name} yet")
        spared = PLUGIN in asked.headers
        changes = asked.method != "GET"
        if not spared and self.faults.take("throttle", operation.name):
            raise Failed("RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com, requests per minute.")
        if not spared and changes and self.faults.take("lost-before", operation.name):
            raise Lost
        with self._lock:
            told = self._methods[operation.name](message)
        if not spared and changes and self.faults.take("lost-after", operation.name):
            raise Lost
        return Answer.json(told)

    def _lab(self, asked: Asked) -> Answer:
        body = asked.json()
        match (asked.method, asked.path):
            case ("POST", "/lab/faults"):
                try:
                    self.faults.put(**body)
                except (ValueError, TypeError) as error:
                    raise Failed("INVALID_ARGUMENT", str(error)) from None
            case ("DELETE", "/lab/faults"):
                self.faults.clear()
            case ("PUT", "/lab/clock"):
                self.clock.seconds = float(body["seconds"])
            case ("GET", "/lab/requests"):
                return Answer.json(dict(self.requests))
            case ("GET", "/lab/there"):
                return Answer.json(self.there())
            case ("GET", "/lab/captured"):
                return Answer.json(self.seen.tables)
            case ("GET", "/lab/rows"):
                return Answer.json(self.tables.rows.get(asked.one("table")))
            case ("GET", "/lab/synced"):
                return Answer.json(self.views.synced)
            case ("POST", "/lab/swap"):
                self.endpoints.swap(body["endpoint"], body["id"], body["other"])
            case ("POST", "/lab/empty"):
                self.faults.clear()
                self.close()
                self._fill()
            case _:
                raise Failed("NOT_FOUND", asked.path)
        return Answer.json({})

    def there(self) -> list[str]:
        """Return everything that did not come with the project, as `kind name`.

        What is in a bucket is the bucket's, versions are their model's, and runs that ended are history.
        """
        found = [f"{kind.rpartition(':')[2]} {id_}" for kind, id_ in self.things.kept]
        found += [f"Endpoint {name.rpartition('/')[2]}" for name in self.endpoints.kept]
        found += [f"ModelDeploymentMonitoringJob {name.rpartition('/')[2]}" for name in self.monitors.kept]
        found += [
            f"DeployedModel {item.id}" for endpoint in self.endpoints.kept.values() for item in endpoint.deployed_models
        ]
        return sorted([*found, *(f"Model {name.rpartition('/')[2]}" for name in self.models.kept)])

    def close(self) -> None:
        """End every process."""
        self.endpoints.close()
        self.jobs.close()
