"""What replaces a resource of AWS: the inputs that the provider cannot change.

Source: `ForceNew` in the schemas of terraform-provider-aws (internal/service/*), which pulumi-aws is made of. A type
with an empty set is never replaced by a change of what is declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlinfra.diff import property_changes

_NONE: frozenset[str] = frozenset()


def _of(*inputs: str) -> frozenset[str]:
    return frozenset(inputs)


REPLACED_BY: Mapping[str, frozenset[str]] = {
    "aws:appautoscaling/policy:Policy": _of("name", "resourceId", "scalableDimension", "serviceNamespace"),
    "aws:appautoscaling/target:Target": _of("resourceId", "scalableDimension", "serviceNamespace"),
    "aws:budgets/budget:Budget": _of("name"),
    "aws:cloudwatch/dashboard:Dashboard": _of("dashboardName"),
    "aws:cloudwatch/eventRule:EventRule": _of("eventBusName", "name"),
    "aws:cloudwatch/eventTarget:EventTarget": _of("eventBusName", "rule", "targetId"),
    "aws:cloudwatch/logGroup:LogGroup": _of("name"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _of("name"),
    "aws:ec2/routeTable:RouteTable": _of("vpcId"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _of("subnetId"),
    "aws:ec2/securityGroup:SecurityGroup": _of("description", "name", "vpcId"),
    "aws:ec2/subnet:Subnet": _of("availabilityZone", "cidrBlock", "vpcId"),
    "aws:ec2/vpc:Vpc": _of("cidrBlock"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _of("serviceName", "vpcEndpointType", "vpcId"),
    "aws:glue/catalogDatabase:CatalogDatabase": _of("name"),
    "aws:iam/role:Role": _of("name"),
    "aws:iam/rolePolicy:RolePolicy": _of("name", "role"),
    "aws:kms/alias:Alias": _of("name"),
    "aws:kms/key:Key": _NONE,
    "aws:s3/bucket:Bucket": _of("bucket"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _of("bucket"),
    "aws:s3/bucketObject:BucketObject": _of("bucket", "key"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _of("bucket"),
    "aws:s3/bucketPolicy:BucketPolicy": _of("bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _of("bucket"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _of("bucket"),
    "aws:s3/bucketVersioning:BucketVersioning": _of("bucket"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _of(
        "asyncInferenceConfig", "dataCaptureConfig", "kmsKeyArn", "name", "productionVariants",
        "shadowProductionVariants",
    ),
    "aws:sagemaker/featureGroup:FeatureGroup": _of(
        "description", "eventTimeFeatureName", "featureGroupName", "offlineStoreConfig",
        "recordIdentifierFeatureName", "roleArn",
    ),
    "aws:sagemaker/model:Model": _of(
        "containers", "enableNetworkIsolation", "executionRoleArn", "name", "primaryContainer", "vpcConfig",
    ),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": _of("modelPackageGroupDescription", "modelPackageGroupName"),
    "aws:sagemaker/pipeline:Pipeline": _of("pipelineName"),
    "aws:scheduler/schedule:Schedule": _of("groupName", "name"),
    "aws:sns/topic:Topic": _of("name"),
    "aws:sns/topicPolicy:TopicPolicy": _of("arn"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _of("securityGroupId"),
}  # fmt: skip


def replaced_by(type_token: str) -> frozenset[str] | None:
    """Return the inputs whose change replaces a resource of this type; None where that is not known."""
    return REPLACED_BY.get(type_token)


def loses(type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what those who read a feature group would lose by a change."""
    return lost_online_store(before, after) if type_token == "aws:sagemaker/featureGroup:FeatureGroup" else None


def lost_online_store(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what a change of the online store would take: all but its time to live replaces the whole group.

    What is not known before it is made (the key's ARN, in a plan) is taken to stay what it was.
    """
    old, new = ({"store": _but_ttl(inputs.get("onlineStoreConfig"))} for inputs in (before, after))
    name = after.get("featureGroupName")
    return (
        f"{name} would be made anew, and its rows lost: its online store changes"
        if property_changes(old, new)
        else None
    )


def _but_ttl(config: Any) -> Any:
    return {key: value for key, value in config.items() if key != "ttlDuration"} if config else None
