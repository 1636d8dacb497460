"""This machine as a target of the scenarios: nothing is emulated, and nothing between clouds can go wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from mlinfra.artifacts import ArtifactStore
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.registry import Registry
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.sources import newest
from mlinfra_providers.local.supervisor import Supervisor
from tests.lab.target import Answered, Fault, Unanswered, values

ENV = "prod"
NAMES = {"router/crowds": "router crowds/traffic"}


@dataclass
class Local:
    """The environment `prod` of one repository."""

    repository: Path
    name: str = "local"
    environment: Mapping[str, str] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False, verify=False))
    lacks: Mapping[Fault, str] = field(
        default_factory=lambda: dict.fromkeys(Fault, "there is no cloud between mlinfra and this machine")
    )

    @property
    def layout(self) -> Layout:
        return Layout(self.repository, ENV)

    def empty(self) -> None:
        """Forget everything that is there: nothing may run."""
        shutil.rmtree(self.layout.folder, ignore_errors=True)

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Ask through the router."""
        port = json.loads(self.layout.ports.read_text())[f"endpoint/{endpoint}"]
        try:
            answer = self.client.post(
                f"http://127.0.0.1:{port}/v2/models/{endpoint}/infer",
                content=body,
                headers={"content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            raise Unanswered(repr(error)) from error
        if answer.status_code != httpx.codes.OK:
            raise Unanswered(f"{answer.status_code}: {answer.text}")
        return Answered(answer.headers["x-mlinfra-release"], answer.json()["outputs"][0]["data"][0])

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Read what the offline store reads."""
        rows = newest(self.layout, store)
        return values(parquet.read_table(rows.path).to_pylist()) if rows else {}

    def there(self) -> Sequence[str]:
        """Return the programs, models, versions and tables, by the names that the engine has for them."""
        layout = self.layout
        if not layout.folder.exists():
            return []
        status = Supervisor(layout).status() if layout.supervisor_wanted.exists() else {}
        programs = [NAMES.get(name, f"program {name}") for name, state in status.items() if state.running]
        found = [name for name in programs if name != "program tick"]
        if layout.registry.exists():
            with Registry(layout, ArtifactStore(layout.artifacts_url)) as registry:
                # its versions are its data: they stay as long as it does
                found += [f"model {ENV}/crowds"] if registry.read("crowds") else []
        if (layout.features / "online.db").exists():
            found.append(f"table {ENV}/weather")
        return sorted(found)

    def fail(self, fault: Fault, times: int = 1) -> None:
        raise AssertionError(self.lacks[fault])

    def heal(self) -> None:
        """Nothing ever fails here."""

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        """Write another split for the router."""
        router = Router(self.layout, endpoint)
        traffic = router.traffic()
        assert traffic is not None
        document = {**traffic.to_json(), "weights": dict(weights), "generation": traffic.generation + 1}
        router.apply(type(traffic).from_json(document))

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        """Change nothing: each release is one process on this machine."""

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Put the other model's files where the release's are, and start its server again."""
        models = self.layout.endpoint(endpoint) / "models"
        shutil.rmtree(models / release)
        shutil.copytree(models / other, models / release)
        supervisor = Supervisor(self.layout)
        [server] = [name for name in supervisor.status() if name.startswith(f"server/{endpoint}/{release}")]
        supervisor.restart(server)


@contextmanager
def running(folder: Path) -> Iterator[Local]:
    """Return this machine, for a repository in a folder."""
    yield Local(folder / "repository")
