"""The Vertex AI adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract


class TestVertex(AdapterContract):
    adapter_name = "vertex"
    without_data = frozenset(
        {
            "gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature",
            "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview",
        }
    )
