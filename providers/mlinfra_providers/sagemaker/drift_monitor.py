"""DriftMonitor: a monitoring schedule whose container is the serving image, with mlinfra's own measures.

SageMaker hands the container the captured requests of the window, the baseline, and a place for results:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html. The container has no network.
"""

from __future__ import annotations

import json

import pulumi_aws as aws
from pulumi_aws.sagemaker import MonitoringSchedule
from pulumi_aws.sagemaker import MonitoringScheduleMonitoringScheduleConfigArgs as Config
from pulumi_aws.sagemaker import MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionArgs as JobDefinition
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionBaselineArgs as Baseline,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionBaselineConstraintsResourceArgs as Constraints,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionBaselineStatisticsResourceArgs as Statistics,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringAppSpecificationArgs as Program,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringInputsArgs as Inputs,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringInputsEndpointInputArgs as EndpointInput,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringOutputConfigArgs as OutputConfig,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringOutputConfigMonitoringOutputsArgs as Output,  # noqa: E501
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringOutputConfigMonitoringOutputsS3OutputArgs as S3Output,  # noqa: E501
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringResourcesArgs as MonitoringResources,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionMonitoringResourcesClusterConfigArgs as Cluster,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionNetworkConfigArgs as NetworkConfig,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionNetworkConfigVpcConfigArgs as VpcConfig,
)
from pulumi_aws.sagemaker import (
    MonitoringScheduleMonitoringScheduleConfigMonitoringJobDefinitionStoppingConditionArgs as Stopping,
)
from pulumi_aws.sagemaker import MonitoringScheduleMonitoringScheduleConfigScheduleConfigArgs as ScheduleConfig

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra_providers.sagemaker.around import data_uri, tree_uri
from mlinfra_providers.sagemaker.endpoint import capture_uri
from mlinfra_providers.sagemaker.machines import machine
from mlinfra_providers.sagemaker.naming import name, options, physical_name
from mlinfra_providers.sagemaker.roles import in_the_network, logging, measuring, pulling, reading, role, writing
from mlinfra_providers.sagemaker.storage import bucket_name
from mlinfra_providers.sagemaker.watching import drift_alarm
from mlinfra_providers.tags import tags_of

HOUR = 3600
MOST_HOURS = 24
NEED = Compute(cpus=2, memory_gib=8)
VOLUME_GIB = 20
RUN_SECONDS = 1800
METRICS = "/aws/sagemaker/Endpoints/data-metrics"
_MOUNTED = "/opt/ml/processing"


def schedule_expression(every: str) -> str | None:
    """Return a schedule that SageMaker takes, or None: it takes whole hours, 1 to 24.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
    """
    hours, rest = divmod(seconds(every), HOUR)
    if rest or not 1 <= hours <= MOST_HOURS:
        return None
    if hours == 1:
        return "cron(0 * ? * * *)"
    return "cron(0 0 ? * * *)" if hours == MOST_HOURS else f"cron(0 0/{hours:g} ? * * *)"


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the role, the thresholds, the schedule and its alarm; the last three when a release serves."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    environment, around, endpoint = links.environment, links.around, links.of(monitor.endpoint)
    assert environment.images is not None
    release = endpoint["release"]
    reports = data_uri(environment, "monitors", physical_name(monitor))
    captured = capture_uri(monitor.endpoint, links)
    baseline = tree_uri(environment, release.identity.baseline) if release else None
    owner = role(
        part,
        links,
        "monitor",
        [
            *reading(environment, captured, *([baseline] if baseline else [])),
            *writing(environment, reports),
            *around.using_key,
            *pulling(environment, environment.images.serving),
            *logging(environment, "/aws/sagemaker/ProcessingJobs"),
            *measuring(METRICS),
            *in_the_network(),
        ],
    )
    if release is None:
        return links.giving(part)
    called = name(environment.name, monitor)
    thresholds_key, thresholds = _thresholds(part, links)
    schedule = MonitoringSchedule(
        monitor.name,
        name=called,
        monitoring_schedule_config=Config(
            monitoring_type="DataQuality",
            schedule_config=ScheduleConfig(schedule_expression=schedule_expression(monitor.every) or ""),
            monitoring_job_definition=JobDefinition(
                role_arn=owner.arn,
                monitoring_app_specification=Program(
                    image_uri=environment.images.serving,
                    container_entrypoints=["python", "-m", "mlinfra_serving.drift.sagemaker"],
                ),
                baseline=Baseline(
                    statistics_resource=Statistics(s3_uri=f"{baseline}/profile.json"),
                    constraints_resource=Constraints(s3_uri=f"s3://{bucket_name(environment)}/{thresholds_key}"),
                ),
                monitoring_inputs=Inputs(
                    endpoint_input=EndpointInput(
                        endpoint_name=endpoint["name"],
                        local_path=f"{_MOUNTED}/captured",
                        s3_input_mode="File",
                        s3_data_distribution_type="FullyReplicated",
                    )
                ),
                monitoring_output_config=OutputConfig(
                    kms_key_id=around.key,
                    monitoring_outputs=Output(
                        s3_output=S3Output(local_path=f"{_MOUNTED}/results", s3_uri=reports, s3_upload_mode="EndOfJob")
                    ),
                ),
                monitoring_resources=MonitoringResources(
                    cluster_config=Cluster(
                        instance_count=1,
                        instance_type=machine(NEED).name,
                        volume_size_in_gb=VOLUME_GIB,
                        volume_kms_key_id=around.key,
                    )
                ),
                network_config=NetworkConfig(
                    enable_network_isolation=True,
                    enable_inter_container_traffic_encryption=True,
                    vpc_config=VpcConfig(subnets=list(around.subnets), security_group_ids=list(around.security_groups)),
                ),
                stopping_conditions=[Stopping(max_runtime_in_seconds=RUN_SECONDS)],
                environment={
                    "MLINFRA_DRIFT_RELEASE": release.short,
                    "MLINFRA_DRIFT_ON_DRIFT": monitor.on_drift,
                },
            ),
        ),
        tags=tags_of(environment, part),
        opts=options(links, depends_on=[*owner.made, endpoint["resource"], thresholds]),
    )
    drift_alarm(part, links, endpoint["name"], called)
    return links.giving(part, resource=schedule)


def _thresholds(part: ResolvedPart, links: Links) -> tuple[str, aws.s3.BucketObject]:
    """Register the thresholds as an object: they are longer than an argument of a container may be."""
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    document = {column: check.spec() for column, check in sorted(monitor.thresholds.items())}
    key = f"{environment.name}/thresholds/{physical_name(monitor)}-{short(digest_json(document))}.json"
    made = aws.s3.BucketObject(
        monitor.name,
        bucket=links.around.bucket,
        key=key,
        content=json.dumps(document, sort_keys=True),
        content_type="application/json",
        kms_key_id=links.around.key,
        tags=tags_of(environment, part),
        opts=options(links, depends_on=[*links.around.made]),
    )
    return key, made
