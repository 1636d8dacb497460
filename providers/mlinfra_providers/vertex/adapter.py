"""The adapter of Vertex AI: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem
from mlinfra_providers.vertex.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.vertex.service import VertexService

_PACKAGE = "mlinfra:vertex:"


def _images(digit: str) -> dict[str, str]:
    registry = "us-central1-docker.pkg.dev/acme-ml/images"
    return {kind: f"{registry}/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


def _key(name: str) -> str:
    return f"projects/acme-ml/locations/us-central1/keyRings/ml/cryptoKeys/{name}"


class Vertex:
    """Google's Vertex AI, in one project and region."""

    name = "vertex"
    proved_against = (
        "the protobufs of google-cloud-aiplatform, and an emulated Google Cloud with the real engine; no account"
    )
    proofs: Mapping[str, str] = {
        "FeatureStore": "the protobufs; deployed to the emulated Google Cloud by the real engine",
        "TrainingJob": "custom jobs that really run in the emulated Vertex AI",
        "Endpoint": "real servers behind the emulated Vertex AI, its faults included",
        "DriftMonitor": "the protobufs; its query of BigQuery was never asked",
    }
    not_yet: Mapping[str, str] = {
        "FeatureStore.source": "is named at the table; nothing writes the rows yet",
        "FeatureStore.refresh": "is when rows go online; nothing writes them yet",
        "Endpoint.rollout.label_delay": "labels are not joined with requests yet: a gate of quality has no data",
        "DriftMonitor.on_drift=block-promotion": "is told to the job; promotions do not ask it yet",
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

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse what Google has not, and what is missing or not written as Google writes it."""
        from mlinfra_providers.vertex.refusals import refuse_place

        yield from refuse_foreign(environment, self.place)
        yield from refuse_place(environment)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what Vertex AI cannot do, with a reason and a way out."""
        from mlinfra_providers.vertex.refusals import refuse_part

        return refuse_part(part, environment)

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says, or the table of Google's types."""
        from mlinfra_providers.vertex.replacing import REPLACED_BY
        from mlinfra_providers.vertex.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].immutable if name in HANDLERS else REPLACED_BY.get(type_token)

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        from mlinfra_providers.vertex.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].kept if name in HANDLERS else frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what those who read a table of features would lose."""
        from mlinfra_providers.vertex.replacing import lost_columns

        return lost_columns(before, after) if type_token == "gcp:bigquery/table:Table" else None

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share: key, bucket, datasets, network, logs, alarms, budget."""
        from mlinfra_providers.vertex import around

        return around.surround(parts, links)

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources."""
        from mlinfra_providers.vertex import drift_monitor, endpoint, feature_store, model_registry, training_job

        declare: dict[type[Part], Callable[[ResolvedPart, Links], Links]] = {
            FeatureStore: feature_store.declare,
            TrainingJob: training_job.declare,
            ModelRegistry: model_registry.declare,
            Endpoint: endpoint.declare,
            DriftMonitor: drift_monitor.declare,
        }
        return declare[type(part.part)](part, links)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra `gcp`."""
        missing = [name for name in ("pulumi_gcp", "gcsfs") if find_spec(name) is None]
        missing += [] if _has_aiplatform() else ["google.cloud.aiplatform_v1"]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", "pip install 'mlinfra-toolkit[gcp]'"
        else:
            yield True, "every package of the extra gcp is installed", ""

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.vertex.bootstrap import GoogleFoundation

        return GoogleFoundation(environment, source)

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Ask about credentials, region, stores, permissions and quotas; change nothing."""
        from mlinfra_providers.vertex.doctor import examine

        return examine(environment, parts)

    def service(self, environment: Environment, repository: Path) -> VertexService:
        """Return the running side."""
        from mlinfra_providers.vertex.service import VertexService

        return VertexService(environment, repository)


def _has_aiplatform() -> bool:
    # google.cloud is a namespace that other distributions have, too: to look inside it, it must be there
    try:
        return find_spec("google.cloud.aiplatform_v1") is not None
    except ModuleNotFoundError:
        return False
