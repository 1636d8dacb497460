"""The adapter of SageMaker: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra_providers.by_file import AdapterByFile
from mlinfra_providers.sagemaker.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.sagemaker.service import SageMakerService


def _images(digit: str) -> dict[str, str]:
    registry = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
    return {kind: f"{registry}/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


class SageMaker(AdapterByFile):
    """Amazon SageMaker AI, in one account and region."""

    name = "sagemaker"
    extra = "aws"
    packages = ("pulumi_aws", "boto3", "s3fs")
    proved_against = "botocore's model of the API, and an emulated AWS with the real engine; no account"
    proofs: Mapping[str, str] = {
        "FeatureStore": "botocore's model; deployed to the emulated AWS by the real engine, rows written there",
        "TrainingJob": "jobs that really run in the emulated SageMaker",
        "Endpoint": "real servers behind the emulated SageMaker, its faults included",
        "DriftMonitor": "botocore's model; measured on its format of captured data",
    }
    not_yet: Mapping[str, str] = {}
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

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        return find_machine(need)

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.sagemaker.bootstrap import AwsFoundation

        return AwsFoundation(environment, source)

    def service(self, environment: Environment, repository: Path) -> SageMakerService:
        """Return the running side."""
        from mlinfra_providers.sagemaker.service import SageMakerService

        return SageMakerService(environment, repository)


_NETWORK = dict.fromkeys(("vpc", "subnets", "security_groups"))
