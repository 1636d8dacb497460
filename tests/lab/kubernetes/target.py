"""A Kubernetes cluster of the lab: a real API server, the lab's controllers, an object store for artifacts, and the
PostgreSQL of a team.

What clients and mlinfra are given is the API server behind the lab's faults (controllers/front.py).
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from psycopg.rows import dict_row

from mlinfra_providers.short_names import short_name
from tests.lab.aws.emulator import REGION, Emulator
from tests.lab.kubernetes.apiserver.build import built
from tests.lab.kubernetes.apiserver.server import DEFINITIONS, Server
from tests.lab.kubernetes.apiserver.server import running as running_server
from tests.lab.kubernetes.client import Answered as Said
from tests.lab.kubernetes.client import Cluster
from tests.lab.kubernetes.cloud import CONTROLLED
from tests.lab.kubernetes.controllers.feast import HOST, PORT
from tests.lab.kubernetes.controllers.keeping import FULL
from tests.lab.kubernetes.controllers.world import MERGE, holds
from tests.lab.kubernetes.store import running as running_store
from tests.lab.project import ROOT, install
from tests.lab.target import Answered, Fault, Unanswered, values
from tests.postgres import Postgres
from tests.postgres import running as running_database

STATE, ARTIFACTS = "lab-state", "lab-artifacts"
SECONDS = 300.0
COLLECTING_SECONDS = 30.0
_ANNOTATION = "mlinfra/backends"
_PASSING = ("events", "leases", "endpoints", "endpointslices", "ipaddresses")
"""Kinds that come and go by themselves; an IPAddress goes with its Service, and no owner says so
(kubernetes.io/docs/reference/kubernetes-api: IPAddress, spec.parentRef)."""
_RECORDS = ("TrainJob", "Job")
"""Kinds that say what ran, once it has ended."""
_GATEWAY = {"group": "gateway.networking.k8s.io", "name": "kserve-ingress-gateway", "namespace": "kserve"}
_SETTINGS = ("MODEL_DIGEST", "RUNTIME")


class KubernetesTarget:
    """A running cluster."""

    name = "kubernetes"
    lacks: Mapping[Fault, str] = {
        Fault.SILENT_ROLLBACK: "Kubernetes does not take a change back: a rollout that cannot go on stays where it is, "
        "and its Deployment says so (kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment)"
    }

    def __init__(
        self,
        cluster: Cluster,
        ports: Mapping[str, int],
        store: Emulator,
        database: Postgres,
        environment: Mapping[str, str],
    ) -> None:
        self.cluster = cluster
        self.database = database
        self._lab = httpx.Client(base_url=f"http://127.0.0.1:{ports['lab']}", timeout=SECONDS, trust_env=False)
        self._gateway = httpx.Client(base_url=f"http://127.0.0.1:{ports['gateway']}", timeout=SECONDS, trust_env=False)
        self._store = store
        self.environment = environment
        self.place: Mapping[str, Any] = {
            "context": "lab",
            "images": {
                kind: f"registry.example.com/mlinfra-{kind}@sha256:{digit * 64}"
                for kind, digit in (("serving", "1"), ("training", "2"))
            },
            "state": f"s3://{STATE}",
            "artifacts": f"s3://{ARTIFACTS}/models",
            "policies": {"exceptions": [_captured_by_the_server()]},
        }
        self._prepare(ports["gateway"])
        self._first = set(self._everything())

    def empty(self) -> None:
        """Delete what was made since the start, and what is in the object store."""
        self.heal()
        self._lab.post("/empty").raise_for_status()
        end = time.monotonic() + SECONDS
        while left := self.there():
            assert time.monotonic() < end, f"still there: {left}"
            self._lab.post("/empty").raise_for_status()
            time.sleep(0.2)
        store = self._store.client("s3")
        for bucket in (STATE, ARTIFACTS):
            for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", ()):
                    store.delete_object(Bucket=bucket, Key=item["Key"])

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Send a request to the gateway, at the endpoint's path."""
        path = f"/{namespace_of(environment)}/{endpoint}/v2/models/{endpoint}/infer"
        try:
            answer = self._gateway.post(path, content=body, headers={"content-type": "application/json"})
        except httpx.HTTPError as error:
            raise Unanswered(str(error)) from error
        if not answer.is_success:
            raise Unanswered(f"{answer.status_code}: {answer.text}")
        return Answered(answer.headers["x-mlinfra-release"], float(answer.json()["outputs"][0]["data"][0]))

    def answered(self) -> Mapping[str, int]:
        """Return how many requests each backend was given, by `namespace/route/service`."""
        told: dict[str, int] = self._lab.get("/answered").raise_for_status().json()
        return told

    def materialized(self) -> Sequence[Mapping[str, Any]]:
        """Return what Feast's server was asked to bring online, oldest first (feast.feature_server)."""
        told: list[dict[str, Any]] = self._lab.get("/materialized").raise_for_status().json()
        return told

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Read the table that Feast reads."""
        with self.database.connect(namespace_of(environment)) as database:
            found = database.cursor(row_factory=dict_row).execute(f'SELECT * FROM "{store}"').fetchall()
        return values(found)

    def there(self) -> Sequence[str]:
        """Return every object that was made since the start, of whatever kind; not what goes with its owner, and no
        record of what ran. What has lost its owner counts when nobody has collected it in half a minute."""
        end = time.monotonic() + COLLECTING_SECONDS
        while True:
            found = self._everything()
            # garbage is collected in the background: kubernetes.io/docs/concepts/architecture/garbage-collection
            if time.monotonic() > end or not any(owners - found.keys() for _, owners in found.values()):
                break
            time.sleep(0.2)
        return sorted(
            said
            for uid, (said, owners) in found.items()
            if said and uid not in self._first and not owners & found.keys()
        )

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Let a fault happen; a quota is full until `heal`, and so is no node for the pods that found none."""
        if fault in self.lacks:
            raise ValueError(self.lacks[fault])
        self._lab.post("/faults", json={"name": str(fault), "times": times}).raise_for_status()
        end = time.monotonic() + SECONDS
        while fault is Fault.QUOTA and not self._full():
            assert time.monotonic() < end, "the quota is not in force"
            time.sleep(0.1)

    def _full(self) -> bool:
        """Say whether every namespace has the quota that is full, and it counts."""
        spaces = {item["metadata"]["name"] for item in self.cluster.get("/api/v1/namespaces")["items"]}
        quotas = [
            item for item in self.cluster.get("/api/v1/resourcequotas")["items"] if item["metadata"]["name"] == FULL
        ]
        counting = {item["metadata"]["namespace"] for item in quotas if item.get("status", {}).get("hard")}
        return {name for name in spaces if not name.startswith("kube-")} <= counting

    def heal(self) -> None:
        """Let no fault happen any more."""
        self._lab.delete("/faults").raise_for_status()

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        """Change the weights of the route as `kubectl edit` does."""
        at = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace_of(environment)}/httproutes/{endpoint}"
        route = self.cluster.get(at)
        backends = json.loads(route["metadata"]["annotations"][_ANNOTATION])
        releases = {service: release for release, service in backends.items()}
        rules = copy.deepcopy(route["spec"]["rules"])
        for item in rules[0]["backendRefs"]:
            item["weight"] = weights.get(releases[item["name"]], 0)
        self._edit(at, {"spec": {"rules": rules}})

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        """Change the number of replicas of a release's InferenceService."""
        at, service = self._service(environment, endpoint, release)
        most = max(machines, service["spec"]["predictor"]["maxReplicas"])
        self._edit(at, {"spec": {"predictor": {"minReplicas": machines, "maxReplicas": most}}})

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Let a release's InferenceService bring and serve another one's model, under its own name."""
        at, service = self._service(environment, endpoint, release)
        _, source = self._service(environment, endpoint, other)
        predictor, taken = service["spec"]["predictor"], source["spec"]["predictor"]
        values = {item["name"]: item.get("value") for item in taken["containers"][0]["env"]}
        containers = copy.deepcopy(predictor["containers"])
        for item in containers[0]["env"]:
            if item["name"].removeprefix("MLINFRA_SERVING_") in _SETTINGS:
                item["value"] = values[item["name"]]
        self._edit(at, {"spec": {"predictor": {"initContainers": taken["initContainers"], "containers": containers}}})
        end = time.monotonic() + SECONDS
        while not self._runs(environment, endpoint, release, values["MLINFRA_SERVING_MODEL_DIGEST"]):
            assert time.monotonic() < end, "the pods of the release do not change"
            time.sleep(0.2)

    def _runs(self, environment: str, endpoint: str, release: str, digest: str) -> bool:
        """Say whether all pods of a release are ready and serve what has a digest."""
        chosen = f"mlinfra-endpoint={endpoint},mlinfra-release={release}"
        listed = self.cluster.send("GET", f"/api/v1/namespaces/{namespace_of(environment)}/pods", labelSelector=chosen)
        pods = [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]
        env = [item for pod in pods for item in pod["spec"]["containers"][0]["env"] if item["name"].endswith("DIGEST")]
        return bool(env) and all(item["value"] == digest for item in env) and all(holds(pod, "Ready") for pod in pods)

    def _edit(self, at: str, change: Any) -> None:
        self.cluster.send("PATCH", at, change, kind=MERGE, fieldManager="kubectl-edit")

    def _service(self, environment: str, endpoint: str, release: str) -> tuple[str, Any]:
        base = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace_of(environment)}/inferenceservices"
        chosen = f"mlinfra-endpoint={endpoint},mlinfra-release={release}"
        (found,) = self.cluster.send("GET", base, labelSelector=chosen)["items"]
        return f"{base}/{found['metadata']['name']}", found

    def _prepare(self, port: int) -> None:
        """Make what is in a cluster before anybody comes: the namespace of KServe, and its gateway."""
        group = _GATEWAY["group"]
        objects = [
            ("/api/v1/namespaces/kserve", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kserve"}}),
            (
                f"/apis/{group}/v1/gatewayclasses/lab",
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "GatewayClass",
                    "metadata": {"name": "lab"},
                    "spec": {"controllerName": "lab.mlinfra/gateway"},
                },
            ),
            (
                f"/apis/{group}/v1/namespaces/kserve/gateways/{_GATEWAY['name']}",
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "Gateway",
                    "metadata": {"name": _GATEWAY["name"], "namespace": "kserve"},
                    "spec": {
                        "gatewayClassName": "lab",
                        "listeners": [
                            {
                                "name": "http",
                                "port": port,
                                "protocol": "HTTP",
                                "allowedRoutes": {"namespaces": {"from": "All"}},
                            }
                        ],
                    },
                },
            ),
        ]
        for at, body in objects:
            self.cluster.apply(at, body)
        store = self._store.client("s3")
        for bucket in (STATE, ARTIFACTS):
            store.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        end = time.monotonic() + SECONDS
        while "addresses" not in self.cluster.get(objects[2][0]).get("status", {}):
            assert time.monotonic() < end, "the gateway gets no address"
            time.sleep(0.1)

    def _everything(self) -> dict[str, tuple[str, set[str]]]:
        """Return `kind name` of every object (nothing of a record), and who owns it, by its uid, asked of the API
        server."""
        found = {}
        for base, plural in self._kinds():
            try:
                listed = self.cluster.get(f"{base}/{plural}") or {"items": ()}
            except Said:
                continue
            kind = listed["kind"].removesuffix("List") if "kind" in listed else plural
            for item in listed.get("items") or ():
                metadata = item["metadata"]
                owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
                record = kind in _RECORDS and (holds(item, "Complete") or holds(item, "Failed"))
                found[metadata["uid"]] = ("" if record else f"{kind} {metadata['name']}", owners)
        return found

    def _kinds(self) -> list[tuple[str, str]]:
        if not hasattr(self, "_known"):
            groups = self.cluster.get("/apis")["groups"]
            bases = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
            self._known = [
                (base, item["name"])
                for base in bases
                for item in (self.cluster.get(base) or {"resources": ()})["resources"]
                if "/" not in item["name"] and {"list", "delete"} <= set(item["verbs"]) and item["name"] not in _PASSING
            ]
        return self._known


def _captured_by_the_server() -> dict[str, str]:
    """Return the exception that environments/examples/kubernetes.yaml has, too, for the endpoint of the scenarios."""
    return {
        "rule": "AUD-01",
        "part": "endpoints.crowds",
        "reason": "the server itself captures both",
        "owner": "people@example.com",
        "until": (date.today() + timedelta(days=30)).isoformat(),
    }


def namespace_of(environment: str) -> str:
    """Return the namespace that mlinfra makes for an environment."""
    return short_name(environment, "mlinfra", limit=63)


@contextmanager
def running() -> Iterator[KubernetesTarget]:
    """Start a cluster; end everything at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-cluster-"))
    try:
        with running_server(built()) as server, running_store() as store, running_database() as database:
            server.define(*sorted(path.stem for path in DEFINITIONS.glob("*.yaml")))
            reached = {**store.environment, HOST: database.host, PORT: str(database.port)}
            with controllers(server, folder, reached) as ports:
                install(folder / "pulumi")
                environment = {
                    **store.environment,
                    "KUBECONFIG": str(_kubeconfig(server, folder, ports["api"])),
                    "PROMETHEUS_URL": f"http://127.0.0.1:{ports['prometheus']}",
                    "PULUMI_HOME": str(folder / "pulumi"),
                    CONTROLLED: "yes",
                }
                yield KubernetesTarget(server.cluster, ports, store, database, environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def controllers(server: Server, folder: Path, environment: Mapping[str, str]) -> Iterator[Mapping[str, int]]:
    """Start the controllers; gives the ports at which they answer."""
    command = [sys.executable, "-P", "-m", "tests.lab.kubernetes.controllers", str(server.kubeconfig), str(folder)]
    with (folder / "controllers.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, (folder / "controllers.log").read_text()
        yield json.loads(told)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _kubeconfig(server: Server, folder: Path, port: int) -> Path:
    """Write the kubeconfig of clients: the same cluster, through the lab's faults."""
    described = json.loads(server.kubeconfig.read_text())
    described["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"
    path = folder / "kubeconfig"
    path.write_text(json.dumps(described))
    path.chmod(0o600)
    return path
