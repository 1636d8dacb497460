"""Updates are read from replies of the shapes of Azure Retail Prices and of Google's Billing Catalog, served here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.problems import MlinfraError, WrongUse

if TYPE_CHECKING:
    from tests.prices.conftest import PriceServer, Reply


def meter(
    service: str, product: str, sku: str, name: str, usd: float, unit: str = "1 Hour", **more: Any
) -> dict[str, Any]:
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": "westeurope",
        "location": "EU West",
        "effectiveStartDate": "2023-04-01T00:00:00Z",
        "meterName": name,
        "productName": product,
        "skuName": sku,
        "serviceName": service,
        "serviceFamily": "Compute",
        "unitOfMeasure": unit,
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": "",
        **more,
    }


def machine(sku: str, usd: float, product: str = "Virtual Machines Dsv5 Series", **more: Any) -> dict[str, Any]:
    return meter("Virtual Machines", product, sku, "D4s v5", usd, armSkuName="Standard_D4s_v5", **more)


A100, D2 = "Standard_NC24ads_A100_v4", "Standard_D2s_v7"
LOGS = "Analytics Logs Data Ingestion"
METERS = [
    machine("D4s v5", 0.23),
    machine("D4s v5", 0.414, "Virtual Machines Dsv5 Series Windows"),
    machine("D4s v5 Spot", 0.046),
    machine("D4s v5 Low Priority", 0.047),
    machine("D4s v5", 1000.0, type="Reservation", reservationTerm="1 Year"),
    machine("D4s v5", 0.2, currencyCode="EUR"),
    meter("Virtual Machines", "NCads A100 v4 Series Linux", "NC24ads", "NC24ads", 3.673, armSkuName=A100),
    meter("Virtual Machines", "NCads A100 v4 Series Linux", "NC24ads", "NC24ads Spot", 0.7, armSkuName=A100),
    meter("Virtual Machines", "Virtual Machines Dsv7-series Linux", "D2s v7", "D2s v7", 0.135, armSkuName=D2),
    meter("Virtual Machines", "Dsv3 Series Cloud Services", "D2s v7", "D2s v7", 0.2, armSkuName=D2),
    meter("Virtual Machines", "Dsv5 Series Dedicated Host", "Dsv5_Type1", "Type1", 5.0, armSkuName="Dsv5_Type1"),
    meter("Container Registry", "Container Registry", "Basic", "Basic Registry Unit", 0.1666, "1/Day"),
    meter("Redis Cache", "Azure Redis Cache Standard", "C1", "C1 Cache", 0.164),
    meter("Redis Cache", "Azure Redis Cache Standard", "C1", "C1 Cache Instance", 0.082),
    meter("Storage", "Blob Storage", "Hot LRS", "Hot LRS Data Stored", 0.0196, "1 GB/Month"),
    meter("Storage", "Blob Storage", "Hot LRS", "Hot LRS Data Stored", 0.0188, "1 GB/Month", tierMinimumUnits=51200.0),
    meter("Storage", "Files v2", "Hot LRS", "Hot LRS Data Stored", 0.0287, "1 GB/Month"),
    meter("Storage", "Premium SSD Managed Disks", "P10 LRS", "P10 LRS Disk", 21.68, "1/Month"),
    meter("Log Analytics", "Log Analytics", "Analytics Logs", LOGS, 2.76, "1 GB", tierMinimumUnits=5.0),
    meter("Log Analytics", "Log Analytics", "Analytics Logs", LOGS, 0.0, "1 GB"),
    meter("Key Vault", "Key Vault", "Standard", "Operations", 0.03, "10K"),
]  # fmt: skip


def azure(server: PriceServer) -> Reply:
    """Answer as the API does: two meters a page, the next page by its whole address."""

    def reply(query: Mapping[str, list[str]], headers: Mapping[str, str]) -> tuple[int, str]:
        said = query["$filter"][0]
        assert "armRegionName eq 'westeurope'" in said
        found = [each for each in METERS if f"serviceName eq '{each['serviceName']}'" in said]
        skip = int(query.get("$skip", ["0"])[0])
        rest = len(found) > skip + 2
        link = f"{server.origin}/api/retail/prices?$filter={said}&$skip={skip + 2}" if rest else None
        page = found[skip : skip + 2]
        body = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail", "Items": page}
        return 200, json.dumps({**body, "NextPageLink": link, "Count": len(page)})

    return reply


def test_azure_meters_are_read_page_by_page(tmp_path: Path, server: PriceServer) -> None:
    server.replies["/api/retail/prices"] = [azure(server)]
    found = server.updated(tmp_path, "azure", "westeurope")
    assert {name.removesuffix(" westeurope"): (price.usd, price.spot_usd) for name, price in found.items()} == {
        "Virtual Machines compute Standard_D4s_v5": (Decimal("0.23"), Decimal("0.046")),
        "Virtual Machines compute Standard_NC24ads_A100_v4": (Decimal("3.673"), Decimal("0.7")),
        "Virtual Machines compute Standard_D2s_v7": (Decimal("0.135"), None),
        "Virtual Machines low-priority Standard_D4s_v5": (Decimal("0.047"), None),
        "Container Registry registry Basic": (Decimal("0.1666"), None),
        "Redis Cache redis Standard C1": (Decimal("0.164"), None),
        "Blob Storage storage Hot LRS": (Decimal("0.0196"), None),
        "Managed Disks disk P10": (Decimal("21.68"), None),
        "Log Analytics logs Analytics Logs ingestion": (Decimal("2.76"), None),
        "Key Vault operations Standard": (Decimal("0.03"), None),
    }


SECRET = "AIza-not-to-be-seen"


def sku(
    description: str, nanos: int, unit: str = "h", units: str = "0", usage: str = "OnDemand", **more: Any
) -> dict[str, Any]:
    price = {"currencyCode": "USD", "units": units, "nanos": nanos}
    expression = {"usageUnit": unit, "displayQuantity": 1, "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}]}
    return {
        "name": "services/X/skus/Y",
        "skuId": "Y",
        "description": description,
        "category": {"serviceDisplayName": "Compute Engine", "resourceFamily": "Compute", "usageType": usage},
        "serviceRegions": ["us-central1", "us-east1", "us-west1"],
        "pricingInfo": [{"summary": "", "pricingExpression": expression, "currencyConversionRate": 1}],
        "serviceProviderName": "Google",
        **more,
    }


COMPUTE = [
    sku("N1 Predefined Instance Core running in Americas", 31611000),
    sku("N1 Predefined Instance Ram running in Americas", 4237000, "GiBy.h"),
    sku("Spot Preemptible N1 Predefined Instance Core running in Americas", 6655000, usage="Preemptible"),
    sku("Spot Preemptible N1 Predefined Instance Ram running in Americas", 892000, "GiBy.h", usage="Preemptible"),
    sku("N2D AMD Instance Core running in Americas", 27502000),
    sku("Custom Instance Core running in Americas", 33174000),
    sku("Commitment v1: N2 Cpu in Americas for 1 Year", 19915000, usage="Commit1Yr"),
    sku("Nvidia Tesla T4 GPU running in Americas", 350000000),
    sku("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas", 140000000, usage="Preemptible"),
]
VERTEX = [
    sku("Vertex AI: Online/Batch Prediction N1 Predefined Instance Core running in Americas", 36000000),
    sku("Vertex AI: Online/Batch Prediction N1 Predefined Instance Ram running in Americas", 5000000, "GiBy.h"),
    sku("Vertex AI: Training/Pipelines on N1 Predefined Instance Core running in Americas", 36352650),
    sku("Vertex AI: Training/Pipelines on N1 Predefined Instance Ram running in Americas", 4872550, "GiBy.h"),
    sku("Vertex AI: Training/Pipelines Management fee on N1 Instance Core in Americas", 4741600),
    sku("Vertex AI: Online/Batch Prediction Nvidia H100 80gb GPU running in Iowa", 266033200, units="11"),
    sku("Vertex AI: Training/Pipelines on NVIDIA H100 80GB in Iowa", 796550570, units="9"),
    sku("Vertex AI: Online/Batch Prediction E2 Instance Core running in Paris", 99, serviceRegions=["europe-west9"]),
]


def google(server: PriceServer) -> None:
    """Answer as the catalog does: a few SKUs a page, with a token for the next one; only with a key."""

    def answering(skus: list[dict[str, Any]]) -> Reply:
        def reply(query: Mapping[str, list[str]], headers: Mapping[str, str]) -> tuple[int, str]:
            if headers.get("X-Goog-Api-Key") != SECRET:
                return 403, json.dumps({"error": {"code": 403, "status": "PERMISSION_DENIED"}})
            start = int(query.get("pageToken", ["0"])[0])
            rest = str(start + 3) if len(skus) > start + 3 else ""
            return 200, json.dumps({"skus": skus[start : start + 3], "nextPageToken": rest})

        return reply

    server.replies["/v1/services/6F81-5844-456A/skus"] = [answering(COMPUTE)]
    server.replies["/v1/services/C7E2-9256-1C43/skus"] = [answering(VERTEX)]


def test_google_machines_are_composed_of_cores_and_memory(
    tmp_path: Path, server: PriceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET)
    google(server)
    found = server.updated(tmp_path, "gcp", "us-central1")
    node = found["GCE/GKE node compute n1-standard-4 us-central1"]
    assert (node.usd, node.spot_usd) == (Decimal("0.189999"), Decimal("0.04"))  # 4 x 0.031611 + 15 x 0.004237
    assert (node.quality, node.note) == ("derived", "4 vCPU and 15 GiB")
    amounts = {name.removesuffix(" us-central1"): price.usd for name, price in found.items()}
    assert amounts["Vertex AI online-prediction n1-standard-4"] == Decimal("0.219")
    assert amounts["Vertex AI custom-training n1-standard-4"] == Decimal("0.21849885")
    assert amounts["Vertex AI online-prediction NVIDIA_H100_80GB"] == Decimal("11.2660332")
    assert amounts["Vertex AI custom-training NVIDIA_H100_80GB"] == Decimal("9.79655057")
    assert amounts["GCE/GKE node compute nvidia-tesla-t4"] == Decimal("0.35")
    assert not any("n2d" in name or "e2-" in name for name in amounts)  # one of the two rates is not there


def test_the_key_is_told_to_nobody(
    tmp_path: Path, server: PriceServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", f"{SECRET}-wrong")
    google(server)
    with pytest.raises(MlinfraError, match="gave no prices: it answered 403; nothing was changed") as failure:
        server.updated(tmp_path, "gcp", "us-central1")
    assert SECRET not in f"{failure.value} {failure.value.remedy} {server.asked} {capfd.readouterr()}"
    monkeypatch.delenv("GOOGLE_API_KEY")
    with pytest.raises(WrongUse, match="GOOGLE_API_KEY is not set"):
        server.updated(tmp_path, "gcp", "us-central1")
