"""Wire inputs of pulumi-aws as the arguments of the API that its provider calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.sagemaker.botocore_model import service

OPERATIONS: Mapping[str, tuple[str, str]] = {
    "aws:sagemaker/featureGroup:FeatureGroup": ("sagemaker", "CreateFeatureGroup"),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": ("sagemaker", "CreateModelPackageGroup"),
    "aws:sagemaker/model:Model": ("sagemaker", "CreateModel"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": ("sagemaker", "CreateEndpointConfig"),
    "aws:scheduler/schedule:Schedule": ("scheduler", "CreateSchedule"),
    "aws:cloudwatch/eventRule:EventRule": ("events", "PutRule"),
    "aws:sagemaker/pipeline:Pipeline": ("sagemaker", "CreatePipeline"),
    "aws:appautoscaling/target:Target": ("application-autoscaling", "RegisterScalableTarget"),
    "aws:appautoscaling/policy:Policy": ("application-autoscaling", "PutScalingPolicy"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch", "PutMetricAlarm"),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch", "PutDashboard"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "CreateLogGroup"),
    "aws:iam/role:Role": ("iam", "CreateRole"),
    "aws:iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicy"),
    "aws:kms/alias:Alias": ("kms", "CreateAlias"),
    "aws:kms/key:Key": ("kms", "CreateKey"),
    "aws:sns/topic:Topic": ("sns", "CreateTopic"),
    "aws:glue/catalogDatabase:CatalogDatabase": ("glue", "CreateDatabase"),
}
"""By type: the service and operation that makes it."""

ALIASES: Mapping[str, Mapping[str, str]] = {
    "CreateEndpointConfig": {"name": "EndpointConfigName", "kmsKeyArn": "KmsKeyId"},
    "CreateModel": {"name": "ModelName"},
    "PutScalingPolicy": {"name": "PolicyName"},
    "PutMetricAlarm": {"name": "AlarmName", "metricQueries": "Metrics"},
    "CreateRole": {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
    "PutRolePolicy": {"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"},
    "CreateLogGroup": {"name": "logGroupName"},
    "CreateAlias": {"name": "AliasName"},
    "CreateDatabase": {"name": "DatabaseInput"},
    "MetricDataQuery": {"metric": "MetricStat"},
}
"""By operation or shape: members whose name is not the input's."""

OF_THE_PROVIDER: Mapping[str, set[str]] = {
    "CreateLogGroup": {"retentionInDays"},
    "CreateKey": {"enableKeyRotation", "deletionWindowInDays"},
    "CreateTopic": {"kmsMasterKeyId"},
    "CreateDatabase": {"description"},
}
"""Inputs that the provider gives to another operation, or elsewhere."""
_KEYS = {"Key", "TagKey", "Name"}
"""How a list of pairs calls what is a key in a mapping."""


def arguments(api: str, operation: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operation, by the names that botocore's model has for them."""
    shape = service(api).operation_model(operation).input_shape
    made = _structure(shape, inputs, operation)
    if operation == "CreateDatabase":
        made["DatabaseInput"] = {"Name": inputs["name"], "Description": inputs["description"]}
    return made


def _structure(shape: Any, inputs: Mapping[str, Any], label: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    own = ALIASES.get(label, {})
    for key, value in inputs.items():
        if key in OF_THE_PROVIDER.get(label, ()):
            continue
        name = own.get(key) or next((known for known in shape.members if _alike(known, key)), key)
        made[name] = _value(shape.members[name], value) if name in shape.members else value
    if label == "MetricDataQuery" and "MetricStat" in made:
        made["MetricStat"] = _metric(inputs["metric"])
    return made


def _alike(member: str, key: str) -> bool:
    """Whether a wire name means a member: without case, and without the plural of what Terraform has several of."""
    return member.lower().rstrip("s") == key.lower().rstrip("s")


def _value(shape: Any, value: Any) -> Any:
    if shape.type_name == "list" and isinstance(value, Mapping):
        members = list(getattr(shape.member, "members", ()))
        if len(members) == 2 and members[0] in _KEYS:
            return [{members[0]: key, members[1]: text} for key, text in value.items()]
        return [_value(shape.member, value)]
    if shape.type_name == "list" and isinstance(value, list):
        return [_value(shape.member, item) for item in value]
    if shape.type_name == "structure" and isinstance(value, list):
        return _value(shape, value[0])
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return _structure(shape, value, shape.name)
    return value


def _metric(given: Mapping[str, Any]) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": text} for key, text in given["dimensions"].items()]
    metric = {"Namespace": given["namespace"], "MetricName": given["metricName"], "Dimensions": dimensions}
    return {"Metric": metric, "Period": given["period"], "Stat": given["stat"]}
