"""Customer-managed keys: which values name one, and where a missing one matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, unknown, violation
from mlinfra.policy.values import Value, every
from mlinfra.resources import Resource

KEYS = (
    "aws:kms/key:Key",
    "aws:kms/externalKey:ExternalKey",
    "aws:kms/replicaKey:ReplicaKey",
    "aws:kms/replicaExternalKey:ReplicaExternalKey",
    "aws:kms/alias:Alias",
    "gcp:kms/cryptoKey:CryptoKey",
    "gcp:kms/cryptoKeyVersion:CryptoKeyVersion",
    "gcp:kms/keyHandle:KeyHandle",
    "google-native:cloudkms/*:CryptoKey",
)
"""Resources that are a customer's key, or another name of one."""

_LOCAL_STORAGE = frozenset({"g5", "g6", "g6e", "p4de", "p5", "trn1"})
"""Families of instances with local NVMe storage, besides those whose names end in d or dn, such as p4d and g4dn."""


def without_key(key: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield what is wrong with a key that an input of `resource` should name; nothing where it is a customer's.

    A key that does not exist yet is one as well, if the value can come from nothing else.
    """
    attribute = "arn" if resource.type.startswith("aws") else "id"
    remedy = f"{key.path}: ${{key.{attribute}}}"
    if key.unknown:
        if not inspection.comes_only_from(resource, key.path, *KEYS):
            yield unknown(key.path)
    elif key.absent:
        yield violation(key.path, "no key is named, so the provider's own key encrypts", remedy=remedy)
    elif _is_of_aws(key.value):
        yield violation(key.path, f"{key.value} is the provider's own key, not a customer's", remedy=remedy)


def listed(outer: Value) -> list[Value]:
    """Return what is listed; one thing may stand without a list, and none may stand at all."""
    if isinstance(outer.value, list):
        return every(outer, "[]")
    return [] if outer.absent else [outer]


def said_of(other: Resource, reference: Value, answer: Answer) -> Answer:
    """Say at the input that refers to another resource what is wrong with that one."""
    return replace(answer, path=reference.path, message=f"{answer.path} of {other.name}: {answer.message}")


def if_said(switch: Value, wanted: str, found: Iterable[Answer]) -> Iterator[Answer]:
    """Yield what was found if `switch` says what is wanted; while it is hidden, nobody can say whether it matters."""
    if switch.hidden:
        yield from (unknown(switch.path) for _ in found)
    elif str(switch.value).lower() == wanted.lower():
        yield from found


def if_on_volumes(machines: Sequence[Value], found: Iterable[Answer]) -> Iterator[Answer]:
    """Yield what was found, unless no machine has a volume that takes a key.

    `machines` are instance types, or the settings of something that is serverless. The API of SageMaker refuses a key
    for local storage, which the hardware encrypts.
    """
    volumes = [machine for machine in machines if _takes_key(machine.value)]
    for answer in found:
        if all(volume.hidden for volume in volumes):
            yield from (unknown(volume.path) for volume in volumes)
        else:
            yield answer


def _takes_key(machine: Any) -> bool:
    if isinstance(machine, Mapping):
        return False
    family = str(machine).removeprefix("ml.").partition(".")[0]
    return family not in _LOCAL_STORAGE and not family.endswith(("d", "dn"))


def _is_of_aws(key: Any) -> bool:
    """Whether a key is one that AWS manages: an alias under alias/aws/, bare or in an ARN."""
    return str(key).startswith("alias/aws/") or ":alias/aws/" in str(key)
