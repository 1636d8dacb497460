"""What replaces a resource of Google: the inputs that the provider cannot change.

Source: `ForceNew` in the schemas of terraform-provider-google, which pulumi-gcp is made of, as its documentation marks
them. A type with an empty set is never replaced by a change of what is declared here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NONE: frozenset[str] = frozenset()
_NAMED = frozenset({"name", "project"})
_PLACED = _NAMED | {"region"}


def _of(*inputs: str) -> frozenset[str]:
    return frozenset(inputs)


REPLACED_BY: Mapping[str, frozenset[str]] = {
    "gcp:bigquery/dataset:Dataset": _of("datasetId", "location", "project"),
    "gcp:bigquery/datasetIamMember:DatasetIamMember": _of("datasetId", "member", "project", "role"),
    "gcp:bigquery/table:Table": _of("datasetId", "encryptionConfiguration", "project", "tableId"),
    "gcp:billing/budget:Budget": _of("billingAccount"),
    "gcp:cloudscheduler/job:Job": _PLACED,
    "gcp:compute/address:Address": _PLACED | {"addressType", "description", "subnetwork"},
    "gcp:compute/firewall:Firewall": _NAMED | {"direction", "network"},
    "gcp:compute/forwardingRule:ForwardingRule": _PLACED | {"ipAddress", "loadBalancingScheme", "network"},
    "gcp:compute/network:Network": _NAMED | {"autoCreateSubnetworks", "description"},
    "gcp:compute/networkAttachment:NetworkAttachment": _PLACED | {"connectionPreference", "description"},
    "gcp:compute/subnetwork:Subnetwork": _PLACED | {"network"},
    "gcp:kms/cryptoKey:CryptoKey": _of("destroyScheduledDuration", "keyRing", "name", "purpose"),
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": _of("cryptoKeyId", "member", "role"),
    "gcp:kms/keyRing:KeyRing": _of("location", "name", "project"),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": _of("bucketId", "location", "project"),
    "gcp:logging/projectSink:ProjectSink": _of("name", "project", "uniqueWriterIdentity"),
    "gcp:monitoring/alertPolicy:AlertPolicy": _of("project"),
    "gcp:monitoring/dashboard:Dashboard": _of("project"),
    "gcp:monitoring/notificationChannel:NotificationChannel": _of("project"),
    "gcp:projects/iAMCustomRole:IAMCustomRole": _of("project", "roleId"),
    "gcp:projects/iAMMember:IAMMember": _of("member", "project", "role"),
    "gcp:projects/serviceIdentity:ServiceIdentity": _of("project", "service"),
    "gcp:pubsub/topic:Topic": _of("name", "project", "kmsKeyName"),
    "gcp:pubsub/topicIAMMember:TopicIAMMember": _of("member", "project", "role", "topic"),
    "gcp:serviceaccount/account:Account": _of("accountId", "project"),
    "gcp:serviceaccount/iAMMember:IAMMember": _of("member", "role", "serviceAccountId"),
    "gcp:storage/bucket:Bucket": _of("location", "name", "project"),
    "gcp:storage/bucketIAMMember:BucketIAMMember": _of("bucket", "condition", "member", "role"),
    "gcp:vertex/aiEndpoint:AiEndpoint": _of(
        "encryptionSpec", "location", "name", "network", "privateServiceConnectConfig", "project", "region",
    ),
    "gcp:vertex/aiFeatureGroup:AiFeatureGroup": _PLACED,
    "gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature": _PLACED | {"featureGroup"},
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": _PLACED | {"encryptionSpec"},
    "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview": _PLACED | {"featureOnlineStore"},
}  # fmt: skip


def replaced_by(type_token: str) -> frozenset[str] | None:
    """Return the inputs whose change replaces a resource of this type; None where that is not known."""
    return REPLACED_BY.get(type_token)


def loses(type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what those who read a table of features would lose by a change."""
    return lost_columns(before, after) if type_token == "gcp:bigquery/table:Table" else None


def lost_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return which columns of a table would go, or become something else, and what else would make it anew."""
    old, new = (_columns(inputs) for inputs in (before, after))
    table = after.get("tableId")
    lost = sorted(column for column, kind in old.items() if new.get(column) != kind)
    if lost:
        return f"{table} would lose {', '.join(lost)}"
    if before.get("timePartitioning") != after.get("timePartitioning"):
        return f"{table} would be made anew, and its rows lost: its partitions change"
    return None


def _columns(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of each column; a view has no schema."""
    return {item["name"]: item["type"] for item in json.loads(inputs.get("schema") or "[]")}
