"""A platform on AWS as one writes it by hand with pulumi_aws: the lab's own proof, of every kind of resource it has.

`PROGRAM_*` variables change it between runs.
"""

from __future__ import annotations

import json
import os

import pulumi
import pulumi_aws as aws

MEMORY = os.environ.get("PROGRAM_SAMPLING", "20")
INSTANCE = os.environ.get("PROGRAM_INSTANCE", "ml.m5.large")
DAYS = int(os.environ.get("PROGRAM_DAYS", "90"))
tags = {"owner": "flights@example.com", "cost-center": os.environ.get("PROGRAM_COST_CENTER", "7")}
password = pulumi.Output.secret("a-password-of-the-test")

key = aws.kms.Key("key", enable_key_rotation=True, deletion_window_in_days=7, tags=tags)
aws.kms.Alias("key", name="alias/lab", target_key_id=key.key_id)

vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", enable_dns_hostnames=True, tags=tags)
subnet = aws.ec2.Subnet("net", vpc_id=vpc.id, cidr_block="10.0.1.0/24", map_public_ip_on_launch=False, tags=tags)
table = aws.ec2.RouteTable("net", vpc_id=vpc.id, tags=tags)
aws.ec2.RouteTableAssociation("net", route_table_id=table.id, subnet_id=subnet.id)
group = aws.ec2.SecurityGroup(
    "net",
    vpc_id=vpc.id,
    description="endpoints",
    egress=[aws.ec2.SecurityGroupEgressArgs(protocol="tcp", from_port=443, to_port=443, cidr_blocks=["10.0.0.0/16"])],
    tags=tags,
)
aws.vpc.SecurityGroupIngressRule(
    "https", security_group_id=group.id, ip_protocol="tcp", from_port=443, to_port=443, cidr_ipv4="10.0.0.0/16"
)
aws.ec2.VpcEndpoint(
    "runtime",
    vpc_id=vpc.id,
    service_name="com.amazonaws.eu-west-1.sagemaker.runtime",
    vpc_endpoint_type="Interface",
    subnet_ids=[subnet.id],
    security_group_ids=[group.id],
    private_dns_enabled=True,
    tags=tags,
)

bucket = aws.s3.Bucket("data", force_destroy=True, tags=tags)
aws.s3.BucketVersioning(
    "data",
    bucket=bucket.id,
    versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
)
aws.s3.BucketServerSideEncryptionConfiguration(
    "data",
    bucket=bucket.id,
    rules=[
        aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=(
                aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="aws:kms", kms_master_key_id=key.arn
                )
            ),
            bucket_key_enabled=True,
        )
    ],
)
aws.s3.BucketPublicAccessBlock(
    "data",
    bucket=bucket.id,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
aws.s3.BucketLifecycleConfiguration(
    "data",
    bucket=bucket.id,
    rules=[
        aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="old",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="captured/"),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=DAYS),
        )
    ],
)
aws.s3.BucketObject(
    "thresholds",
    bucket=bucket.id,
    key="thresholds.json",
    content=json.dumps({"days": DAYS}),
    content_type="application/json",
    kms_key_id=key.arn,
    tags=tags,
)
aws.s3.BucketOwnershipControls(
    "data",
    bucket=bucket.id,
    rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
)
aws.s3.BucketPolicy(
    "data",
    bucket=bucket.id,
    policy=bucket.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [arn, f"{arn}/*"],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            }
        )
    ),
)

role = aws.iam.Role(
    "serving",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
            ],
        }
    ),
    tags=tags,
)
aws.iam.RolePolicy(
    "serving",
    role=role.name,
    policy=bucket.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": f"{arn}/models/*"}],
            }
        )
    ),
)

database = aws.glue.CatalogDatabase("features", name="features", description="offline store")
aws.sagemaker.FeatureGroup(
    "weather",
    feature_group_name="weather",
    record_identifier_feature_name="airport_hour",
    event_time_feature_name="observed_at",
    role_arn=role.arn,
    feature_definitions=[
        aws.sagemaker.FeatureGroupFeatureDefinitionArgs(feature_name="airport_hour", feature_type="String"),
        aws.sagemaker.FeatureGroupFeatureDefinitionArgs(feature_name="observed_at", feature_type="Fractional"),
        aws.sagemaker.FeatureGroupFeatureDefinitionArgs(feature_name="wind_speed", feature_type="Fractional"),
    ],
    online_store_config=aws.sagemaker.FeatureGroupOnlineStoreConfigArgs(
        enable_online_store=True,
        security_config=aws.sagemaker.FeatureGroupOnlineStoreConfigSecurityConfigArgs(kms_key_id=key.arn),
        ttl_duration=aws.sagemaker.FeatureGroupOnlineStoreConfigTtlDurationArgs(unit="Days", value=14),
    ),
    offline_store_config=aws.sagemaker.FeatureGroupOfflineStoreConfigArgs(
        s3_storage_config=aws.sagemaker.FeatureGroupOfflineStoreConfigS3StorageConfigArgs(
            s3_uri=bucket.bucket.apply(lambda name: f"s3://{name}/features"), kms_key_id=key.arn
        ),
        table_format="Iceberg",
    ),
    tags=tags,
)
aws.sagemaker.ModelPackageGroup("models", model_package_group_name="flights", tags=tags)
training = aws.sagemaker.Pipeline(
    "train",
    pipeline_name="train",
    pipeline_display_name="train",
    role_arn=role.arn,
    pipeline_definition=json.dumps({"Version": "2020-12-01", "Steps": []}),
    tags=tags,
)
model = aws.sagemaker.Model(
    "flights",
    execution_role_arn=role.arn,
    primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
        image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/serving@sha256:" + "0" * 64,
        model_data_url=bucket.bucket.apply(lambda name: f"s3://{name}/models/3f9c.tar.gz"),
        environment={"PASSWORD": password},
    ),
    vpc_config=aws.sagemaker.ModelVpcConfigArgs(subnets=[subnet.id], security_group_ids=[group.id]),
    enable_network_isolation=True,
    tags={**tags, "secret": password},
)
configuration = aws.sagemaker.EndpointConfiguration(
    "flights",
    kms_key_arn=key.arn,
    production_variants=[
        aws.sagemaker.EndpointConfigurationProductionVariantArgs(
            variant_name="v-3f9c",
            model_name=model.name,
            instance_type=INSTANCE,
            initial_instance_count=1,
            initial_variant_weight=1,
        )
    ],
    data_capture_config=aws.sagemaker.EndpointConfigurationDataCaptureConfigArgs(
        enable_capture=True,
        initial_sampling_percentage=int(MEMORY),
        destination_s3_uri=bucket.bucket.apply(lambda name: f"s3://{name}/captured"),
        capture_options=[
            aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(capture_mode="Input"),
            aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(capture_mode="Output"),
        ],
    ),
    tags=tags,
)
endpoint = aws.sagemaker.Endpoint("flights", name="flights", endpoint_config_name=configuration.name, tags=tags)
variant = endpoint.name.apply(lambda name: f"endpoint/{name}/variant/v-3f9c")
if "PROGRAM_UNSCALED" not in os.environ:
    target = aws.appautoscaling.Target(
        "flights",
        min_capacity=1,
        max_capacity=4,
        resource_id=variant,
        scalable_dimension="sagemaker:variant:DesiredInstanceCount",
        service_namespace="sagemaker",
    )
    aws.appautoscaling.Policy(
        "flights",
        policy_type="TargetTrackingScaling",
        resource_id=target.resource_id,
        scalable_dimension=target.scalable_dimension,
        service_namespace=target.service_namespace,
        target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
            target_value=50,
            predefined_metric_specification=(
                aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                )
            ),
        ),
    )

topic = aws.sns.Topic("alarms", kms_master_key_id=key.key_id, tags=tags)
aws.sns.TopicPolicy(
    "alarms",
    arn=topic.arn,
    policy=topic.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": arn,
                    }
                ],
            }
        )
    ),
)
aws.sns.TopicSubscription("alarms", topic=topic.arn, protocol="email", endpoint="flights@example.com")
aws.cloudwatch.MetricAlarm(
    "errors",
    comparison_operator="GreaterThanThreshold",
    evaluation_periods=2,
    metric_name="Invocation5XXErrors",
    namespace="AWS/SageMaker",
    period=60,
    statistic="Sum",
    threshold=1,
    dimensions={"EndpointName": endpoint.name, "VariantName": "v-3f9c"},
    alarm_actions=[topic.arn],
    treat_missing_data="notBreaching",
    tags=tags,
)
aws.cloudwatch.Dashboard(
    "flights",
    dashboard_name="flights",
    dashboard_body=json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "flights"}}]}),
)
aws.cloudwatch.LogGroup("flights", name="/aws/sagemaker/Endpoints/flights", retention_in_days=30, tags=tags)
aws.budgets.Budget(
    "flights",
    budget_type="COST",
    time_unit="MONTHLY",
    limit_amount="1500.0",
    limit_unit="USD",
    notifications=[
        aws.budgets.BudgetNotificationArgs(
            comparison_operator="GREATER_THAN",
            notification_type="ACTUAL",
            threshold=80,
            threshold_type="PERCENTAGE",
            subscriber_email_addresses=["flights@example.com"],
        )
    ],
)
rule = aws.cloudwatch.EventRule("drift", schedule_expression="rate(1 hour)", tags=tags)
aws.cloudwatch.EventTarget("drift", rule=rule.name, arn=training.arn, role_arn=role.arn)
aws.scheduler.Schedule(
    "train",
    schedule_expression="cron(0 3 * * ? *)",
    flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
    target=aws.scheduler.ScheduleTargetArgs(arn=training.arn, role_arn=role.arn),
)
pulumi.export("endpoint", endpoint.arn)
