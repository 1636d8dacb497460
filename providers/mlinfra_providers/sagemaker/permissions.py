"""What the identity that runs `mlinfra up` needs in its account: `bootstrap` grants it to CI, `doctor` simulates it.

Actions and what narrows them: https://docs.aws.amazon.com/service-authorization/latest/reference. Names of an
environment begin with its own; what AWS names itself (keys, networks) cannot be narrowed by a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlinfra.environment import Environment
from mlinfra_providers.sagemaker.naming import arn, partition
from mlinfra_providers.sagemaker.storage import bucket_name
from mlinfra_providers.short_names import short_name

SECRETS = "awskms://"
_OF_A_BUCKET = (
    "BucketOwnershipControls BucketPolicy BucketPublicAccessBlock BucketTagging BucketVersioning "
    "EncryptionConfiguration LifecycleConfiguration"
)
_ALSO_READ = (
    "AccelerateConfiguration BucketAcl BucketCORS BucketLocation BucketLogging BucketObjectLockConfiguration "
    "BucketRequestPayment BucketWebsite ReplicationConfiguration"
)
"""What the provider asks of every bucket that it has made."""
_PASSED_TO = ["events.amazonaws.com", "sagemaker.amazonaws.com", "scheduler.amazonaws.com"]


@dataclass(frozen=True)
class Grant:
    """Some actions on some resources, and what they are for. `looking` are patterns of actions that only read;
    `when` is a condition: by operator, by key, its values."""

    purpose: str
    actions: Sequence[str]
    resources: Sequence[str]
    looking: Sequence[str] = ()
    when: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)


def bucket_of(url: str | None) -> tuple[str, str] | None:
    """Return bucket and prefix of `s3://bucket/prefix?…`; None for what is not in S3."""
    if url is None or not url.startswith("s3://"):
        return None
    bucket, _, prefix = url.removeprefix("s3://").partition("?")[0].partition("/")
    return bucket, prefix.strip("/")


def key_of(environment: Environment) -> str | None:
    """Return the key of the secrets provider as KMS takes it: an alias, an id or an ARN; None for another provider."""
    url = environment.secrets_provider or ""
    return url.removeprefix(SECRETS).partition("?")[0].strip("/") if url.startswith(SECRETS) else None


def repositories(environment: Environment) -> list[str]:
    """Return the repositories of images in this account's registry; one where no image is named yet."""
    if environment.images is None:
        return ["mlinfra-serving"]
    host = f"{environment.account}.dkr.ecr.{environment.region}.amazonaws.com"
    named = (image.partition("@")[0] for image in (environment.images.serving, environment.images.training))
    return list(dict.fromkeys(name.removeprefix(f"{host}/") for name in named if name.startswith(f"{host}/")))


def kept(environment: Environment, *, write: bool) -> list[Grant]:
    """Return what reads and, with `write`, writes state and artifacts, and uses the key of secrets."""
    grants = []
    for purpose, url, actions in (
        ("state", environment.state, ["s3:PutObject", "s3:DeleteObject"]),
        ("artifacts", environment.artifacts, ["s3:PutObject", "s3:AbortMultipartUpload"]),
    ):
        if (found := bucket_of(url)) is not None:
            whole = arn(environment, "s3", found[0])
            inside = f"{whole}/{found[1]}/*" if found[1] else f"{whole}/*"
            grants.append(Grant(purpose, ["s3:GetObject", *(actions if write else [])], [inside]))
            grants.append(Grant(purpose, ["s3:ListBucket", "s3:GetBucketLocation"], [whole]))
    key = key_of(environment)
    if key is not None:
        uses = ["kms:Decrypt", "kms:DescribeKey", *(["kms:Encrypt", "kms:GenerateDataKey"] if write else [])]
        named, when = _key_resource(environment, key)
        grants.append(Grant("key", uses, [named], when=when))
    return grants


def needed(environment: Environment) -> list[Grant]:
    """Return everything that `up`, `train`, `tick` and `down` need."""
    own, underscored = f"{environment.name}-*", environment.name.replace("-", "_")
    bucket = arn(environment, "s3", bucket_name(environment))
    made = f"alias/{short_name(environment.name, 'mlinfra', limit=200)}"
    used, when = _key_resource(environment, environment.encryption.key if environment.encryption else made)
    return [
        *kept(environment, write=True),
        *(Grant("images", ["ecr:DescribeImages"], [arn(environment, "ecr", f"repository/{name}")])
          for name in repositories(environment)),
        Grant("parts", _verbs("sagemaker", "Create Describe Delete", "Model EndpointConfig FeatureGroup "
                              "ModelPackageGroup ModelPackage Pipeline TrainingJob ProcessingJob")
              + _verbs("sagemaker", "Create Describe Delete Update", "Endpoint")
              + ["sagemaker:AddTags", "sagemaker:DeleteTags", "sagemaker:InvokeEndpoint",
                 "sagemaker:BatchWriteRecord",
                 "sagemaker:StartPipelineExecution", "sagemaker:StopTrainingJob",
                 "sagemaker:UpdateEndpointWeightsAndCapacities", "sagemaker:UpdateFeatureGroup",
                 "sagemaker:UpdateModelPackage", "sagemaker:UpdatePipeline"],
              [arn(environment, "sagemaker", f"*/{own}")], ["sagemaker:List*"]),
        Grant("roles of the parts", ["iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole",
                                     "iam:PutRolePolicy", "iam:TagRole", "iam:UpdateAssumeRolePolicy"],
              [worldwide(environment, "iam", f"role/{own}")], ["iam:Get*", "iam:List*"]),
        Grant("roles of the parts", ["iam:PassRole"], [worldwide(environment, "iam", f"role/{own}")],
              when={"StringEquals": {"iam:PassedToService": _PASSED_TO}}),
        Grant("data", [*_verbs("s3", "Get Put", _OF_A_BUCKET), *_verbs("s3", "Get", _ALSO_READ), "s3:CreateBucket",
                       "s3:DeleteBucket", "s3:ListBucket"], [bucket]),
        Grant("data", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [f"{bucket}/*"]),
        Grant("data", ["glue:CreateDatabase", "glue:GetDatabase", "glue:DeleteDatabase", "glue:GetTables"],
              [arn(environment, "glue", "catalog"), arn(environment, "glue", f"database/{underscored}_*"),
               arn(environment, "glue", f"table/{underscored}_*/*")], ["glue:GetTags"]),
        Grant("key of the data", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:CreateGrant"], [used],
              when=when),
        *([] if environment.encryption is not None else _making_a_key(environment)),
        *([] if environment.network is not None and environment.network.security_groups else _network(environment)),
        Grant("alarms", ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"],
              [arn(environment, "cloudwatch", f"alarm:{own}")],
              ["cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*"]),
        Grant("alarms", ["cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"],
              [worldwide(environment, "cloudwatch", f"dashboard/{own}")]),
        Grant("alarms", ["sns:CreateTopic", "sns:SetTopicAttributes", "sns:DeleteTopic", "sns:TagResource"],
              [arn(environment, "sns", own)], ["sns:Get*", "sns:List*"]),
        Grant("alarms", ["events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:DeleteRule"],
              [arn(environment, "events", f"rule/{own}")], ["events:Describe*", "events:List*"]),
        Grant("logs", ["logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup", "logs:GetLogEvents",
                       "logs:TagResource"],
              [arn(environment, "logs", "log-group:/aws/sagemaker/*")], ["logs:Describe*", "logs:List*"]),
        Grant("drift", ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule",
                        "scheduler:GetSchedule"], [arn(environment, "scheduler", f"schedule/default/{own}")]),
        Grant("scaling", ["application-autoscaling:RegisterScalableTarget",
                          "application-autoscaling:DeregisterScalableTarget",
                          "application-autoscaling:PutScalingPolicy", "application-autoscaling:DeleteScalingPolicy"],
              ["*"], ["application-autoscaling:Describe*", "application-autoscaling:List*"]),
        *([Grant("budget", ["budgets:ModifyBudget", "budgets:ViewBudget"],
                 [worldwide(environment, "budgets", f"budget/{own}")])] if environment.budget else []),
    ]  # fmt: skip


def _key_resource(environment: Environment, key: str) -> tuple[str, Mapping[str, Mapping[str, Sequence[str]]]]:
    """Return a key as a policy names it: one that is known by its alias is any that has it."""
    if key.startswith("alias/"):
        return arn(environment, "kms", "key/*"), {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [key]}}
    return (key if key.startswith("arn:") else arn(environment, "kms", f"key/{key}")), {}


def _making_a_key(environment: Environment) -> list[Grant]:
    """Name encryption.key, and nobody needs rights over keys. A tag tells ours from others."""
    keys, purpose = arn(environment, "kms", "key/*"), "key of the data"
    ours = {"StringEquals": {"aws:ResourceTag/managed-by": ["mlinfra"]}}
    tagged = {"StringEquals": {"aws:RequestTag/managed-by": ["mlinfra"]}}
    changes = ["kms:CreateAlias", "kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]
    alias = arn(environment, "kms", f"alias/{environment.name}-*")
    return [
        Grant(purpose, ["kms:CreateKey", "kms:TagResource"], ["*"], ["kms:ListAliases", "kms:ListKeys"], when=tagged),
        Grant(purpose, changes, [keys], ["kms:DescribeKey", "kms:GetKey*", "kms:ListResourceTags"], when=ours),
        Grant(purpose, ["kms:CreateAlias", "kms:DeleteAlias"], [alias]),
    ]


def _network(environment: Environment) -> list[Grant]:
    """EC2 names what it makes: these actions take no narrower resource before it is there. Then a tag tells ours."""
    things = ["SecurityGroup"]
    if environment.network is None:
        things = ["Vpc", "Subnet", "RouteTable", "VpcEndpoint", "SecurityGroup"]
    makes = [f"ec2:Create{name}" for name in things]
    also = ["ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"]
    changes = ["ec2:DeleteSecurityGroup"]
    if environment.network is None:
        changes += ["ec2:AssociateRouteTable", "ec2:DisassociateRouteTable", "ec2:ModifyVpcAttribute",
                    "ec2:ModifyVpcEndpoint", "ec2:DeleteRouteTable", "ec2:DeleteSubnet", "ec2:DeleteVpc",
                    "ec2:DeleteVpcEndpoints"]  # fmt: skip
    return [
        Grant("network", [*makes, *also, "ec2:CreateTags"], ["*"], ["ec2:Describe*"]),
        Grant("network", changes, ["*"], when={"StringEquals": {"aws:ResourceTag/managed-by": ["mlinfra"]}}),
    ]


def _verbs(service: str, verbs: str, things: str) -> list[str]:
    return [f"{service}:{verb}{thing}" for thing in things.split() for verb in verbs.split()]


def worldwide(environment: Environment, service: str, resource: str) -> str:
    """Return the ARN of something that is in no region."""
    return f"arn:{partition(environment)}:{service}::{environment.account}:{resource}"
