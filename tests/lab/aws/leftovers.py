"""What is there in the emulated AWS, asked of it and not of Pulumi: a delete that does nothing is seen only here."""

from __future__ import annotations

from typing import Any

from tests.lab.aws.emulator import Emulator

LISTS = {
    "sagemaker": (
        "Model list_models Models ModelName",
        "EndpointConfig list_endpoint_configs EndpointConfigs EndpointConfigName",
        "Endpoint list_endpoints Endpoints EndpointName",
        "FeatureGroup list_feature_groups FeatureGroupSummaries FeatureGroupName",
        "ModelPackageGroup list_model_package_groups ModelPackageGroupSummaryList ModelPackageGroupName",
        "ModelPackage list_model_packages ModelPackageSummaryList ModelPackageArn",
        "Pipeline list_pipelines PipelineSummaries PipelineName",
        "MonitoringSchedule list_monitoring_schedules MonitoringScheduleSummaries MonitoringScheduleName",
        "TrainingJob list_training_jobs TrainingJobSummaries TrainingJobName",
    ),
    "s3": ("Bucket list_buckets Buckets Name",),
    "iam": ("Role list_roles Roles RoleName", "Policy list_policies(Local) Policies PolicyName"),
    "logs": ("LogGroup describe_log_groups logGroups logGroupName",),
    "cloudwatch": (
        "Alarm describe_alarms MetricAlarms AlarmName",
        "Dashboard list_dashboards DashboardEntries DashboardName",
    ),
    "glue": ("Database get_databases DatabaseList Name",),
    "sns": ("Topic list_topics Topics TopicArn", "Subscription list_subscriptions Subscriptions SubscriptionArn"),
    "events": ("Rule list_rules Rules Name",),
    "scheduler": ("Schedule list_schedules Schedules Name",),
}
"""How each kind is listed: its name here, the call, where the answer has the list, and the name of a thing in it."""


def leftovers(emulator: Emulator) -> list[str]:
    """Return everything that is there and did not come with the account, as `kind name`."""
    found = [
        f"{kind} {item[member]}"
        for service, lists in LISTS.items()
        for text in lists
        for kind, call, listed, member in [text.split()]
        for item in _asked(emulator.client(service), call)[listed]
    ]
    ec2 = emulator.client("ec2")
    found += [f"Vpc {vpc['VpcId']}" for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    ends = ec2.describe_vpc_endpoints()["VpcEndpoints"]  # a deleted one is listed for a while
    found += [f"VpcEndpoint {end['VpcEndpointId']}" for end in ends if end["State"] != "deleted"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    found += [f"SecurityGroup {group['GroupId']}" for group in groups if group["GroupName"] != "default"]
    scaling = emulator.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    found += [f"ScalableTarget {target['ResourceId']}" for target in targets]
    kms = emulator.client("kms")
    for key in kms.list_keys()["Keys"]:
        told = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        if told["KeyState"] != "PendingDeletion" and told["KeyManager"] == "CUSTOMER":
            found.append(f"Key {key['KeyId']}")
    return sorted(found)


def _asked(client: Any, call: str) -> Any:
    name, _, scope = call.partition("(")
    return getattr(client, name)(**({"Scope": scope[:-1]} if scope else {}))
