"""What is there in the emulated AWS, asked of it and not of Pulumi: a delete that does nothing is seen only here."""

from __future__ import annotations

from typing import Any

from tests.lab.aws.emulator import Emulator

LISTS = {
    "sagemaker": (
        "list_models:Models:ModelName",
        "list_endpoint_configs:EndpointConfigs:EndpointConfigName",
        "list_endpoints:Endpoints:EndpointName",
        "list_feature_groups:FeatureGroupSummaries:FeatureGroupName",
        "list_model_package_groups:ModelPackageGroupSummaryList:ModelPackageGroupName",
        "list_model_packages:ModelPackageSummaryList:ModelPackageArn",
        "list_pipelines:PipelineSummaries:PipelineName",
        "list_monitoring_schedules:MonitoringScheduleSummaries:MonitoringScheduleName",
        "list_training_jobs:TrainingJobSummaries:TrainingJobName",
    ),
    "s3": ("list_buckets:Buckets:Name",),
    "iam": ("list_roles:Roles:RoleName", "list_policies(Local):Policies:PolicyName"),
    "logs": ("describe_log_groups:logGroups:logGroupName",),
    "cloudwatch": ("describe_alarms:MetricAlarms:AlarmName", "list_dashboards:DashboardEntries:DashboardName"),
    "glue": ("get_databases:DatabaseList:Name",),
    "sns": ("list_topics:Topics:TopicArn", "list_subscriptions:Subscriptions:SubscriptionArn"),
    "events": ("list_rules:Rules:Name",),
    "scheduler": ("list_schedules:Schedules:Name",),
}


def leftovers(emulator: Emulator) -> list[str]:
    """Return everything that is there and did not come with the account, as `service name`."""
    found = [
        f"{service} {item[member]}"
        for service, lists in LISTS.items()
        for text in lists
        for call, listed, member in [text.split(":")]
        for item in _asked(emulator.client(service), call)[listed]
    ]
    ec2 = emulator.client("ec2")
    found += [f"ec2 {vpc['VpcId']}" for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    ends = ec2.describe_vpc_endpoints()["VpcEndpoints"]  # a deleted one is listed for a while
    found += [f"ec2 {end['VpcEndpointId']}" for end in ends if end["State"] != "deleted"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    found += [f"ec2 {group['GroupId']}" for group in groups if group["GroupName"] != "default"]
    scaling = emulator.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    found += [f"application-autoscaling {target['ResourceId']}" for target in targets]
    kms = emulator.client("kms")
    for key in kms.list_keys()["Keys"]:
        told = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        if told["KeyState"] != "PendingDeletion" and told["KeyManager"] == "CUSTOMER":
            found.append(f"kms {key['KeyId']}")
    return sorted(found)


def _asked(client: Any, call: str) -> Any:
    name, _, scope = call.partition("(")
    return getattr(client, name)(**({"Scope": scope[:-1]} if scope else {}))
