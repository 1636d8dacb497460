"""SageMaker in the lab, as the scenarios use every target."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlinfra_providers.short_names import short_name
from tests.lab.aws.emulator import REGION, Emulator
from tests.lab.aws.emulator import running as running_aws
from tests.lab.aws.leftovers import leftovers
from tests.lab.project import install
from tests.lab.target import Answered, Fault, Unanswered, values

ACCOUNT = "123456789012"
"""moto's account."""
STATE, ARTIFACTS = "lab-state", "lab-artifacts"
"""The buckets that a team makes before it uses mlinfra."""
LIMIT = 63
"""Of an endpoint's name (botocore: EndpointName)."""
RECORDS = frozenset({"ModelPackage", "TrainingJob"})
"""Versions of a group, and jobs that ended: kept as objects in a bucket are, and no more resources than these."""
JOB_LOGS = "/aws/sagemaker/TrainingJobs"
"""SageMaker makes this group with the account's first training job; every team's jobs write to it
(https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html)."""
SECONDS = 0.3
"""How long a change of an endpoint takes here."""


def _image(kind: str, digit: str) -> str:
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlinfra-{kind}@sha256:{digit * 64}"


class SageMakerTarget:
    """An account of the emulated AWS (`tests.lab.target.Target`)."""

    name = "sagemaker"
    lacks: Mapping[Fault, str] = MappingProxyType({})

    def __init__(self, emulator: Emulator, home: Path) -> None:
        self.emulator = emulator
        self.environment = {**emulator.environment, "PULUMI_HOME": str(home)}
        self.place: Mapping[str, Any] = {
            "account": ACCOUNT,
            "region": REGION,
            "state": f"s3://{STATE}",
            "artifacts": f"s3://{ARTIFACTS}",
            "images": {"serving": _image("serving", "1"), "training": _image("training", "2")},
            "budget": {"monthly_usd": 2000},
        }
        self._by_hand: set[str] = set()
        self._runtime = emulator.client("sagemaker-runtime")
        self._begin()

    def empty(self) -> None:
        """Forget everything but the two buckets, which are empty again."""
        self.emulator.reset()
        self._begin()

    def _begin(self) -> None:
        self.emulator.slow(SECONDS)
        storage = self.emulator.client("s3")
        for bucket in (STATE, ARTIFACTS):
            storage.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Invoke the endpoint; SageMaker says which variant answered, and variants are called like releases."""
        try:
            told = self._runtime.invoke_endpoint(
                EndpointName=called(environment, endpoint), Body=body, ContentType="application/json"
            )
            answer = json.loads(told["Body"].read())
        except (BotoCoreError, ClientError) as error:
            raise Unanswered(str(error)) from error
        return Answered(told["InvokedProductionVariant"], float(answer["outputs"][0]["data"][0]))

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Read the newest offline record of each identifier and event time."""
        group = f"{environment}-{store}"
        told = self.emulator.sagemaker.describe_feature_group(FeatureGroupName=group)
        key = [told["RecordIdentifierFeatureName"], told["EventTimeFeatureName"]]
        records = self.emulator.records()["offline"].get(group, ())
        return values({tuple(record[name] for name in key): record for record in records}.values())

    def there(self) -> Sequence[str]:
        """Return everything but the two buckets, the log of all jobs, what was made by hand, and what is content of
        something else or a record of what ran."""
        own = {f"Bucket {STATE}", f"Bucket {ARTIFACTS}", f"LogGroup {JOB_LOGS}", *self._by_hand}
        return [item for item in leftovers(self.emulator) if item not in own and item.split()[0] not in RECORDS]

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Let a fault happen to the next requests to SageMaker that it concerns."""
        self.emulator.fault(fault.value, times)

    def heal(self) -> None:
        """Let no fault happen any more."""
        self.emulator.no_faults()

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        """Set the weights of variants, as SageMaker's console does."""
        wanted = [{"VariantName": release, "DesiredWeight": float(weight)} for release, weight in weights.items()]
        self._change(called(environment, endpoint), wanted)

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        """Set the instance count of a variant, as SageMaker's console does."""
        self._change(called(environment, endpoint), [{"VariantName": release, "DesiredInstanceCount": machines}])

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Give the endpoint a configuration in which the variant of a release runs the model of the other one."""
        name = called(environment, endpoint)
        api = self.emulator.sagemaker
        serving = self.emulator.settled(name)["EndpointConfigName"]
        configuration = api.describe_endpoint_config(EndpointConfigName=serving)
        variants = configuration["ProductionVariants"]
        models = {variant["VariantName"]: variant["ModelName"] for variant in variants}
        by_hand = f"{serving[:50]}-by-hand"
        # whoever made it in the console removes it there: it has no tag of mlinfra's
        self._by_hand.add(f"EndpointConfig {by_hand}")
        api.create_endpoint_config(
            EndpointConfigName=by_hand,
            ProductionVariants=[
                {**variant, "ModelName": models[other] if variant["VariantName"] == release else variant["ModelName"]}
                for variant in variants
            ],
        )
        api.update_endpoint(EndpointName=name, EndpointConfigName=by_hand, RetainAllVariantProperties=True)
        self.emulator.settled(name)

    def _change(self, name: str, wanted: Sequence[Mapping[str, Any]]) -> None:
        self.emulator.settled(name)
        self.emulator.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=wanted
        )
        self.emulator.settled(name)


def called(environment: str, endpoint: str) -> str:
    """Return what SageMaker calls an endpoint of an environment."""
    return short_name(environment, endpoint, limit=LIMIT)


@contextmanager
def running() -> Iterator[SageMakerTarget]:
    """Start an emulated AWS, and the lab's plugins in a PULUMI_HOME of its own."""
    with running_aws() as emulator, tempfile.TemporaryDirectory(prefix="mlinfra-lab-") as folder:
        home = Path(folder) / "pulumi"
        install(home)
        yield SageMakerTarget(emulator, home)
