"""The adapter of SageMaker: what it refuses, and which file declares which kind."""

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
from mlinfra_providers.sagemaker.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.sagemaker.service import SageMakerService

_PACKAGE = "mlinfra:sagemaker:"


def _images(digit: str) -> dict[str, str]:
    registry = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
    return {kind: f"{registry}/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


class SageMaker:
    """Amazon SageMaker AI, in one account and region."""

    name = "sagemaker"
    proved_against = "botocore's model of the API, and an emulated AWS with the real engine; no account"
    proofs: Mapping[str, str] = {
        "FeatureStore": "botocore's model; deployed to the emulated AWS by the real engine",
        "TrainingJob": "jobs that really run in the emulated SageMaker",
        "Endpoint": "real servers behind the emulated SageMaker, its faults included",
        "DriftMonitor": "botocore's model; measured on its format of captured data",
    }
    not_yet: Mapping[str, str] = {
        "FeatureStore.source": "is named at the feature group; nothing writes the rows yet",
        "FeatureStore.refresh": "is named at the feature group; nothing writes the rows yet",
        "DriftMonitor.on_drift=block-promotion": "is told to the job; promotions do not ask it yet",
    }
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {
        "account": ("111122223333", "444455556666"),
        "region": ("us-east-1", "eu-west-1"),
        "network": (
            {"vpc": "vpc-0a1b2c3d4e5f60001", "subnets": ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]},
            {
                "subnets": ["subnet-0a1b2c3d4e5f60003", "subnet-0a1b2c3d4e5f60004"],
                "security_groups": ["sg-0a1b2c3d4e5f60001"],
            },
        ),
        "encryption": (
            {"key": "arn:aws:kms:us-east-1:111122223333:key/11111111-1111-1111-1111-111111111111"},
            {"key": "arn:aws:kms:us-east-1:111122223333:key/22222222-2222-2222-2222-222222222222"},
        ),
        "images": (_images("1"), _images("2")),
        "bucket": ("acme-ml-data", "acme-ml-other-data"),
        "tags": ({"cost-center": "ml-1"}, {"cost-center": "ml-2"}),
    }

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse what AWS has not, and what is missing or not written as AWS writes it."""
        from mlinfra_providers.sagemaker.refusals import refuse_place

        yield from refuse_foreign(environment, {**self.place, "network": (_NETWORK, _NETWORK)})
        yield from refuse_place(environment)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what SageMaker cannot do, with a reason and a way out."""
        from mlinfra_providers.sagemaker.refusals import refuse_part

        return refuse_part(part, environment)

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says, or the table of AWS's types."""
        from mlinfra_providers.sagemaker.replacing import REPLACED_BY
        from mlinfra_providers.sagemaker.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].immutable if name in HANDLERS else REPLACED_BY.get(type_token)

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        from mlinfra_providers.sagemaker.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].kept if name in HANDLERS else frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what those who read a feature group would lose; what its columns lose is said by their handler."""
        from mlinfra_providers.sagemaker.replacing import lost_online_store
        from mlinfra_providers.sagemaker.resources import HANDLERS

        if type_token == "aws:sagemaker/featureGroup:FeatureGroup":
            return lost_online_store(before, after)
        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name](Path()).loses(before, after) if name in HANDLERS else None

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share: key, bucket, network, alarms, budget."""
        from mlinfra_providers.sagemaker import around

        return around.surround(parts, links)

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources."""
        from mlinfra_providers.sagemaker import drift_monitor, endpoint, feature_store, model_registry, training_job

        declare: dict[type[Part], Callable[[ResolvedPart, Links], Links]] = {
            FeatureStore: feature_store.declare,
            TrainingJob: training_job.declare,
            ModelRegistry: model_registry.declare,
            Endpoint: endpoint.declare,
            DriftMonitor: drift_monitor.declare,
        }
        return declare[type(part.part)](part, links)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra `aws`."""
        missing = [name for name in ("pulumi_aws", "boto3", "s3fs") if find_spec(name) is None]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", "pip install 'mlinfra-toolkit[aws]'"
        else:
            yield True, "every package of the extra aws is installed", ""

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.sagemaker.bootstrap import AwsFoundation

        return AwsFoundation(environment, source)

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Ask about credentials, region, stores, permissions and quotas; change nothing."""
        from mlinfra_providers.sagemaker.doctor import examine

        return examine(environment, parts)

    def service(self, environment: Environment, repository: Path) -> SageMakerService:
        """Return the running side."""
        from mlinfra_providers.sagemaker.service import SageMakerService

        return SageMakerService(environment, repository)


_NETWORK = dict.fromkeys(("vpc", "subnets", "security_groups"))
