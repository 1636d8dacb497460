"""Azure ML of the lab as the scenarios know a target."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from mlinfra.environment import Environment, parse_environment
from mlinfra.yaml_file import read_yaml
from mlinfra_providers.azureml.naming import endpoint_name, workspace_id
from mlinfra_providers.azureml.places import records
from mlinfra_providers.azureml.split import newest, release_of
from tests.lab.azure.emulator import Emulator
from tests.lab.azure.emulator import running as emulated
from tests.lab.azure.server.online import DEPLOYMENTS
from tests.lab.project import install
from tests.lab.target import Answered, Fault, Unanswered, values

_SECONDS = 30.0


class AzureTarget:
    """Implements `tests.lab.target.Target`."""

    name = "azureml"
    lacks: Mapping[Fault, str] = {
        Fault.SILENT_ROLLBACK: (
            "an operation of Azure Resource Manager ends as Succeeded or Failed, and Failed has a code and a message: "
            "https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations"
        )
    }

    def __init__(self, emulator: Emulator, home: Path) -> None:
        self.emulator = emulator
        self.environment: Mapping[str, str] = {**emulator.environment, "PULUMI_HOME": str(home)}
        self.place: Mapping[str, Any] = emulator.place

    def empty(self) -> None:
        """Forget everything that is there, faults too."""
        self.emulator.reset()

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Send a request to the scoring address, signed in as a client is."""
        there = self._endpoint(environment, endpoint)
        url = there["properties"]["scoringUri"]
        headers = {"Authorization": "Bearer lab", "Content-Type": "application/json"}
        try:
            answer = httpx.post(url, content=body, headers=headers, timeout=_SECONDS, trust_env=False)
        except httpx.TransportError as error:
            raise Unanswered(str(error)) from error
        if not answer.is_success:
            raise Unanswered(f"{answer.status_code}: {answer.text[:300]}")
        release = answer.headers.get("x-mlinfra-release") or release_of(answer.headers["azureml-model-deployment"])
        return Answered(release, float(answer.json()["outputs"][0]["data"][0]))

    def there(self) -> Sequence[str]:
        """Return everything that did not come with the account, asked of the emulated Azure."""
        found: Sequence[str] = self.emulator.ask("GET", "/lab/things").json()
        return found

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Read the file that Spark reads."""
        folder = records(self._environment(environment), "rows", f"{environment}-{store}")
        told = self.emulator.ask("GET", f"/{folder.account}/{folder.container}/{folder.path}/rows.parquet")
        return values(parquet.read_table(io.BytesIO(told.raise_for_status().content)).to_pylist())

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Let a fault happen to the next requests that it concerns."""
        self.emulator.fault(fault.value, times)

    def heal(self) -> None:
        """Let no fault happen any more."""
        self.emulator.no_faults()

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        """Change the traffic as the studio does: by a PATCH of nothing else."""
        deployed = self._deployed(environment, endpoint)
        there = self._endpoint(environment, endpoint)
        names = dict.fromkeys(there["properties"].get("traffic") or {})
        traffic = {**names, **{deployed[release]["name"]: weight for release, weight in weights.items()}}
        self._change(there["id"], {"properties": {"traffic": traffic}})

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        """Change the number of instances of a deployment."""
        self._change(self._deployed(environment, endpoint)[release]["id"], {"sku": {"capacity": machines}})

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Let a deployment serve another one's model: the folder and the digest in its variables."""
        deployed = self._deployed(environment, endpoint)
        theirs = deployed[other]["properties"]["environmentVariables"]
        names = ("MLINFRA_SERVING_MODEL_DIR", "MLINFRA_SERVING_MODEL_DIGEST")
        variables = {name: theirs[name] for name in names}
        self._change(deployed[release]["id"], {"properties": {"environmentVariables": variables}})

    def _environment(self, name: str) -> Environment:
        # JSON is YAML
        text = json.dumps({"target": self.name, "stacks": ["crowds"], **self.place})
        environment, problems = parse_environment(read_yaml(text, name), name)
        assert environment is not None, problems
        return environment

    def _path(self, environment: str, endpoint: str) -> str:
        known = self._environment(environment)
        return f"{workspace_id(known)}/onlineEndpoints/{endpoint_name(known, endpoint)}"

    def _endpoint(self, environment: str, endpoint: str) -> dict[str, Any]:
        answer = self.emulator.ask("GET", self._path(environment, endpoint))
        if not answer.is_success:
            raise Unanswered(f"there is no endpoint {endpoint}")
        found: dict[str, Any] = answer.json()
        return found

    def _deployed(self, environment: str, endpoint: str) -> dict[str, dict[str, Any]]:
        """Return what serves each release."""
        collection = f"{self._path(environment, endpoint)}/{DEPLOYMENTS.rpartition('/')[2]}"
        found = {item["name"]: item for item in self.emulator.ask("GET", collection).json()["value"]}
        return {release: found[name] for release, name in newest(found).items()}

    def _change(self, path: str, change: Mapping[str, Any]) -> None:
        answer = self.emulator.ask("PATCH", path, change)
        assert answer.is_success, answer.text
        self.emulator.settled(path)


@contextmanager
def running() -> Iterator[AzureTarget]:
    """Start an emulated Azure and end it at the end."""
    with emulated() as emulator, tempfile.TemporaryDirectory(prefix="mlinfra-lab-azure-") as folder:
        home = Path(folder) / "pulumi"
        install(home)
        yield AzureTarget(emulator, home)
