"""Google Cloud: amounts computed by hand from the list prices that are shipped."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

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
