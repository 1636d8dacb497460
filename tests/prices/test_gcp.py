"""Google Cloud: amounts computed by hand from the list prices that are shipped."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.prices.book import Key
from mlinfra.prices.book import Price as Line
from mlinfra.prices.estimate import Estimate
from mlinfra.resources import UNKNOWN, Resource

Price = Callable[..., Estimate]
Make = Callable[..., Resource]
POOL = "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool"
STORE = "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore"


def pool(machine: Any = "n1-standard-4", low: Any = 1, high: Any = 3, **more: Any) -> dict[str, Any]:
    spec = {"machineType": machine, **more}
    dedicated = {"machineSpec": spec, "minReplicaCount": low, "maxReplicaCount": high}
    return {"region": "us-central1", "dedicatedResources": dedicated}


def test_a_pool_costs_its_nodes_from_the_minimum_to_the_maximum(make: Make, price: Price) -> None:
    found = price(make(POOL, pool()))
    assert found.monthly is not None
    assert not found.unpriced
    assert found.monthly.to_json() == {"low": 159.87, "likely": 159.87, "high": 479.61}  # 0.219 x 730, x 3
    assert found.idle == Decimal("159.87")
    assert found.items[0].assumed == "the minimum of 1 to 3 replicas; state usage.main.replicas"


def test_stated_replicas_are_the_likely_ones(make: Make, price: Price) -> None:
    found = price(make(POOL, pool()), usage={"main": {"replicas": 2}})
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 159.87, "likely": 319.74, "high": 479.61}


def test_an_absent_maximum_is_the_minimum(make: Make, price: Price) -> None:
    found = price(make(POOL, pool(low=2, high=None)))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 319.74, "likely": 319.74, "high": 319.74}


def test_accelerators_are_billed_beside_the_machine(make: Make, price: Price) -> None:
    found = price(make(POOL, pool(high=1, acceleratorType="NVIDIA_TESLA_T4", acceleratorCount=2)))
    assert [item.dollars.likely for item in found.items] == [Decimal("159.87"), Decimal("587.65")]  # 0.4025 x 2 x 730


@pytest.mark.parametrize("machine", ["a2-highgpu-1g", "a3-highgpu-8g", "g2-standard-8"])
def test_machines_that_contain_their_accelerators_are_one_thing(machine: str, make: Make, price: Price) -> None:
    found = price(make(POOL, pool(machine, acceleratorType="NVIDIA_L4", acceleratorCount=1)))
    assert [item.item for item in found.unpriced] == [f"Vertex AI online-prediction {machine} in us-central1"]
    assert found.monthly is None


def test_a_machine_in_a_region_without_a_price_is_unpriced(make: Make, price: Price) -> None:
    found = price(make(POOL, {**pool(), "region": "europe-west9"}))
    [missing] = found.unpriced
    assert missing.item == "Vertex AI online-prediction n1-standard-4 in europe-west9"
    assert missing.reason == "no such price; has a price in us-central1"


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (pool(UNKNOWN), "machineType"),
        (pool(low=UNKNOWN), "minReplicaCount"),
        ({"region": "us-central1", "dedicatedResources": UNKNOWN}, "dedicatedResources"),
    ],
)
def test_what_is_not_known_is_unpriced(inputs: dict[str, Any], path: str, make: Make, price: Price) -> None:
    found = price(make(POOL, inputs))
    assert [path in item.reason and "known only after an up" in item.reason for item in found.unpriced] == [True]
    assert found.monthly is None


def test_an_unknown_number_of_accelerators_leaves_the_machine_its_price(make: Make, price: Price) -> None:
    found = price(make(POOL, pool(acceleratorType="NVIDIA_TESLA_T4", acceleratorCount=UNKNOWN)))
    assert len(found.items) == 1
    assert [item.item for item in found.unpriced] == ["accelerators of n1-standard-4"]


@pytest.mark.parametrize(
    "token",
    [
        "gcp:vertex/aiEndpoint:AiEndpoint",
        "gcp:vertex/aiIndexEndpoint:AiIndexEndpoint",
        "gcp:vertex/aiFeatureGroup:AiFeatureGroup",
        "gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature",
        "gcp:serviceaccount/account:Account",
        "gcp:projects/iAMMember:IAMMember",
        "gcp:bigquery/dataset:Dataset",
    ],
)
def test_what_has_no_charge_says_why(token: str, make: Make, price: Price) -> None:
    found = price(make(token, {"location": "us-central1"}))
    assert not found.items
    assert not found.unpriced
    assert found.free[0][1].reason
    assert found.free[0][1].source.startswith("https://")


def test_a_bigtable_store_costs_its_nodes_and_what_it_keeps(make: Make, price: Price) -> None:
    scaling = {"autoScaling": {"minNodeCount": 1, "maxNodeCount": 3}}
    found = price(make(STORE, {"region": "us-central1", "bigtable": scaling}), usage={"main": {"storage_gb": 50}})
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 698.7, "likely": 698.7, "high": 2071.1}  # 0.94 x 730 + 12.50, x 3


def test_an_optimized_store_costs_a_node_at_least(make: Make, price: Price) -> None:
    store = make(STORE, {"region": "us-central1", "optimized": {}})
    assert price(store).items[0].dollars.likely == Decimal("219.00")
    assert price(store, usage={"main": {"replicas": 3}}).items[0].dollars.likely == Decimal("657.00")


def test_a_persistent_resource_waits_day_and_night(make: Make, price: Price) -> None:
    pools = [
        {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 2},
        {"machineSpec": {"machineType": UNKNOWN}, "replicaCount": 1},
    ]
    found = price(
        make(
            "gcp:vertex/aiPersistentResource:AiPersistentResource", {"location": "us-central1", "resourcePools": pools}
        )
    )
    # 0.21849885 x 2 x 730; 100 GB of pd-ssd at 0.1955 for each of three machines
    assert [item.dollars.likely for item in found.items] == [Decimal("319.01"), Decimal("39.10")]
    assert [item.item for item in found.unpriced] == ["pool 2"]


def test_a_workbench_costs_cores_and_memory_for_its_hours(make: Make, price: Price) -> None:
    instance = make(
        "gcp:workbench/instance:Instance", {"location": "us-central1-a", "gceSetup": {"machineType": "n1-standard-4"}}
    )
    found = price(instance, usage={"main": {"hours": 100}})
    # 4 x 100 x 0.0442554; 15 x 100 x 0.0059318
    assert [item.dollars.likely for item in found.items] == [Decimal("17.70"), Decimal("8.90")]
    assert [item.item for item in found.unpriced] == [
        "boot disk: Vertex AI workbench PD_BALANCED in us-central1",
        "data disk: Vertex AI workbench PD_BALANCED in us-central1",
    ]
    assert "always on; state usage.main.hours" in price(instance).items[0].assumed


def test_what_is_kept_is_priced_where_it_is(make: Make, price: Price) -> None:
    dataset = make("gcp:bigquery/dataset:Dataset", {"datasetId": "weather", "location": "europe-west1"}, "weather")
    table = make("gcp:bigquery/table:Table", {"datasetId": "weather", "tableId": "hours"}, "hours")
    view = make("gcp:bigquery/table:Table", {"datasetId": "weather", "view": {"query": "SELECT 1"}}, "seen")
    bucket = make("gcp:storage/bucket:Bucket", {"location": "EU", "storageClass": "NEARLINE"}, "old")
    found = price(dataset, table, view, bucket, usage={"hours": {"storage_gb": 100}, "old": {"storage_gb": 1000}})
    assert {item.resource.name: item.dollars.likely for item in found.items} == {
        "hours": Decimal("2.00"),
        "old": Decimal("15.00"),
    }
    assert not found.unpriced


@pytest.mark.parametrize(
    ("tier", "size", "monthly"),
    [("BASIC", 1, "35.77"), ("BASIC", 5, "98.55"), ("STANDARD_HA", 1, "46.72"), ("STANDARD_HA", 105, "2299.50")],
)
def test_a_cache_costs_its_memory(tier: str, size: int, monthly: str, make: Make, price: Price) -> None:
    cache = make("gcp:redis/instance:Instance", {"region": "us-central1", "tier": tier, "memorySizeGb": size})
    assert price(cache).items[0].dollars.likely == Decimal(monthly)


def test_a_node_pool_is_in_each_of_its_zones(make: Make, price: Price) -> None:
    inputs = {
        "location": "us-central1",
        "nodeLocations": ["us-central1-a", "us-central1-b"],
        "autoscaling": {"minNodeCount": 1, "maxNodeCount": 2},
        "nodeConfig": {"machineType": "e2-standard-4"},
    }
    found = price(make("gcp:container/nodePool:NodePool", inputs))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 195.67, "likely": 195.67, "high": 391.35}  # 0.134023 x 730 x 2, x 2


@pytest.mark.parametrize(
    ("inputs", "nodes", "assumed"),
    [
        ({"location": "us-central1", "nodeCount": 2}, 6, "three zones of its region"),
        ({"location": "us-central1-b", "nodeCount": 2}, 2, ""),
        ({"location": "us-central1", "autoscaling": {"totalMinNodeCount": 4, "totalMaxNodeCount": 4}}, 4, ""),
        ({"location": "us-central1-b"}, 1, ""),
    ],
)
def test_a_node_pool_of_a_region_is_in_three_zones(
    inputs: dict[str, Any], nodes: int, assumed: str, make: Make, price: Price
) -> None:
    pools = {**inputs, "nodeConfig": {"machineType": "e2-standard-4"}}
    [item] = price(make("gcp:container/nodePool:NodePool", pools)).items
    assert item.dollars.likely == round(Decimal("0.134023") * nodes * 730, 2)
    assert item.assumed == assumed


def test_keys_versions_and_images(make: Make, price: Price) -> None:
    version = "gcp:secretmanager/secretVersion:SecretVersion"
    found = price(
        make("gcp:kms/cryptoKey:CryptoKey", {"rotationPeriod": "7776000s"}, "key"),
        make(version, {"secret": "token"}, "live"),
        make(version, {"secret": "token", "enabled": False}, "off"),
        make("gcp:artifactregistry/repository:Repository", {"location": "us-central1"}, "images"),
        usage={"images": {"storage_gb": 10}},
    )
    assert {item.resource.name: (item.dollars.likely, item.assumed) for item in found.items} == {
        "key": (Decimal("0.06"), "one version; each rotation adds one"),
        "live": (Decimal("0.06"), ""),
        "images": (Decimal("1.00"), ""),
    }
    assert [resource.name for resource, _ in found.free] == ["off"]


def test_what_serves_an_index_and_a_feature_view(make: Make, price: Price) -> None:
    dedicated = {"machineSpec": {"machineType": "e2-standard-16"}, "minReplicaCount": 1, "maxReplicaCount": 2}
    inputs = {"region": "us-central1", "dedicatedResources": dedicated}
    here, deployed = {"region": "us-central1"}, "gcp:vertex/aiIndexEndpointDeployedIndex:AiIndexEndpointDeployedIndex"
    found = price(
        make(deployed, inputs, "served"),
        make(deployed, here, "auto"),
        make("gcp:vertex/aiIndex:AiIndex", here, "index"),
        make("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview", here, "view"),
        usage={"index": {"storage_gb": 10}, "view": {"runs": 30, "run_hours": 0.5}},
    )
    assert {item.resource.name: item.dollars.likely for item in found.items} == {
        "served": Decimal("547.84"),  # 0.7504672 x 730
        "index": Decimal("30.00"),  # 3 x 10 GiB, once
        "view": Decimal("1.20"),  # 0.08 x 15 hours
    }
    assert [item.resource.name for item in found.unpriced] == ["auto"]
    assert found.one_off is not None
    assert found.one_off.likely == Decimal("30.00")


def own(component: str, item: str, usd: str, spot: str | None = None) -> Line:
    spot_usd = None if spot is None else Decimal(spot)
    key = Key("gcp", "Vertex AI", component, item, "hour")
    return Line(key, "us-central1", Decimal(usd), spot_usd, "2026-11-01", "our contract", "own")


def test_spot_nodes_have_the_price_of_spot(make: Make, price: Price) -> None:
    inputs = pool(high=1)
    inputs["dedicatedResources"]["spot"] = True
    assert not price(make(POOL, inputs)).items
    lines = [own("online-prediction", "n1-standard-4", "0.2", "0.05")]
    assert price(make(POOL, inputs), own=lines).items[0].dollars.likely == Decimal("36.50")


def test_accelerators_of_a_workbench_are_counted(make: Make, price: Price) -> None:
    def instance(**more: Any) -> Resource:
        setup = {"machineType": "n1-standard-4", "acceleratorConfigs": [{"type": "NVIDIA_TESLA_T4", **more}]}
        return make("gcp:workbench/instance:Instance", {"location": "us-central1-a", "gceSetup": setup})

    lines = [own("workbench", "NVIDIA_TESLA_T4", "0.5")]
    assert price(instance(), own=lines).items[2].dollars.likely == Decimal("365.00")  # 0.5 x 730
    assert price(instance(coreCount="2"), own=lines).items[2].dollars.likely == Decimal("730.00")


def test_pools_of_a_persistent_resource_scale_between_their_bounds(make: Make, price: Price) -> None:
    scaling = {"minReplicaCount": "1", "maxReplicaCount": "3"}
    pools = [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 9, "autoscalingSpec": scaling}]
    inputs = {"location": "us-central1", "resourcePools": pools}
    found = price(make("gcp:vertex/aiPersistentResource:AiPersistentResource", inputs))
    assert [(item.dollars.low, item.dollars.high) for item in found.items] == [
        (Decimal("159.50"), Decimal("478.51")),  # 0.21849885 x 730, x 3
        (Decimal("19.55"), Decimal("58.65")),
    ]


def test_a_cache_of_another_kind_is_unpriced(make: Make, price: Price) -> None:
    token, inputs = "gcp:redis/instance:Instance", {"region": "us-central1", "memorySizeGb": 5}
    reasons = [
        price(make(token, {**inputs, **more})).unpriced[0].reason for more in ({"tier": "GOLD"}, {"replicaCount": 2})
    ]
    assert reasons == ["the tier GOLD is not known here", "several read replicas (replicaCount) are billed by node"]


def test_a_training_job_of_the_native_provider(make: Make, price: Price) -> None:
    spec = {"machineType": "n1-standard-4"}
    pools = [{"machineSpec": spec, "replicaCount": "1"}, {"machineSpec": spec, "replicaCount": "2"}]
    job = {"workerPoolSpecs": pools, "scheduling": {"timeout": "7200s"}}
    resource = make("google-native:aiplatform/v1:CustomJob", {"location": "us-central1", "jobSpec": job})
    found = price(resource)
    assert [item.dollars.likely for item in found.items] == [Decimal("0.44"), Decimal("0.87")]  # 0.21849885 x 2, x 2
    assert found.one_off is not None
    assert found.idle == 0
    monthly = price(resource, usage={"main": {"runs": 30, "run_hours": 1}})
    assert monthly.monthly is not None
    assert monthly.monthly.likely == Decimal("19.66")  # 0.21849885 x 30 runs, of one machine and of two
    assert monthly.idle == 0
    endless = price(make(resource.type, {"location": "us-central1", "jobSpec": {"workerPoolSpecs": pools}}))
    assert endless.unpriced[0].reason == "nothing says how long it takes; state usage.main.run_hours"
