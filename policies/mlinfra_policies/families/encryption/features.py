"""Feature stores, as far as they name their keys themselves."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown
from mlinfra.policy.values import at, number
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import if_said, without_key

_GROUP = "aws:sagemaker/featureGroup:FeatureGroup"


@decides("ENC-03", _GROUP)
def online_store_of_a_group(group: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An online store is off unless it is switched on."""
    store = at(group.inputs, "onlineStoreConfig")
    missing = without_key(at(store, "securityConfig.kmsKeyId"), group, inspection)
    yield from if_said(at(store, "enableOnlineStore"), "true", missing)


@decides("ENC-04", _GROUP)
def offline_store_of_a_group(group: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An offline store is there if it is declared."""
    store = at(group.inputs, "offlineStoreConfig")
    if not store.absent:
        yield from without_key(at(store, "s3StorageConfig.kmsKeyId"), group, inspection)


@decides("ENC-03", "gcp:vertex/aiFeatureStore:AiFeatureStore")
def online_store_of_a_legacy_store(store: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A legacy feature store without nodes for serving has no online store, says the API's reference."""
    serving = at(store.inputs, "onlineServingConfig")
    nodes = at(serving, "fixedNodeCount")
    if serving.absent or number(nodes.value) == 0:
        return
    for answer in without_key(at(store.inputs, "encryptionSpec.kmsKeyName"), store, inspection):
        yield unknown(nodes.path) if nodes.hidden else answer
