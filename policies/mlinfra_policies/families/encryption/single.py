"""Resources that name one key for all that they store."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides
from mlinfra.policy.values import at
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import without_key


@decides("ENC-01", "gcp:vertex/aiEndpoint:AiEndpoint")
@decides("ENC-03", "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore")
@decides("ENC-05", "gcp:vertex/aiPersistentResource:AiPersistentResource", "google-native:aiplatform/*:CustomJob")
@decides("ENC-08", "gcp:colab/runtimeTemplate:RuntimeTemplate")
@decides(
    "ENC-10",
    "gcp:vertex/aiMetadataStore:AiMetadataStore",
    "gcp:vertex/aiTensorboard:AiTensorboard",
    "gcp:vertex/aiDataset:AiDataset",
)
def key_of_an_encryption_spec(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Vertex names the key in the same place everywhere."""
    yield from without_key(at(resource.inputs, "encryptionSpec.kmsKeyName"), resource, inspection)


@decides("ENC-08", "aws:sagemaker/notebookInstance:NotebookInstance")
@decides("ENC-09", "aws:sagemaker/domain:Domain")
def key_of_home_storage(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A notebook instance and a Studio domain have one key for all that they store."""
    yield from without_key(at(resource.inputs, "kmsKeyId"), resource, inspection)


@decides("ENC-10", "aws:sagemaker/modelCard:ModelCard")
def key_of_a_model_card(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A model card has a key of its own."""
    yield from without_key(at(resource.inputs, "securityConfig.kmsKeyId"), resource, inspection)


@decides("ENC-10", "aws:sagemaker/flowDefinition:FlowDefinition")
def key_of_reviews(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """What people answered in a review is output."""
    yield from without_key(at(resource.inputs, "outputConfig.kmsKeyId"), resource, inspection)
