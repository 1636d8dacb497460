"""The lab's SageMaker in the place of moto's, and the requests that endpoints answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore import xform_name
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from tests.lab.aws.server.faults import Faults
from tests.lab.aws.server.feature_records import FeatureRecords
from tests.lab.aws.server.sagemaker import SageMaker
from tests.lab.aws.server.store import Clock

Answer = tuple[int, dict[str, str], bytes]


class Regions:
    """SageMaker by region, made when it is asked for; `invocations` counts requests by endpoint and variant."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._made: dict[str, SageMaker] = {}
        self.invocations: Counter[str] = Counter()
        self.records = FeatureRecords(faults)

    def __call__(self, region: str) -> SageMaker:
        if region not in self._made:
            self._made[region] = SageMaker(region, self._clock, self._faults)
        return self._made[region]

    def close(self) -> None:
        """Stop every process that serves or trains."""
        for made in self._made.values():
            made.close()

    def reset(self) -> None:
        """Forget everything."""
        self.close()
        self._made.clear()
        self.invocations.clear()
        self.records = FeatureRecords(self._faults)

    def invoke(self, region: str, endpoint: str, body: bytes, given: Any) -> Answer:
        """Let a variant answer, by its share (docs.aws.amazon.com/sagemaker: runtime_InvokeEndpoint)."""
        sagemaker = self(region)
        try:
            wanted = given.get("X-Amzn-SageMaker-Target-Variant", "")
            with sagemaker.store.lock:
                variant, model = sagemaker.endpoints.chosen(endpoint, wanted)
        except ServiceException as refused:
            told = json.dumps({"Message": refused.message}).encode()
            return 400, {"Content-Type": "application/json", "x-amzn-errortype": "ValidationError"}, told
        kind = given.get("Content-Type") or "application/json"
        passed = {name: value for name, value in given.items() if name.lower().startswith("x-mlinfra")}
        status, answer, told_kind = sagemaker.fleet.answer(model, body, {"Content-Type": kind, **passed})
        self.invocations[f"{endpoint}/{variant}"] += 1
        if status >= 400:
            failed = {"OriginalStatusCode": status, "OriginalMessage": answer.decode(errors="replace")}
            headers = {"Content-Type": "application/json", "x-amzn-errortype": "ModelError"}
            return 424, headers, json.dumps(failed).encode()
        sagemaker.capture(endpoint, variant, body, answer, kind)
        return 200, {"Content-Type": told_kind, "x-Amzn-Invoked-Production-Variant": variant}, answer


def install(clock: Clock, faults: Faults) -> Regions:
    """Put the operations into moto's SageMaker and its runtime; return the regions."""
    regions = Regions(clock, faults)

    def answering(name: str) -> Callable[[SageMakerResponse], ActionResult]:
        def answer(self: SageMakerResponse) -> ActionResult:
            body = self.body if isinstance(self.body, str) else self.body.decode()
            return ActionResult(regions(self.region).call(name, json.loads(body or "{}")))

        return answer

    for name in SageMaker("us-east-1", clock, faults).operations:
        setattr(SageMakerResponse, xform_name(name), answering(name))

    def invoke(self: SageMakerRuntimeResponse) -> Answer:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        status, headers, answer = regions.invoke(self.region, self.path.split("/")[2], body, self.headers)
        # where moto looks for it
        return status, headers | {"status": str(status)}, answer

    setattr(SageMakerRuntimeResponse, "invoke_endpoint", invoke)  # noqa: B010  mypy refuses the assignment
    setattr(FakeBucket, "get_permission", _permission)  # noqa: B010
    # moto forgets it where versioning was suspended: a marker is deleted as a version is (DeleteObject)
    setattr(FakeDeleteMarker, "dispose", lambda self, garbage=False: None)  # noqa: B010
    return regions


def _permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    """Judge a request by a bucket's policy. moto reads no conditions: a statement that has one would hold always."""
    if not bucket.policy:  # moto leaves {} where one was deleted
        return PermissionResult.NEUTRAL
    document = json.loads(bucket.policy)
    document["Statement"] = [item for item in document["Statement"] if "Condition" not in item]
    return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)
