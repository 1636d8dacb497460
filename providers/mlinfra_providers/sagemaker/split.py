"""The split of an endpoint, at SageMaker, and what is remembered with it, in the environment's bucket.

SageMaker keeps weights and nothing else. So what is remembered (generation and rollout) is written first, with the
weights that are meant, on the condition that nobody wrote in between; then the weights are set. Whoever reads finds
the weights in force, and the newer wish beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.sagemaker.clients import Clients, done_already_is_fine, explained, is_gone
from mlinfra_providers.sagemaker.endpoint_api import describe, settled

_TOTAL = 100


@dataclass(frozen=True)
class Remembered:
    """What the bucket holds: the newest wish."""

    generation: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    rollout: Mapping[str, Any] | None = None
    version: str | None = None


@dataclass(frozen=True)
class InForce:
    """The weights in force, whole percent by release, and what is remembered with them."""

    weights: Mapping[str, int]
    generation: int
    rollout: Mapping[str, Any] | None
    endpoint: Mapping[str, Any]


class Split:
    """One endpoint's split."""

    def __init__(self, clients: Clients, endpoint: str, bucket: str, record: str) -> None:
        self._clients = clients
        self._endpoint = endpoint
        self._bucket = bucket
        self._record = record

    def observe(self) -> InForce | None:
        """Return what is in force, or None where there is no endpoint."""
        found = describe(self._clients("sagemaker"), self._endpoint)
        if found is None:
            return None
        kept = self.remembered()
        return InForce(percentages(found), kept.generation, kept.rollout, found)

    def remembered(self) -> Remembered:
        """Return what the bucket holds; nothing before the first split."""
        from botocore.exceptions import ClientError

        with explained(f"reading {self._record}"):
            try:
                answer = self._clients("s3").get_object(Bucket=self._bucket, Key=self._record)
            except ClientError as error:
                if is_gone(error):
                    return Remembered()
                raise
            kept = json.loads(answer["Body"].read())
        return Remembered(kept["generation"], kept["weights"], kept["rollout"], answer["ETag"])

    def set(self, weights: Mapping[str, int], generation: int, rollout: Mapping[str, Any] | None) -> None:
        """Set the split.

        Raises:
            Refused: the generation is not newer, or somebody else wrote in between.
            MlinfraError: a release has no variant, or SageMaker did not take the weights.
        """
        api = self._clients("sagemaker")
        known = self.remembered()
        if generation <= known.generation:
            raise Refused(
                f"{self._endpoint}: generation {generation} is not newer than {known.generation}",
                remedy="somebody else shifted meanwhile: look at mlinfra status",
            )
        found = settled(api, self._endpoint)
        variants = [item["VariantName"] for item in found["ProductionVariants"]]
        if missing := sorted(set(weights) - set(variants)):
            raise MlinfraError(f"{self._endpoint}: no variant for {', '.join(missing)}", remedy="mlinfra up deploys it")
        self._remember(weights, generation, rollout, known.version)
        if percentages(found) == {variant: weights.get(variant, 0) for variant in variants}:
            return
        wanted = [{"VariantName": variant, "DesiredWeight": float(weights.get(variant, 0))} for variant in variants]
        with explained(f"shifting {self._endpoint}"), done_already_is_fine():
            api.update_endpoint_weights_and_capacities(EndpointName=self._endpoint, DesiredWeightsAndCapacities=wanted)
        after = percentages(settled(api, self._endpoint))
        if after != {variant: weights.get(variant, 0) for variant in variants}:
            raise MlinfraError(f"{self._endpoint}: SageMaker did not take the weights; in force are {after}")

    def forget(self) -> None:
        """Remove what is remembered."""
        with explained(f"removing {self._record}"):
            self._clients("s3").delete_object(Bucket=self._bucket, Key=self._record)

    def _remember(
        self, weights: Mapping[str, int], generation: int, rollout: Mapping[str, Any] | None, version: str | None
    ) -> None:
        from botocore.exceptions import ClientError

        body = json.dumps({"generation": generation, "weights": dict(weights), "rollout": rollout}, sort_keys=True)
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        with explained(f"writing {self._record}"):
            try:
                self._clients("s3").put_object(
                    Bucket=self._bucket,
                    Key=self._record,
                    Body=body.encode(),
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise Refused(
                        f"{self._endpoint}: somebody else shifted at the same time", remedy="look at mlinfra status"
                    ) from error
                raise


def percentages(endpoint: Mapping[str, Any]) -> dict[str, int]:
    """Return the share of each variant in whole percent: weights are relative to their sum."""
    weights = {
        item["VariantName"]: float(item.get("CurrentWeight", 0)) for item in endpoint.get("ProductionVariants", ())
    }
    total = sum(weights.values())
    return {variant: round(_TOTAL * weight / total) if total else 0 for variant, weight in weights.items()}
