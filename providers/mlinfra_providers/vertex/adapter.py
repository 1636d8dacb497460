"""The adapter of Vertex AI: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra_providers.by_file import AdapterByFile
from mlinfra_providers.vertex.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.vertex.service import VertexService


def _images(digit: str) -> dict[str, str]:
    registry = "us-central1-docker.pkg.dev/acme-ml/images"
    return {kind: f"{registry}/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


def _key(name: str) -> str:
    return f"projects/acme-ml/locations/us-central1/keyRings/ml/cryptoKeys/{name}"


class Vertex(AdapterByFile):
    """Google's Vertex AI, in one project and region."""

    name = "vertex"
    extra = "gcp"
    packages = ("pulumi_gcp", "gcsfs", "google.cloud.aiplatform_v1")
    proved_against = (
        "the protobufs of google-cloud-aiplatform, and an emulated Google Cloud with the real engine; no account"
    )
    proofs: Mapping[str, str] = {
        "FeatureStore": "the protobufs; deployed to the emulated Google Cloud by the real engine, rows loaded there",
        "TrainingJob": "custom jobs that really run in the emulated Vertex AI",
        "Endpoint": "real servers behind the emulated Vertex AI, its faults included",
        "DriftMonitor": "the protobufs; its query, on the emulated BigQuery; the native job, on the emulated Vertex AI",
    }
    not_yet: Mapping[str, str] = {
        "DriftMonitor.native=requests that come as V2 tensors": "are not read: Vertex AI's monitor takes `instances`",
    }
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {
        "account": ("acme-ml", "acme-ml-other"),
        "region": ("us-central1", "europe-west4"),
        "network": ({"vpc": "ml", "subnets": ["ml-a"]}, {"vpc": "other", "subnets": ["ml-b"]}),
        "encryption": ({"key": _key("one")}, {"key": _key("other")}),
        "images": (_images("1"), _images("2")),
        "bucket": ("acme-ml-data", "acme-ml-other-data"),
        "tags": ({"cost-center": "ml-1"}, {"cost-center": "ml-2"}),
        "state": ("gs://acme-state", "gs://acme-other-state"),
        "artifacts": ("gs://acme-artifacts/models", "gs://acme-other-artifacts/models"),
    }

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.vertex.bootstrap import GoogleFoundation

        return GoogleFoundation(environment, source)

    def service(self, environment: Environment, repository: Path) -> VertexService:
        """Return the running side."""
        from mlinfra_providers.vertex.service import VertexService

        return VertexService(environment, repository)
