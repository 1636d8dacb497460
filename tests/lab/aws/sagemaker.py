"""SageMaker: https://docs.aws.amazon.com/sagemaker/latest/APIReference; names of the wire from pulumi_aws.sagemaker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.lab.aws.kinds import Account, Kind
from tests.lab.cloud import Refused
from tests.lab.wire import Properties

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class SageMakerKind(Kind):
    """Tags are asked for and changed by ARN; where there is a status, `done` is the one to wait for."""

    service: str = "sagemaker"
    create: str = ""
    read: str = ""
    delete: str = ""
    key: str = ""
    status: str = ""
    done: str = ""
    waits: frozenset[str] = field(default_factory=lambda: frozenset({"Creating", "Updating", "RollingBack", "Pending"}))

    def tags(self, account: Account, id_: str, answer: Properties) -> dict[str, str]:
        arn = answer[self.outputs["arn"]]
        listed = account.call("sagemaker", "ListTags", ResourceArn=arn)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in listed}

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("sagemaker", "DeleteTags", ResourceArn=arn, TagKeys=drop)
        if put:
            tags = [{"Key": key, "Value": value} for key, value in put.items()]
            account.call("sagemaker", "AddTags", ResourceArn=arn, Tags=tags)

    def settled(self, account: Account, id_: str) -> None:
        """Wait as the provider does: an end in another status, or one with a reason, is an error."""
        if not self.status:
            return
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            told: dict[str, Any] = self.found(account, id_) or {}
            if told.get(self.status) not in self.waits:
                break
            time.sleep(POLL_SECONDS)
        reason = told.get("FailureReason")
        if told.get(self.status) != self.done or reason:
            raise Refused(f"waiting for {self.key} {id_!r}: {told.get(self.status)}: {reason or 'no reason given'}")

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        super().removed(account, id_, inputs)
        end = time.monotonic() + WAIT_SECONDS
        while self.status and self.found(account, id_) is not None:
            if time.monotonic() > end:
                raise Refused(f"waiting for the end of {id_!r}")
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class FeatureGroup(SageMakerKind):
    """Features are added in place; the provider replaces the group on any other change of them."""

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        for name in ("onlineStoreConfig", "throughputConfig"):
            if name in names:
                own = {"featureGroupName": id_, name: new[name]}
                parameters, _ = self.translated(own, "UpdateFeatureGroup")
                if "OnlineStoreConfig" in parameters:
                    parameters["OnlineStoreConfig"] = {"TtlDuration": parameters["OnlineStoreConfig"]["TtlDuration"]}
                account.call("sagemaker", "UpdateFeatureGroup", **parameters)


def _kind(type_: str, noun: str, key: str, named: str = "name", **more: Any) -> SageMakerKind:
    """Return a type of which the API has Create, Describe and Delete."""
    shape = more.pop("shape", SageMakerKind)
    renames = {"name": key, **more.pop("renames", {})}
    outputs = {"arn": more.pop("arn", f"{noun}Arn")}
    kind: SageMakerKind = shape(
        token=f"aws:sagemaker/{type_[0].lower()}{type_[1:]}:{type_}",
        create=f"Create{noun}",
        read=f"Describe{noun}",
        delete=f"Delete{noun}",
        key=key,
        named=named,
        renames=renames,
        outputs=outputs,
        **more,
    )
    return kind


_OF_PIPELINE = ("pipelineDisplayName", "pipelineDefinition", "pipelineDefinitionS3Location", "pipelineDescription",
                "parallelismConfiguration", "roleArn")  # fmt: skip
KINDS: list[Kind] = [
    _kind("Model", "Model", "ModelName"),
    _kind("EndpointConfiguration", "EndpointConfig", "EndpointConfigName", renames={"kmsKeyArn": "KmsKeyId"}),
    _kind(
        "Endpoint",
        "Endpoint",
        "EndpointName",
        status="EndpointStatus",
        done="InService",
        changes={"endpointConfigName": "UpdateEndpoint", "deploymentConfig": "UpdateEndpoint"},
    ),
    _kind("ModelPackageGroup", "ModelPackageGroup", "ModelPackageGroupName", named="modelPackageGroupName"),
    _kind(
        "FeatureGroup",
        "FeatureGroup",
        "FeatureGroupName",
        named="featureGroupName",
        shape=FeatureGroup,
        status="FeatureGroupStatus",
        done="Created",
        changes={"onlineStoreConfig": "UpdateFeatureGroup", "throughputConfig": "UpdateFeatureGroup"},
    ),
    _kind(
        "Pipeline",
        "Pipeline",
        "PipelineName",
        named="pipelineName",
        changes=dict.fromkeys(_OF_PIPELINE, "UpdatePipeline"),
    ),
    _kind(
        "MonitoringSchedule",
        "MonitoringSchedule",
        "MonitoringScheduleName",
        status="MonitoringScheduleStatus",
        done="Scheduled",
        changes={"monitoringScheduleConfig": "UpdateMonitoringSchedule"},
    ),
    _kind("DataQualityJobDefinition", "DataQualityJobDefinition", "JobDefinitionName", arn="JobDefinitionArn"),
]
