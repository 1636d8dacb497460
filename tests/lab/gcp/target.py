"""Vertex AI for the scenarios."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from mlinfra_providers.vertex.naming import endpoint_id
from tests.lab.gcp.emulator import ARTIFACTS, PROJECT, REGION, STATE, Emulator
from tests.lab.gcp.emulator import running as running_google
from tests.lab.project import install
from tests.lab.target import Answered, Fault, Unanswered, values

_ANSWERED_BY = "x-vertex-ai-deployed-model-id"
_OK = 200
_IMAGES = f"{REGION}-docker.pkg.dev/{PROJECT}/images"


@dataclass
class VertexTarget:
    """An emulated Vertex AI that runs."""

    emulator: Emulator
    home: Path
    name: str = "vertex"
    place: Mapping[str, Any] = field(
        default_factory=lambda: {
            "account": PROJECT,
            "region": REGION,
            "state": STATE,
            "artifacts": ARTIFACTS,
            "images": {kind: f"{_IMAGES}/{kind}@sha256:{'1' * 64}" for kind in ("serving", "training")},
        }
    )
    lacks: Mapping[Fault, str] = field(
        default_factory=lambda: {
            Fault.SILENT_ROLLBACK: "a deployment is an operation of its own: it ends, or its error is the operation's",
        }
    )
    environment: Mapping[str, str] = field(init=False)
    _releases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {**self.emulator.environment, "PULUMI_HOME": str(self.home)}

    def empty(self) -> None:
        self.emulator.empty()

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Send a request by rawPredict."""
        name = _endpoint(environment, endpoint)
        try:
            answer = self.emulator.client.post(
                f"/v1/{name}:rawPredict", content=body, headers={"content-type": "application/json"}
            )
        except httpx.TransportError as error:
            raise Unanswered(f"{name}: {error}") from error
        if answer.status_code != _OK:
            raise Unanswered(f"{name}: {answer.status_code}: {answer.text[:300]}")
        release = self._release(name, answer.headers[_ANSWERED_BY])
        return Answered(release, float(answer.json()["outputs"][0]["data"][0]))

    def _release(self, name: str, id_: str) -> str:
        if id_ not in self._releases:
            self._releases |= {item["id"]: item["displayName"] for item in self._deployed(name)}
        return self._releases[id_]

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Read the table of BigQuery."""
        table = f"{PROJECT}.{environment}_features.{environment}_{store}"
        return values(self.emulator.ask("GET", "/lab/rows", table=table) or ())

    def there(self) -> Sequence[str]:
        return self.emulator.there()

    def fail(self, fault: Fault, times: int = 1) -> None:
        assert fault not in self.lacks, self.lacks[fault]
        self.emulator.fault(fault.value, times)

    def heal(self) -> None:
        self.emulator.no_faults()

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        name = _endpoint(environment, endpoint)
        ids = self._newest(name)
        split = {ids[release]: weight for release, weight in weights.items() if weight}
        body = {"displayName": "by hand", "trafficSplit": split}
        self.emulator.ask("PATCH", f"/v1/{name}", body, updateMask="trafficSplit")

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        name = _endpoint(environment, endpoint)
        bounds = {"minReplicaCount": machines, "maxReplicaCount": machines}
        body = {
            "deployedModel": {"id": self._newest(name)[release], "dedicatedResources": bounds},
            "updateMask": "dedicatedResources.minReplicaCount,dedicatedResources.maxReplicaCount",
        }
        self._done(self.emulator.ask("POST", f"/v1/{name}:mutateDeployedModel", body))

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Let the id of a release serve the model of another one: undeployed and deployed again, in a console."""
        name = _endpoint(environment, endpoint)
        ids = self._newest(name)
        self.emulator.ask("POST", "/lab/swap", {"endpoint": name, "id": ids[release], "other": ids[other]})

    def _deployed(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.emulator.ask("GET", f"/v1/{name}").get("deployedModels", [])
        return found

    def _newest(self, name: str) -> dict[str, str]:
        ordered = sorted(self._deployed(name), key=lambda item: str(item["createTime"]))
        return {item["displayName"]: item["id"] for item in ordered}

    def _done(self, operation: dict[str, Any]) -> None:
        while not operation.get("done"):
            operation = self.emulator.ask("GET", f"/v1/{operation['name']}")
        assert "error" not in operation, json.dumps(operation)


def _endpoint(environment: str, endpoint: str) -> str:
    return f"projects/{PROJECT}/locations/{REGION}/endpoints/{endpoint_id(environment, endpoint)}"


@contextmanager
def running() -> Iterator[VertexTarget]:
    """Start one, with the lab's plugins in a PULUMI_HOME of its own."""
    with running_google() as emulator, tempfile.TemporaryDirectory(prefix="mlinfra-lab-home-") as home:
        install(Path(home))
        yield VertexTarget(emulator, Path(home))
