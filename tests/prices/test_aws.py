"""AWS: amounts computed by hand from the list prices that are shipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.prices.book import Key, Price
from mlinfra.prices.estimate import Estimate
from mlinfra.prices.types.aws_sagemaker_jobs import runs_a_month
from mlinfra.resources import UNKNOWN, Resource

Estimator = Callable[..., Estimate]
Make = Callable[..., Resource]

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
TARGET = "aws:appautoscaling/target:Target"
TRAINING = "aws:sagemaker/trainingJob:TrainingJob"
SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"
US = {"region": "us-east-1"}
M5 = {"variantName": "a", "instanceType": "ml.m5.xlarge", "initialInstanceCount": 1}


def endpoint(make: Make, *variants: Mapping[str, Any], **more: Any) -> list[Resource]:
    configuration = make(CONFIGURATION, {**US, "name": "c", "productionVariants": list(variants), **more}, "c")
    return [configuration, make(ENDPOINT, {**US, "name": "e", "endpointConfigName": "c"}, "e")]


def target(make: Make, low: Any, high: Any, resource_id: Any = "endpoint/e/variant/a", **more: Any) -> Resource:
    inputs = {"resourceId": resource_id, "minCapacity": low, "maxCapacity": high}
    return make(TARGET, {"scalableDimension": "sagemaker:variant:DesiredInstanceCount", **inputs}, "t", **more)


def monthly(found: Estimate) -> dict[str, float]:
    assert found.monthly is not None, found.unpriced
    return found.monthly.to_json()


def same(amount: float) -> dict[str, float]:
    return {"low": amount, "likely": amount, "high": amount}


def test_an_endpoint_costs_its_instances_around_the_clock(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, {**M5, "initialInstanceCount": 2}))
    assert monthly(found) == same(335.80)  # 2 x 0.23 x 730
    assert found.idle == Decimal("335.80")
    assert not found.unpriced


def test_variants_and_shadow_variants_are_all_paid_for(make: Make, price: Estimator) -> None:
    shadow = [{**M5, "variantName": "s", "instanceType": "ml.m5.large"}]
    found = price(*endpoint(make, M5, {**M5, "variantName": "b"}, shadowProductionVariants=shadow))
    assert monthly(found) == same(419.75)  # (0.23 + 0.23 + 0.115) x 730


def test_a_configuration_costs_only_through_its_endpoints(make: Make, price: Estimator) -> None:
    configuration, used = endpoint(make, M5)
    assert monthly(price(configuration)) == same(0.0)
    assert price(configuration).free[0][1].reason == "no endpoint uses it"
    second = make(ENDPOINT, {**US, "name": "f", "endpointConfigName": "c"}, "f")
    assert monthly(price(configuration, used, second)) == same(335.80)


def test_what_a_preview_leaves_out_may_use_a_configuration(make: Make, price: Estimator) -> None:
    found = price(endpoint(make, M5)[0], left_out=1)
    assert monthly(found) == {"low": 0.0, "likely": 0.0, "high": 167.90}


def test_an_endpoint_refers_by_an_unknown_name(make: Make, price: Estimator) -> None:
    configuration = make(CONFIGURATION, {**US, "productionVariants": [M5]}, "c")
    inputs = {**US, "endpointConfigName": UNKNOWN}
    used = make(ENDPOINT, inputs, "e", sources={"endpointConfigName": [configuration.urn]})
    assert monthly(price(configuration, used)) == same(167.90)
    lost = price(configuration, make(ENDPOINT, inputs, "e"))
    assert [gap.reason for gap in lost.unpriced] == ["its configuration is known only after an up (endpointConfigName)"]


def test_a_configuration_of_another_stack_is_unpriced(make: Make, price: Estimator) -> None:
    found = price(make(ENDPOINT, {**US, "endpointConfigName": "elsewhere"}, "e"))
    assert [gap.item for gap in found.unpriced] == ["endpoint e"]


def test_autoscaling_says_between_how_many_instances_there_are(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, M5), target(make, 1, 4))
    assert monthly(found) == {"low": 167.90, "likely": 167.90, "high": 671.60}
    assert [item.resource.name for item in found.items] == ["e", "c"]
    assert found.items[1].assumed == "the minimum of 1 to 4 replicas; state usage.c.replicas"
    stated = price(*endpoint(make, M5), target(make, 1, 4), usage={"c": {"replicas": 2.5}})
    assert monthly(stated) == {"low": 167.90, "likely": 419.75, "high": 671.60}
    assert not stated.items[1].assumed


def test_autoscaling_from_zero_is_nothing_at_zero_traffic(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, M5), target(make, 0, 2))
    assert monthly(found) == {"low": 0.0, "likely": 0.0, "high": 335.80}
    assert found.idle == 0


def test_autoscaling_refers_by_an_unknown_id(make: Make, price: Estimator) -> None:
    configuration, used = endpoint(make, M5)
    scaled = target(make, 2, 3, UNKNOWN, sources={"resourceId": [used.urn]})
    assert monthly(price(configuration, used, scaled)) == {"low": 335.80, "likely": 335.80, "high": 503.70}
    two = endpoint(make, M5, {**M5, "variantName": "b"})
    assert len(price(*two, scaled).monthly_gaps) == 2


def test_autoscaling_of_another_endpoint_or_dimension_says_nothing(make: Make, price: Estimator) -> None:
    other = target(make, 5, 9, "endpoint/other/variant/a")
    assert monthly(price(*endpoint(make, M5), other)) == same(167.90)


def scheduled(make: Make, name: str, schedule: Any, low: Any, high: Any) -> Resource:
    inputs = {
        "resourceId": "endpoint/e/variant/a", "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "schedule": schedule, "scalableTargetAction": {"minCapacity": low, "maxCapacity": high},
    }  # fmt: skip
    return make("aws:appautoscaling/scheduledAction:ScheduledAction", inputs, name)


def test_a_schedule_says_how_many_hours_there_are_how_many_instances(make: Make, price: Estimator) -> None:
    up = scheduled(make, "up", "cron(0 8 ? * MON-FRI *)", "2", "4")
    down = scheduled(make, "down", "cron(0 20 ? * MON-FRI *)", "0", "1")
    found = price(*endpoint(make, M5), target(make, 1, 4), up, down)
    # 60 of 168 hours with 2 to 4 instances, the rest with 0 to 1: 0.7142857 to 2.0714286 of 167.90
    assert monthly(found) == {"low": 119.93, "likely": 119.93, "high": 347.79}
    assert found.items[1].assumed == "the minimum of 0.71 to 2.07 replicas; state usage.c.replicas"


def test_a_schedule_may_leave_a_bound_as_it_is(make: Make, price: Estimator) -> None:
    night = scheduled(make, "night", "cron(0 0 * * ? *)", 0, None)
    day = scheduled(make, "day", "cron(0 12 * * ? *)", 2, None)
    found = price(*endpoint(make, M5), target(make, 1, 4), night, day)
    assert monthly(found) == {"low": 167.90, "likely": 167.90, "high": 671.60}


def test_a_schedule_that_is_not_read_leaves_the_amount_open(make: Make, price: Estimator) -> None:
    for schedule in ("rate(1 day)", "at(2026-01-01T00:00:00)", UNKNOWN):
        found = price(*endpoint(make, M5), target(make, 1, 4), scheduled(make, "s", schedule, 0, 1))
        assert [(gap.item, gap.quantity) for gap in found.monthly_gaps] == [("variant a", True)]


def test_managed_scaling_bounds_an_endpoint(make: Make, price: Estimator) -> None:
    scaling = {"status": "ENABLED", "minInstanceCount": 2, "maxInstanceCount": 3}
    found = price(*endpoint(make, {**M5, "managedInstanceScaling": scaling}))
    assert monthly(found) == {"low": 335.80, "likely": 335.80, "high": 503.70}
    off = {**M5, "managedInstanceScaling": {**scaling, "status": "DISABLED"}}
    assert monthly(price(*endpoint(make, off))) == same(167.90)


def test_one_unknown_variant_leaves_the_others_alone(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, M5, {**M5, "variantName": "b", "instanceType": UNKNOWN}))
    assert monthly(found) == same(167.90)
    assert [(gap.item, gap.reason) for gap in found.unpriced] == [
        ("variant b", "instanceType is known only after an up")
    ]


def test_an_instance_type_without_a_price_is_named(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, {**M5, "instanceType": "ml.made.up"}))
    assert found.unpriced[0].item == "variant a: SageMaker realtime-hosting ml.made.up in us-east-1"
    assert [item.quantity.high for item in found.items] == [0]  # the traffic, of which none is stated
    assert found.to_json()["monthly_usd"] is None


def test_an_unknown_count_is_a_missing_quantity(make: Make, price: Estimator) -> None:
    [gap] = price(*endpoint(make, {**M5, "initialInstanceCount": UNKNOWN})).unpriced
    assert gap.quantity


def test_a_volume_and_traffic_are_paid_for_beside_instances(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, {**M5, "volumeSizeInGb": 100}), usage={"e": {"data_gb": 50}})
    assert monthly(found) == same(182.90)  # 167.90 + 100 x 0.14 + 50 x 0.02
    assert found.idle == Decimal("181.90")


def test_a_serverless_endpoint_costs_what_requests_take(make: Make, price: Estimator) -> None:
    serverless = {"variantName": "a", "serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 5}}
    found = price(*endpoint(make, serverless))
    assert monthly(found) == {"low": 0.0, "likely": 0.0, "high": 525.60}  # 5 x 2 GB x 2628000 s x 0.00002
    stated = price(*endpoint(make, serverless), usage={"c": {"requests": 1_000_000, "request_ms": 120}})
    assert monthly(stated) == same(4.80)  # 1e6 x 0.12 s x 2 GB x 0.00002
    assert stated.idle == 0


def test_a_training_job_is_paid_once(make: Make, price: Estimator) -> None:
    resources = {"instanceType": "ml.m5.xlarge", "instanceCount": 2}
    inputs = {**US, "resourceConfig": resources, "stoppingCondition": {"maxRuntimeInSeconds": 7200}}
    found = price(make(TRAINING, inputs))
    assert monthly(found) == same(0.0)
    assert found.to_json()["one_off_usd"] == 0.92  # 2 x 2 h x 0.23
    assert found.items[0].assumed == "the whole maximum run time of 2 h; state usage.main.run_hours"
    stated = price(make(TRAINING, inputs), usage={"main": {"run_hours": 0.5, "runs": 10}})
    assert stated.to_json()["one_off_usd"] == 0.23
    assert monthly(stated) == same(2.30)
    day = price(make(TRAINING, {**US, "resourceConfig": resources}))
    assert day.to_json()["one_off_usd"] == 11.04  # without a limit a day


def test_groups_volumes_and_warm_pools_of_a_training_job(make: Make, price: Estimator) -> None:
    groups = [
        {"instanceGroupName": "cpu", "instanceType": "ml.m5.large", "instanceCount": 1},
        {"instanceGroupName": "gpu", "instanceType": "ml.g5.xlarge", "instanceCount": 2},
    ]
    config = {"instanceGroups": groups, "volumeSizeInGb": 730}
    inputs = {**US, "resourceConfig": config, "stoppingCondition": {"maxRuntimeInSeconds": 3600}}
    found = price(make(TRAINING, inputs))
    assert [float(item.dollars.likely) for item in found.items] == [0.12, 0.14, 2.82, 0.28]
    warm = {"instanceType": "ml.m5.xlarge", "keepAlivePeriodInSeconds": 3600}
    kept = price(make(TRAINING, {"region": "eu-west-1", "resourceConfig": warm}))
    assert [float(item.dollars.likely) for item in kept.items] == [6.17, 0.26]  # 24 h and 1 h of 0.257


def test_an_unpriced_job_leaves_the_month_alone(make: Make, price: Estimator) -> None:
    found = price(make(TRAINING, {**US, "resourceConfig": {"instanceType": "ml.made.up"}}))
    assert found.to_json()["one_off_usd"] is None
    assert found.to_json()["monthly_usd"] == same(0.0)


def test_a_tuning_job_costs_all_its_trials(make: Make, price: Estimator) -> None:
    definition = {
        "resourceConfig": {"instanceType": "ml.m5.xlarge", "instanceCount": 1},
        "stoppingCondition": {"maxRuntimeInSeconds": 1800},
    }
    config = {"resourceLimits": {"maxNumberOfTrainingJobs": 20, "maxParallelTrainingJobs": 2}}
    inputs = {**US, "config": config, "trainingJobDefinition": definition}
    found = price(make("aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob", inputs))
    assert found.to_json()["one_off_usd"] == 2.30  # 20 x 0.5 h x 0.23


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("cron(0 * ? * * *)", 730), ("cron(0 [00-23] ? * * *)", 730), ("cron(0 3 ? * * *)", Decimal(730) / 24),
        ("cron(0 0/6 ? * * *)", Decimal(730) / 6), ("cron(0,30 * * * ? *)", 1460), ("NOW", 0),
        ("cron(0 3 ? * MON *)", Decimal(730) / 168), ("cron(0 3 ? * 2-6 *)", Decimal(730) * 5 / 168),
    ],
)  # fmt: skip
def test_how_often_a_schedule_runs(expression: str, runs: Decimal) -> None:
    assert runs_a_month(expression) == pytest.approx(runs)


@pytest.mark.parametrize(
    "expression", ["cron(0 3 1 * ? *)", "rate(1 day)", "cron(0 3 ? * 8 *)", "cron(0 99 ? * * *)", "every day"]
)
def test_a_schedule_that_is_not_read_is_no_number(expression: str, make: Make, price: Estimator) -> None:
    inputs = schedule(expression, {"instanceType": "ml.m5.xlarge", "instanceCount": 1})
    [gap] = price(make(SCHEDULE, inputs)).unpriced
    assert gap.quantity
    assert "how often a schedule runs is not read" in gap.reason


def schedule(expression: str, cluster: Mapping[str, Any]) -> dict[str, Any]:
    definition = {"monitoringResources": {"clusterConfig": cluster}, "stoppingCondition": {"maxRuntimeInSeconds": 1800}}
    config = {"monitoringJobDefinition": definition, "scheduleConfig": {"scheduleExpression": expression}}
    return {**US, "monitoringScheduleConfig": config}


def test_a_monitor_costs_its_runs(make: Make, price: Estimator) -> None:
    resource = make(SCHEDULE, schedule("cron(0 * ? * * *)", {"instanceType": "ml.m5.xlarge", "instanceCount": 1}))
    assert monthly(price(resource)) == {"low": 0.0, "likely": 0.0, "high": 83.95}  # 730 x 0.5 h x 0.23
    assert monthly(price(resource, usage={"main": {"run_hours": 0.1}})) == same(16.79)


def test_a_monitor_refers_to_a_definition(make: Make, price: Estimator) -> None:
    cluster = {"clusterConfig": {"instanceType": "ml.m5.xlarge", "instanceCount": 1}}
    definition = make(
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition", {"name": "q", "jobResources": cluster}, "q"
    )
    config = {"monitoringJobDefinitionName": "q", "scheduleConfig": {"scheduleExpression": "cron(0 * ? * * *)"}}
    found = price(make(SCHEDULE, {**US, "monitoringScheduleConfig": config}), definition)
    assert monthly(found) == {"low": 0.0, "likely": 0.0, "high": 167.90}
    alone = price(make(SCHEDULE, {**US, "monitoringScheduleConfig": config}))
    assert [gap.item for gap in alone.unpriced] == ["monitoring"]


def test_what_has_no_price_yet_is_said(make: Make, price: Estimator) -> None:
    resources = [
        make("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer", {**US, "trackingServerSize": "Large"}),
        make("aws:cloudcontrol/resource:Resource", {"typeName": "AWS::SageMaker::Cluster"}),
    ]
    found = price(
        *resources, make("aws:cloudcontrol/resource:Resource", {"typeName": "AWS::SageMaker::ModelPackage"}, "m")
    )
    assert {gap.item for gap in found.unpriced} == {
        "SageMaker mlflow tracking server Large in us-east-1", "AWS::SageMaker::Cluster",
    }  # fmt: skip
    assert [resource.name for resource, _ in found.free] == ["m"]


def test_a_feature_group_reserves_capacity_or_pays_for_requests(make: Make, price: Estimator) -> None:
    token = "aws:sagemaker/featureGroup:FeatureGroup"
    offline = price(make(token, {**US, "offlineStoreConfig": {}}))
    assert offline.free
    online = {**US, "onlineStoreConfig": {"enableOnlineStore": True}}
    shelf = ("aws", "SageMaker", "feature-store")
    own = [
        Price(Key(*shelf, item, unit), "us-east-1", Decimal(usd), None, "2026-01-01", "x", "x")
        for item, unit, usd in [
            ("standard reads", "million requests", "0.25"), ("standard writes", "million requests", "1.25"),
            ("standard storage", "GB-month", "0.45"), ("read capacity unit", "hour", "0.00015"),
            ("write capacity unit", "hour", "0.00075"),
        ]
    ]  # fmt: skip
    load = {"main": {"reads": 2e6, "writes": 4e6, "storage_gb": 10}}
    assert monthly(price(make(token, online), own=own, usage=load)) == same(10.0)  # 0.50 + 5.00 + 4.50
    reserved = {
        "throughputMode": "Provisioned",
        "provisionedReadCapacityUnits": 100,
        "provisionedWriteCapacityUnits": 10,
    }
    found = price(make(token, {**online, "throughputConfig": reserved}), own=own)
    assert monthly(found) == same(16.43)  # 730 x (100 x 0.00015 + 10 x 0.00075): 10.95 + 5.475


@pytest.mark.parametrize(
    ("token", "inputs", "amount"),
    [
        ("aws:kms/key:Key", {}, 1.0),
        ("aws:secretsmanager/secret:Secret", {}, 0.40),
        ("aws:ec2/natGateway:NatGateway", {}, 32.85),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Interface", "subnetIds": ["a", "b"]}, 14.60),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"serviceName": "com.amazonaws.us-east-1.s3"}, 0.0),
        ("aws:lb/loadBalancer:LoadBalancer", {}, 16.43),
        ("aws:ec2/eip:Eip", {}, 3.65),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"period": 60}, 0.10),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"period": 10}, 0.30),
        ("aws:cloudwatch/dashboard:Dashboard", {}, 3.0),
        ("aws:cloudwatch/logGroup:LogGroup", {}, 0.0),
        ("aws:s3/bucket:Bucket", {}, 0.0),
        ("aws:eks/cluster:Cluster", {}, 73.0),
        ("aws:ec2/instance:Instance", {"instanceType": "m5.large"}, 70.08),
        ("aws:ec2/instance:Instance", {
            "instanceType": "m5.large", "instanceMarketOptions": {"marketType": "spot"}}, 31.87),
        ("aws:ebs/volume:Volume", {"size": 100, "type": "gp3"}, 8.0),
        ("aws:iam/role:Role", {}, 0.0),
        ("aws:ec2/vpc:Vpc", {}, 0.0),
    ],
)  # fmt: skip
def test_what_stands_around_it(token: str, inputs: dict[str, Any], amount: float, make: Make, price: Estimator) -> None:
    found = price(make(token, {**US, **inputs}))
    assert monthly(found) == same(amount)
    assert not [gap for gap in found.unpriced if not gap.unused]


def test_stated_loads_are_paid_for(make: Make, price: Estimator) -> None:
    found = price(
        make("aws:cloudwatch/logGroup:LogGroup", US, "logs"),
        make("aws:s3/bucket:Bucket", US, "bucket"),
        make("aws:ec2/natGateway:NatGateway", US, "nat"),
        usage={"logs": {"log_gb": 10, "storage_gb": 20}, "bucket": {"storage_gb": 100}, "nat": {"data_gb": 10}},
    )
    assert {item.resource.name: 0 for item in found.items}.keys() == {"logs", "bucket", "nat"}
    assert monthly(found) == same(41.20)  # 5.00 + 0.60 + 2.30 + 32.85 + 0.45


def test_nodes_are_between_the_bounds_of_their_group(make: Make, price: Estimator) -> None:
    scaling = {"minSize": 1, "maxSize": 3, "desiredSize": 2}
    inputs = {**US, "instanceTypes": ["m5.large"], "scalingConfig": scaling}
    found = price(make("aws:eks/nodeGroup:NodeGroup", inputs))
    assert monthly(found) == {"low": 71.68, "likely": 71.68, "high": 215.04}  # 0.096 x 730 + 20 GB x 0.08


@pytest.mark.parametrize("count", ["1e60", -1, "many", [], True])
def test_an_absurd_number_is_no_amount(count: Any, make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, {**M5, "initialInstanceCount": count}))
    assert [gap.quantity for gap in found.unpriced] == [True]
    assert "initialInstanceCount is no amount" in found.unpriced[0].reason


def test_a_large_number_is_no_crash(make: Make, price: Estimator) -> None:
    found = price(*endpoint(make, {**M5, "initialInstanceCount": 1e15, "volumeSizeInGb": 1e15}))
    assert monthly(found)["low"] == pytest.approx(1.4e29)
