"""DriftMonitor: the drift job of the serving image, a pipeline of one step that EventBridge starts on its schedule.

SageMaker's own Model Monitor has none of the measures, and its documentation announces that it takes no new customers
from July 2026 on (https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor.html). The container has no network:
SageMaker brings it what was captured, the baseline and the thresholds, and takes the report. A run that finds drift
fails; that is told to the environment's topic.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra.releases import Release
from mlinfra_providers.sagemaker.around import data_uri, tree_uri
from mlinfra_providers.sagemaker.endpoint import capture_uri
from mlinfra_providers.sagemaker.machines import machine
from mlinfra_providers.sagemaker.naming import PIPELINE_LIMIT, SCHEDULE_LIMIT, arn, name, options, physical_name
from mlinfra_providers.sagemaker.roles import (
    allow,
    in_the_network,
    logging,
    pulling,
    reading,
    role,
    role_arn,
    writing,
)
from mlinfra_providers.sagemaker.storage import bucket_name
from mlinfra_providers.tags import tags_of

NEED = Compute(cpus=2, memory_gib=8)
VOLUME_GIB = 50
RUN_SECONDS = 1800
MINUTE = 60
_MOUNTED = "/opt/ml/processing"


def rate(every: str) -> str | None:
    """Return how EventBridge Scheduler writes an interval, or None: it takes whole minutes."""
    minutes, rest = divmod(seconds(every), MINUTE)
    return None if rest or minutes < 1 else f"rate({minutes:g} minute{'s' if minutes > 1 else ''})"


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the role; when a release serves, the thresholds, the job, its schedule, and who is told of drift."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    environment, around, endpoint = links.environment, links.around, links.of(monitor.endpoint)
    assert environment.images is not None
    release: Release | None = endpoint["release"]
    called = name(environment.name, monitor, "drift", limit=PIPELINE_LIMIT)
    thresholds = {column: check.spec() for column, check in sorted(monitor.thresholds.items())}
    key = f"{environment.name}/thresholds/{physical_name(monitor)}-{short(digest_json(thresholds))}"
    sources = {"thresholds": f"s3://{bucket_name(environment)}/{key}"}
    if release is not None:
        sources["baseline"] = tree_uri(environment, release.identity.baseline)
        sources["captured"] = f"{capture_uri(monitor.endpoint, links)}/{endpoint['name']}/{release.short}"
    reports = data_uri(environment, "monitors", physical_name(monitor))
    owner = role(
        part,
        links,
        "monitor",
        [
            *reading(environment, *sources.values()),
            *writing(environment, reports),
            *around.using_key,
            *pulling(environment, environment.images.serving),
            *logging(environment, "/aws/sagemaker/ProcessingJobs"),
            *in_the_network(),
        ],
    )
    if release is None:
        return links.giving(part)
    stored = aws.s3.BucketObject(
        monitor.name,
        bucket=around.bucket,
        key=f"{key}/thresholds.json",
        content=json.dumps(thresholds, sort_keys=True),
        content_type="application/json",
        kms_key_id=around.key,
        tags=tags_of(environment, part),
        opts=options(links, depends_on=[*around.made]),
    )
    step = {"Name": "drift", "Type": "Processing", "Arguments": _step(part, links, release, sources, reports)}
    declared = {**monitor.spec(), "endpoint": endpoint["name"], "release": release.short}
    pipeline = aws.sagemaker.Pipeline(
        f"{monitor.name}-drift",
        pipeline_name=called,
        pipeline_display_name=called,
        pipeline_description=f"mlinfra: {part.key} in {environment.name}",
        pipeline_definition=pulumi.Output.json_dumps(
            {"Version": "2020-12-01", "Metadata": {"mlinfra": declared}, "Steps": [step]}, sort_keys=True
        ),
        role_arn=owner.arn,
        # subnets and key may not be known yet, and the definition with them; what it is for is
        tags={
            **tags_of(environment, part),
            "mlinfra:definition": short(digest_json(_known(declared, environment.images.serving))),
            "mlinfra:endpoint": endpoint["name"],
        },
        opts=options(links, depends_on=[*owner.made, endpoint["resource"], stored]),
    )
    _schedule(part, links, called, pipeline)
    _tell(part, links, called)
    return links.giving(part, resource=pipeline)


def _known(declared: dict[str, Any], image: str) -> dict[str, Any]:
    return {**declared, "image": image}


def _step(part: ResolvedPart, links: Links, release: Release, sources: dict[str, str], reports: str) -> dict[str, Any]:
    """Return the arguments of CreateProcessingJob."""
    monitor, around, images = part.part, links.around, links.environment.images
    assert isinstance(monitor, DriftMonitor)
    assert images is not None
    return {
        "AppSpecification": {
            "ImageUri": images.serving,
            "ContainerEntrypoint": ["python", "-m", "mlinfra_serving.drift.sagemaker"],
            "ContainerArguments": [
                "--folder", _MOUNTED,
                "--endpoint", links.of(monitor.endpoint)["name"],
                "--release", release.short,
                "--window", monitor.every,
                "--on-drift", monitor.on_drift,
            ],
        },
        "RoleArn": role_arn(part, links, "monitor"),
        "ProcessingInputs": [_input(label, uri) for label, uri in sorted(sources.items())],
        "ProcessingOutputConfig": {
            "KmsKeyId": around.key,
            "Outputs": [
                {
                    "OutputName": "reports",
                    "S3Output": {
                        "S3Uri": reports,
                        "LocalPath": f"{_MOUNTED}/reports",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ],
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": machine(NEED).name,
                "VolumeSizeInGB": VOLUME_GIB,
                "VolumeKmsKeyId": around.key,
            }
        },
        "NetworkConfig": {
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
            "VpcConfig": {"Subnets": list(around.subnets), "SecurityGroupIds": list(around.security_groups)},
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": RUN_SECONDS},
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags_of(links.environment, part).items())],
    }  # fmt: skip


def _input(label: str, uri: str) -> dict[str, Any]:
    source = {
        "S3Uri": uri,
        "LocalPath": f"{_MOUNTED}/{label}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"InputName": label, "S3Input": source}


def _schedule(part: ResolvedPart, links: Links, called: str, pipeline: aws.sagemaker.Pipeline) -> None:
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    meant = arn(environment, "sagemaker", f"pipeline/{called}")
    starter = role(
        part,
        links,
        "scheduler",
        [allow(["sagemaker:StartPipelineExecution"], [meant]), *links.around.using_key],
        service="scheduler.amazonaws.com",
    )
    aws.scheduler.Schedule(
        monitor.name,
        name=name(environment.name, monitor, "drift", limit=SCHEDULE_LIMIT),
        description=f"mlinfra: {part.key} in {environment.name}",
        schedule_expression=rate(monitor.every) or "",
        flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
        kms_key_arn=links.around.key,
        target=aws.scheduler.ScheduleTargetArgs(arn=pipeline.arn, role_arn=starter.arn),
        opts=options(links, depends_on=[*starter.made]),
    )


def _tell(part: ResolvedPart, links: Links, called: str) -> None:
    """Register who is told when a run fails: it found drift, or could not be done.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    environment = links.environment
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
        "detail": {
            "pipelineArn": [arn(environment, "sagemaker", f"pipeline/{called}")],
            "currentPipelineExecutionStatus": ["Failed"],
        },
    }
    rule = aws.cloudwatch.EventRule(
        f"{part.part.name}-drift",
        name=name(environment.name, part.part, "drift", limit=SCHEDULE_LIMIT),
        description=f"mlinfra: {part.key} in {environment.name} found drift, or could not look for it",
        event_pattern=json.dumps(pattern),
        tags=tags_of(environment, part),
        opts=options(links),
    )
    aws.cloudwatch.EventTarget(
        f"{part.part.name}-drift", rule=rule.name, arn=links.around.topic, opts=options(links, depends_on=[rule])
    )
