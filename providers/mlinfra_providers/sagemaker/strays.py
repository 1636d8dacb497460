"""What a killed run, or one that lost its connection, made and did not record: found by its tags, and removed.

pulumi-aws adopts nothing. It would answer each `up` after it with "Cannot create already existing …", without end
(hashicorp/terraform-provider-aws, issue 40080). Only what serves nobody and holds nothing is removed, and only of the
last day: an older one belongs to a state that somebody lost, and that is not ours to mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlinfra.resources import Resources
from mlinfra_providers.sagemaker.clients import Clients, explained, gone_is_fine
from mlinfra_providers.sagemaker.endpoint_api import describe, gone, settled

RECENT = timedelta(days=1)


@dataclass(frozen=True)
class _Kind:
    """How SageMaker lists a kind: operation, member of the answer, and what a thing there has for name and ARN."""

    token: str
    input: str
    noun: str
    operation: str
    listed: str
    contains: str = "NameContains"
    since: str = "CreationTimeAfter"

    @property
    def name(self) -> str:
        return f"{self.noun}Name"


_CONFIGURATION = _Kind(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration", "name", "EndpointConfig", "list_endpoint_configs",
    "EndpointConfigs",
)  # fmt: skip
_KINDS = (
    _CONFIGURATION,
    _Kind("aws:sagemaker/model:Model", "name", "Model", "list_models", "Models"),
    _Kind(
        "aws:sagemaker/pipeline:Pipeline", "pipelineName", "Pipeline", "list_pipelines", "PipelineSummaries",
        contains="PipelineNamePrefix", since="CreatedAfter",
    ),
    _Kind(
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup", "modelPackageGroupName", "ModelPackageGroup",
        "list_model_package_groups", "ModelPackageGroupSummaryList",
    ),
)  # fmt: skip
_ROLE, _LOGS = "aws:iam/role:Role", "aws:cloudwatch/logGroup:LogGroup"


class Strays:
    """What is there of one environment."""

    def __init__(self, clients: Clients, environment: str) -> None:
        self._clients = clients
        self._environment = environment
        self.since = datetime.now(UTC) - RECENT

    def remove(self, recorded: Resources) -> Iterator[str]:
        """Remove what no resource of the state is; yield a line for each. Of an empty state nothing is known."""
        if not recorded.declared():
            return
        names: dict[str, set[str]] = {}
        for resource in recorded.declared():
            names.setdefault(resource.type, set()).update(_texts(resource.inputs))
        for kind in _KINDS:
            yield from self._of_sagemaker(kind, names.get(kind.token, set()))
        yield from self._roles(names.get(_ROLE, set()))
        yield from self._log_groups(names.get(_LOGS, set()))

    def end(self) -> Iterator[str]:
        """Remove what serves: after a `down` nothing of it may be there, recorded or not; yield a line for each."""
        api = self._clients("sagemaker")
        with explained("looking for endpoints that no state has"):
            for page in api.get_paginator("list_endpoints").paginate(NameContains=f"{self._environment}-"):
                for item in page["Endpoints"]:
                    if not self._is_ours(api.list_tags(ResourceArn=item["EndpointArn"])["Tags"]):
                        continue
                    if (describe(api, item["EndpointName"]) or {}).get("EndpointStatus") != "Deleting":
                        settled(api, item["EndpointName"])
                        with gone_is_fine():
                            api.delete_endpoint(EndpointName=item["EndpointName"])
                    gone(api, item["EndpointName"])
                    yield _line("Endpoint", item["EndpointName"])
        self.since = datetime.fromtimestamp(0, UTC)
        for kind in _KINDS[:3]:
            yield from self._of_sagemaker(kind, set())

    def _of_sagemaker(self, kind: _Kind, recorded: set[str]) -> Iterator[str]:
        from botocore.exceptions import ClientError

        api = self._clients("sagemaker")
        asked: Mapping[str, Any] = {kind.contains: self._environment, kind.since: self.since}
        with explained(f"looking for each {kind.noun} that no state has"):
            pages = api.get_paginator(kind.operation).paginate(**asked)
            unknown = [item for page in pages for item in page[kind.listed] if item[kind.name] not in recorded]
            used = self._serving() if unknown and kind is _CONFIGURATION else set()
            for item in unknown:
                if item[kind.name] in used:
                    continue
                if not self._is_ours(api.list_tags(ResourceArn=item[f"{kind.noun}Arn"])["Tags"]):
                    continue
                try:
                    with gone_is_fine():
                        _delete(api, kind, item[kind.name])
                except ClientError as error:
                    if error.response["Error"]["Code"] not in ("ConflictException", "ResourceInUse"):
                        raise
                    continue  # a group that has versions is no stray
                yield _line(kind.noun, item[kind.name])

    def _serving(self) -> set[str]:
        """Return the configurations in use: of one that is deleted SageMaker does not know any more what runs."""
        api = self._clients("sagemaker")
        pages = api.get_paginator("list_endpoints").paginate(NameContains=f"{self._environment}-")
        names = [item["EndpointName"] for page in pages for item in page["Endpoints"]]
        told = [describe(api, name) or {} for name in names]
        pending = [item.get("PendingDeploymentSummary", {}).get("EndpointConfigName") for item in told]
        return {name for name in (*(item.get("EndpointConfigName") for item in told), *pending) if name}

    def _roles(self, recorded: set[str]) -> Iterator[str]:
        api = self._clients("iam")
        with explained("looking for roles that no state has"):
            for page in api.get_paginator("list_roles").paginate():
                for role in page["Roles"]:
                    name = role["RoleName"]
                    if not name.startswith(f"{self._environment}-") or name in recorded:
                        continue
                    if role["CreateDate"] < self.since or not self._is_ours(api.list_role_tags(RoleName=name)["Tags"]):
                        continue
                    for policy in api.list_role_policies(RoleName=name)["PolicyNames"]:
                        api.delete_role_policy(RoleName=name, PolicyName=policy)
                    with gone_is_fine():
                        api.delete_role(RoleName=name)
                    yield _line("Role", name)

    def _log_groups(self, recorded: set[str]) -> Iterator[str]:
        api = self._clients("logs")
        with explained("looking for log groups that no state has"):
            prefix = f"/aws/sagemaker/Endpoints/{self._environment}-"
            for group in api.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
                name, made = group["logGroupName"], datetime.fromtimestamp(group["creationTime"] / 1000, UTC)
                if name in recorded or made < self.since or group.get("storedBytes"):
                    continue
                told = api.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
                if self._is_ours([{"Key": key, "Value": value} for key, value in told.items()]):
                    with gone_is_fine():
                        api.delete_log_group(logGroupName=name)
                    yield _line("LogGroup", name)

    def _is_ours(self, tags: list[dict[str, str]]) -> bool:
        said = {item["Key"]: item["Value"] for item in tags}
        return said.get("managed-by") == "mlinfra" and said.get("environment") == self._environment


def _delete(api: Any, kind: _Kind, name: str) -> None:
    operation = {
        "EndpointConfig": api.delete_endpoint_config,
        "Model": api.delete_model,
        "Pipeline": api.delete_pipeline,
        "ModelPackageGroup": api.delete_model_package_group,
    }[kind.noun]
    operation(**{kind.name: name})


def _line(kind: str, name: str) -> str:
    return f"{kind} {name} was made by a run that did not record it: removed"


def _texts(inputs: Mapping[str, Any]) -> set[str]:
    return {value for value in inputs.values() if isinstance(value, str)}
