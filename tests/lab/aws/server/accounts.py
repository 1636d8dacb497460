"""What moto lacks of an account: simulating what a user or a role may do, and SageMaker's quotas.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html: allowed, explicitDeny or
implicitDeny for each action. Conditions that are simple comparisons of text are judged by the given context.
https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.servicequotas.responses import ServiceQuotasResponse

QUOTAS: dict[str, float] = {}
"""SageMaker's quotas by name; the lab's front sets them."""


class _NoSuchEntity(ServiceException):
    code = "NoSuchEntity"


def install() -> None:
    """Put the operations into moto."""
    setattr(IamResponse, "simulate_principal_policy", _simulate)  # noqa: B010  mypy refuses the assignment
    setattr(ServiceQuotasResponse, "list_service_quotas", _quotas)  # noqa: B010


def _quotas(self: ServiceQuotasResponse) -> ActionResult:
    listed = [
        {"ServiceCode": "sagemaker", "QuotaName": name, "QuotaCode": f"L-{number:08X}", "Value": value}
        for number, (name, value) in enumerate(sorted(QUOTAS.items()))
    ]
    return ActionResult({"Quotas": listed})


def _simulate(self: IamResponse) -> ActionResult:
    asked = self._get_params()
    statements = list(_statements(self, str(asked["PolicySourceArn"])))
    context = {item["ContextKeyName"]: item["ContextKeyValues"] for item in asked.get("ContextEntries") or ()}
    resources = asked.get("ResourceArns") or ["*"]
    results = []
    for action in asked["ActionNames"]:
        decided = [_decision(statements, action, resource, context) for resource in resources]
        worst = next((item for item in ("explicitDeny", "implicitDeny") if item in decided), "allowed")
        results.append({"EvalActionName": action, "EvalResourceName": resources[0], "EvalDecision": worst})
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _statements(self: IamResponse, arn: str) -> Iterator[Mapping[str, Any]]:
    backend = iam_backends[self.current_account][self.partition]
    name = arn.rpartition("/")[2]
    holders = [*backend.users.values()] if ":user/" in arn else [*backend.roles.values()]
    holder = next((item for item in holders if item.name == name), None)
    if holder is None:
        raise _NoSuchEntity(f"The principal {arn} does not exist")
    inline = holder.policies.values()
    attached = [
        version.document
        for policy in holder.managed_policies.values()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    ]
    for text in [*inline, *attached]:
        document = json.loads(text) if isinstance(text, str) else text
        stated = document["Statement"]
        yield from stated if isinstance(stated, list) else [stated]


def _decision(statements: list[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, list[str]]) -> str:
    effects = {item["Effect"] for item in statements if _applies(item, action, resource, context)}
    return "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, list[str]]) -> bool:
    def among(value: str, patterns: Any) -> bool:
        listed = patterns if isinstance(patterns, list) else [patterns]
        return any(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for pattern in listed)

    holds = all(
        any(among(value, wanted) for value in context.get(key, ()))
        for keys in statement.get("Condition", {}).values()
        for key, wanted in keys.items()
    )
    return holds and among(action, statement.get("Action", [])) and among(resource, statement.get("Resource", "*"))
