"""Whose keys are used: the owner is the account, the project or the vault that a key's reference names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, every
from mlinfra.resources import Resource
from mlinfra_policies.ml_types import AWS, AZURE, GOOGLE

_KEY = re.compile(r"\w*kmsKey(Id|Arn|Name)?|keyIdentifier", re.IGNORECASE)
_HOLDERS = frozenset(
    {
        "asyncInferenceConfig",
        "bootDisk",
        "clusterConfig",
        "coreDumpConfig",
        "dataCaptureConfig",
        "dataDisks",
        "dataQualityJobOutputConfig",
        "encryption",
        "encryptionSpec",
        "gceSetup",
        "hyperParameterTuningResourceConfig",
        "keyVaultProperties",
        "monitoringOutputConfig",
        "offlineStoreConfig",
        "onlineStoreConfig",
        "outputConfig",
        "outputDataConfig",
        "resourceConfig",
        "s3StorageConfig",
        "securityConfig",
        "sharingSettings",
        "trainingJobDefinition",
        "trainingJobDefinitions",
    }
)
"""Objects that a key is named in: while one is unknown, so is its key."""

_OWNERS = (
    re.compile(r"arn:aws[\w-]*:kms:[\w-]*:(\w+):"),
    re.compile(r"(?:^|/)projects/([^/]+)/locations/"),
    re.compile(r"^https://([\w-]+)\.(?:vault|managedhsm)\."),
)


@decides("ENC-11", *AWS, *GOOGLE, *AZURE)
def owners_of_keys(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every key that an ML resource names, wherever it names it, belongs to an approved owner."""
    approved = inspection.settings.approved_key_owners
    if approved is None:
        return
    for key in _keys(Value("", resource.inputs)):
        owner = _owner(str(key.value))
        if key.unknown:
            yield unknown(key.path)
        elif owner is None:
            yield unknown(key.path, f"{key.value} does not tell whose key it is")
        elif owner.lower() not in (each.lower() for each in approved):
            yield violation(key.path, f"the key belongs to {owner}; approved: {', '.join(approved) or 'nobody'}")


def _owner(key: str) -> str | None:
    found = [match[1] for pattern in _OWNERS if (match := pattern.search(key))]
    return found[0] if found else None


def _keys(outer: Value) -> Iterator[Value]:
    """Yield the keys that are named at any depth, and what may name one and is unknown."""
    if isinstance(outer.value, list):
        for item in every(outer, "[]"):
            yield from _keys(item)
    elif isinstance(outer.value, Mapping):
        names = [name for name in outer.value if not name.startswith("__")]
        for name, inner in zip(names, every(outer, "{}"), strict=True):
            if _KEY.fullmatch(name) or (inner.unknown and name in _HOLDERS):
                if not inner.absent:
                    yield inner
            else:
                yield from _keys(inner)
