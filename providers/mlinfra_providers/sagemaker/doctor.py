"""What an environment needs of its account, asked of AWS; nothing is changed, and nothing is written to try it.

Whether something may be written is simulated: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
(policies of organizations and of the resources themselves are not all seen by it, so that a yes is IAM's own).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.footing import reached
from mlinfra.problems import MlinfraError
from mlinfra_providers.sagemaker.asking import Absent, Asking, Untold
from mlinfra_providers.sagemaker.naming import partition
from mlinfra_providers.sagemaker.permissions import Grant, bucket_of, key_of, needed, repositories

Told = tuple[str, bool | None, str, str]
FLEETS = 2
"""During a rollout both releases run."""
_MOST_ACTIONS = 100
_SHOWN = 6
_ANCHORS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""A region of each partition that every account has, and that knows the others."""
_ON = frozenset({"opt-in-not-required", "opted-in"})


def examine(environment: Environment, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Yield what was found."""
    asking = Asking(environment)
    try:
        asking.check_account()
    except MlinfraError as error:
        yield "credentials", False, error.message, error.remedy
        return
    who = asking.identity["Arn"]
    yield "credentials", True, f"{who}, of the account {environment.account}", ""
    region = _region(environment, asking)
    yield region
    if region[1] is False:
        return
    for subject, url in (("state", environment.state), ("artifacts", environment.artifacts)):
        if url is not None:
            yield _store(environment, asking, subject, url)
    if (key := key_of(environment)) is not None:
        yield _key(environment, asking, key)
    yield from _images(environment, asking)
    yield from _permissions(environment, asking, who)
    yield from _quotas(asking, parts)


def _region(environment: Environment, asking: Asking) -> Told:
    try:
        found = asking.ask("ec2", "describe_regions", anchor=_ANCHORS[partition(environment)], AllRegions=True)[
            "Regions"
        ]
    except (Absent, Untold) as why:
        return "region", None, f"{environment.region}: {why}", ""
    status = next((item.get("OptInStatus") for item in found if item["RegionName"] == environment.region), None)
    if status is None:
        return "region", False, f"AWS has no region {environment.region}", "aws ec2 describe-regions lists them"
    if status not in _ON:
        return "region", False, f"{environment.region} is not enabled in this account", "enable it in Account > Regions"
    return "region", True, f"{environment.region} is enabled", ""


def _store(environment: Environment, asking: Asking, subject: str, url: str) -> Told:
    bucket = bucket_of(url)
    if bucket is None:
        found = reached(url)
        return subject, found.there, f"{url}: {found.detail}", ""
    try:
        told = asking.ask("s3", "head_bucket", Bucket=bucket[0])
    except Absent:
        return subject, False, f"there is no bucket {bucket[0]}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        return subject, None, f"{bucket[0]}: {why}", ""
    region = told.get("BucketRegion") or told["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    apart = f", in {region}" if region and region != environment.region else ""
    return subject, True, f"{bucket[0]} is there{apart}; whether it may be written is below, in permissions", ""


def _key(environment: Environment, asking: Asking, key: str) -> Told:
    try:
        state = asking.ask("kms", "describe_key", KeyId=key)["KeyMetadata"]["KeyState"]
    except Absent:
        return "key", False, f"there is no key {key}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        return "key", None, f"{key}: {why}", ""
    return "key", state == "Enabled", f"{key} is {state.lower()}", "" if state == "Enabled" else "enable it"


def _images(environment: Environment, asking: Asking) -> Iterator[Told]:
    if environment.images is None:
        return
    for image in dict.fromkeys((environment.images.serving, environment.images.training)):
        name, _, digest = image.partition("@")
        repository = next((item for item in repositories(environment) if name.endswith(f"/{item}")), None)
        if repository is None:
            yield "image", None, f"{name} is in no registry of this account: it is not asked", ""
            continue
        try:
            asking.ask("ecr", "describe_images", repositoryName=repository, imageIds=[{"imageDigest": digest}])
        except Absent:
            yield "image", False, f"{repository} has no image {digest[:19]}…", "build serving/Dockerfile and push it"
        except Untold as why:
            yield "image", None, f"{repository}: {why}", ""
        else:
            yield "image", True, f"{repository}@{digest[:19]}… is there", ""


def _permissions(environment: Environment, asking: Asking, who: str) -> Iterator[Told]:
    """Simulate every action that is granted to CI, for whoever this is."""
    try:
        principal = _principal(asking, who)
    except (Absent, Untold) as why:
        yield "permissions", None, f"{who}: {why}", ""
        return
    by_purpose: dict[str, list[Grant]] = {}
    for grant in needed(environment):
        by_purpose.setdefault(grant.purpose, []).append(grant)
    for purpose, grants in by_purpose.items():
        denied: list[str] = []
        try:
            for grant in grants:
                denied += _denied(asking, principal, grant)
        except (Absent, Untold) as why:
            yield f"permissions: {purpose}", None, str(why), "allow iam:SimulatePrincipalPolicy to be told"
            continue
        if denied:
            more = f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
            detail = f"not allowed: {', '.join(denied[:_SHOWN])}{more}"
            yield f"permissions: {purpose}", False, detail, "the role of mlinfra bootstrap has what is needed"
        else:
            count = sum(len(grant.actions) for grant in grants)
            yield f"permissions: {purpose}", True, f"{count} actions are allowed", ""


def _principal(asking: Asking, who: str) -> str:
    """Return the ARN of the user or the role, with its path: that of a session has neither.

    Raises:
        Untold: it is the account's root, or a kind of principal that nobody can simulate.
    """
    _, _, kind = who.rpartition(":")
    kind, _, rest = kind.partition("/")
    if kind == "user":
        return who
    if kind == "assumed-role":
        arn: str = asking.ask("iam", "get_role", RoleName=rest.partition("/")[0])["Role"]["Arn"]
        return arn
    raise Untold("only what users and roles may do can be simulated")


def _denied(asking: Asking, principal: str, grant: Grant) -> list[str]:
    context = [
        {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": _context_type(operator)}
        for operator, keys in grant.when.items()
        for name, values in keys.items()
    ]
    denied = []
    for start in range(0, len(grant.actions), _MOST_ACTIONS):
        answer = asking.ask(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=principal,
            ActionNames=list(grant.actions[start : start + _MOST_ACTIONS]),
            ResourceArns=[_example(resource) for resource in grant.resources],
            ContextEntries=context,
            MaxItems=1000,
        )
        told = {str(result["EvalActionName"]).lower() for result in answer["EvaluationResults"]}
        if silent := [action for action in grant.actions[start : start + _MOST_ACTIONS] if action.lower() not in told]:
            raise Untold(f"the simulation says nothing of {silent[0]}")
        for result in answer["EvaluationResults"]:
            specific = [item["EvalResourceDecision"] for item in result.get("ResourceSpecificResults", ())]
            if any(decision != "allowed" for decision in specific or [result["EvalDecision"]]):
                denied.append(str(result["EvalActionName"]))
    return denied


def _example(resource: str) -> str:
    """Return one thing that a policy's pattern names: whole resources are simulated, and no patterns."""
    return resource if resource == "*" else resource.replace(":*/", ":endpoint/").replace("*", "mlinfra")


def _context_type(operator: str) -> str:
    return "stringList" if ":" in operator else "string"


def _quotas(asking: Asking, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Compare the account's quotas with two fleets of each endpoint, and one machine of each job.

    Quotas are by instance type and use, called `ml.m5.large for endpoint usage`:
    https://docs.aws.amazon.com/general/latest/gr/sagemaker.html#limits_sagemaker
    """
    wanted: Counter[str] = Counter()
    for part in parts:
        if part.instance is None:
            continue
        if isinstance(part.part, Endpoint):
            wanted[f"{part.instance.name} for endpoint usage"] += FLEETS * part.part.scale.max
        elif isinstance(part.part, TrainingJob):
            use = "spot training job usage" if part.part.spot else "training job usage"
            wanted[f"{part.instance.name} for {use}"] += 1
    if not wanted:
        return
    try:
        known = _known_quotas(asking)
    except (Absent, Untold) as why:
        for name, count in sorted(wanted.items()):
            yield (
                f"quota: {name}",
                None,
                f"{count} are needed; {why}",
                "allow servicequotas:ListServiceQuotas to be told",
            )
        return
    for name, count in sorted(wanted.items()):
        found = known.get(name)
        if found is None:
            yield f"quota: {name}", None, f"{count} are needed; Service Quotas knows none of this name", ""
        else:
            detail = (
                f"{count} are needed ({FLEETS} fleets), the account may have {found:g}, other environments included"
            )
            way_out = f"ask for more: aws service-quotas request-service-quota-increase ({name})"
            yield f"quota: {name}", found >= count, detail, "" if found >= count else way_out


def _known_quotas(asking: Asking) -> dict[str, float]:
    found: dict[str, float] = {}
    question: dict[str, Any] = {"ServiceCode": "sagemaker", "MaxResults": 100}
    while True:
        answer = asking.ask("service-quotas", "list_service_quotas", **question)
        found |= {item["QuotaName"]: float(item["Value"]) for item in answer["Quotas"]}
        if not answer.get("NextToken"):
            return found
        question["NextToken"] = answer["NextToken"]
