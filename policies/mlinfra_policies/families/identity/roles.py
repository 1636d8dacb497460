"""IAM-01 on AWS: what the roles of ML resources may do, and who may take them on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies.demands import comes_from, hidden, sources
from mlinfra_policies.families.identity.policy_documents import (
    Statement,
    UnreadableError,
    statements,
    too_wide,
    trusts_anyone,
)
from mlinfra_policies.ml_types import AWS

_ROLE = "aws:iam/role:Role"
_INLINE = "aws:iam/rolePolicy:RolePolicy"
_ATTACHMENTS = {
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "role",
    "aws:iam/policyAttachment:PolicyAttachment": "roles",
}
_POLICY = "aws:iam/policy:Policy"
_MANAGED = re.compile(
    r"arn:[\w-]+:iam::aws:policy/(?:[\w-]+/)*"
    r"(AdministratorAccess|PowerUserAccess|IAMFullAccess|AmazonSageMakerFullAccess)"
)
_KEYS = frozenset({"role", "roleArn", "executionRole", "executionRoleArn"})
"""What an input of SageMaker is called that holds the role that something runs as."""

_NAMES_OF_OTHERS = frozenset({"tags", "tagsAll", "environment", "hyperParameters", "staticHyperParameters"})
"""Inputs whose keys are the user's own."""


@dataclass(frozen=True)
class _Roles:
    """Some roles: by the URNs of those that the engine knows, and by names."""

    urns: frozenset[str]
    names: frozenset[str]


@decides("IAM-01", *AWS)
def role_of_an_ml_resource(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The role of an ML resource is known, or comes from the plan."""
    for role in _roles(resource):
        if hidden(role) and not comes_from(role, resource, inspection, _ROLE, "aws-native:iam:Role"):
            yield unknown(role.path)


@decides("IAM-01", _ROLE)
def grants_of_a_role(role: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A role that an ML resource runs as trusts somebody certain, and has nothing that is too wide."""
    used = _used(inspection)
    if role.urn not in used.urns and not set(_names(at(role.inputs, "name"))) & used.names:
        return
    yield from _document(at(role.inputs, "assumeRolePolicy"), role, inspection, _trust)
    for text in every(role.inputs, "inlinePolicies[].policy"):
        yield from _document(text, role, inspection, too_wide)
    for arn in every(role.inputs, "managedPolicyArns[]"):
        yield from _managed(arn, role, inspection)
    for policy in inspection.of(_INLINE, *_ATTACHMENTS):
        if _is_of(role, policy):
            path = "inlinePolicies" if policy.type == _INLINE else "managedPolicyArns"
            for answer in _separate(policy, inspection):
                message = f"{policy.type.rpartition(':')[2]} {policy.name}: {answer.path} {answer.message}"
                yield Answer(answer.verdict, path, message)


@decides("IAM-01", _INLINE, *_ATTACHMENTS)
def grants_beside_a_role(policy: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A policy of a role that the plan does not show is judged itself."""
    role, used, shown = _role_of(policy), _used(inspection), _shown(inspection)
    urns = used.urns.intersection(policy.property_dependencies.get(role.path, ()))
    names = used.names.intersection(_names(role))
    if (urns or names) and not (urns & shown.urns or names & shown.names):
        yield from _separate(policy, inspection)


def _is_of(role: Resource, policy: Resource) -> bool:
    place = _role_of(policy)
    from_it = role.urn in policy.property_dependencies.get(place.path, ())
    return from_it or bool(set(_names(place)) & set(_names(at(role.inputs, "name"))))


def _role_of(policy: Resource) -> Value:
    return at(policy.inputs, _ATTACHMENTS.get(policy.type, "role"))


def _separate(policy: Resource, inspection: Inspection) -> Iterator[Answer]:
    if policy.type == _INLINE:
        yield from _document(at(policy.inputs, "policy"), policy, inspection, too_wide)
    else:
        yield from _managed(at(policy.inputs, "policyArn"), policy, inspection)


def _managed(arn: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield what is wrong with a managed policy: one of AWS's wide ones, or one of the plan that grants too much."""
    wide = None if hidden(arn) else _MANAGED.fullmatch(str(arn.value))
    own = [policy for policy in inspection.of(_POLICY) if set(_names(arn)) & set(_names(at(policy.inputs, "name")))]
    if hidden(arn):
        own = sources(arn, resource, inspection, _POLICY)
        if not comes_from(arn, resource, inspection, _POLICY):
            yield unknown(arn.path)
    if wide:
        yield violation(arn.path, f"{wide[1]} allows far more than a workload needs")
    for policy in own:
        for answer in _document(at(policy.inputs, "policy"), policy, inspection, too_wide):
            yield Answer(answer.verdict, arn.path, f"Policy {policy.name}: {answer.message}")


def _document(
    place: Value, resource: Resource, inspection: Inspection, wrong: Callable[[Statement], Iterator[str]]
) -> Iterator[Answer]:
    if place.absent:
        return
    if hidden(place):
        if not comes_from(place, resource, inspection, "aws:iam/*"):
            yield unknown(place.path, "the policy is known only after an up")
        return
    try:
        listed = statements(place.value)
    except UnreadableError as error:
        yield unknown(place.path, f"cannot be judged: {error}")
        return
    for statement in listed:
        yield from (violation(place.path, message) for message in wrong(statement))
        if statement.unknown:
            yield unknown(place.path, "a part of the policy is known only after an up")


def _trust(statement: Statement) -> Iterator[str]:
    if trusts_anyone(statement):
        yield "lets any principal take on the role"


@lru_cache(maxsize=1)
def _shown(inspection: Inspection) -> _Roles:
    """Return the roles of the plan."""
    roles = inspection.of(_ROLE)
    names = frozenset(name for role in roles for name in _names(at(role.inputs, "name")))
    return _Roles(frozenset(role.urn for role in roles), names)


@lru_cache(maxsize=1)
def _used(inspection: Inspection) -> _Roles:
    """Return the roles that ML resources run as."""
    urns: set[str] = set()
    names: set[str] = set()
    for resource in inspection.of(*AWS):
        for role in _roles(resource):
            names.update(_names(role))
            top = re.split(r"[.\[]", role.path, maxsplit=1)[0]
            tokens = resource.property_dependencies.get(top, ())
            urns.update(urn for urn in tokens if urn.split("::")[2].split("$")[-1] == _ROLE)
    return _Roles(frozenset(urns), frozenset(names))


def _names(place: Value) -> Iterator[str]:
    """Yield the last piece of a name or an ARN, or of each in a list."""
    for item in place.value if isinstance(place.value, list) else [place.value]:
        if isinstance(item, str) and not hidden(Value(place.path, item)):
            yield item.rpartition("/")[2]


def _roles(resource: Resource) -> Iterator[Value]:
    yield from _roles_below("", resource.inputs)


def _roles_below(path: str, value: Any) -> Iterator[Value]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            if key in _KEYS:
                yield Value(inner, item)
            elif key not in _NAMES_OF_OTHERS:
                yield from _roles_below(inner, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _roles_below(f"{path}[{number}]", item)
