"""Azure: the Retail Prices API, which asks for no key.

Shapes: learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices. Names of meters count case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from mlinfra.prices.book import Key, Price
from mlinfra.prices.update.http import Client

ORIGIN = "https://prices.azure.com"
_API = "/api/retail/prices"
Meter = Mapping[str, Any]


def prices(region: str, client: Client, origin: str, today: date) -> list[Price]:
    """Return the prices in a region of machines, blobs, disks, registries, caches, logs and key vaults."""
    found: list[Price] = []
    for service, read in _SERVICES.items():
        meters = list(_meters(service, region, client, origin))
        amounts = {key: usd for meter in meters for key, usd in _one(read(meter), meter)}
        spot = {key: usd for meter in meters for key, usd in _one(_spot(meter), meter)} if read is _machine else {}
        found += [
            Price(key, region, usd, spot.get(key), today.isoformat(), f"{ORIGIN}{_API}", "api-quoted")
            for key, usd in amounts.items()
        ]
    return found


def _meters(service: str, region: str, client: Client, origin: str) -> Iterator[Meter]:
    said = f"serviceName eq '{service}' and armRegionName eq '{region}' and priceType eq 'Consumption'"
    page = client.json(f"{origin or ORIGIN}{_API}", {"$filter": said})
    while True:
        for meter in page["Items"]:
            if meter["currencyCode"] == "USD" and meter["type"] == "Consumption":
                yield meter
        if not page.get("NextPageLink"):
            return
        page = client.json(page["NextPageLink"])


def _one(key: Key | None, meter: Meter) -> Iterator[tuple[Key, Decimal]]:
    usd = Decimal(str(meter["retailPrice"]))
    if key is not None and usd > 0:
        yield key, usd


def _machine(meter: Meter) -> Key | None:
    if not _linux(meter) or _ends(meter, " Spot"):
        return None
    component = "low-priority" if _ends(meter, " Low Priority") else "compute"
    return Key("azure", "Virtual Machines", component, meter["armSkuName"], "hour")


def _spot(meter: Meter) -> Key | None:
    spot = _linux(meter) and _ends(meter, " Spot")
    return Key("azure", "Virtual Machines", "compute", meter["armSkuName"], "hour") if spot else None


def _ends(meter: Meter, ending: str) -> bool:
    return any(meter[name].endswith(ending) for name in ("skuName", "meterName"))


def _linux(meter: Meter) -> bool:
    """Whether a machine is billed with Linux: `Virtual Machines Dsv5 Series`, `NCads A100 v4 Series Linux`."""
    plain = re.search(r"\bseries( linux)?$", meter["productName"], re.IGNORECASE) is not None
    return plain and meter["unitOfMeasure"] == "1 Hour" and meter["armSkuName"].startswith("Standard_")


def _registry(meter: Meter) -> Key | None:
    found = re.fullmatch(r"(Basic|Standard|Premium) Registry Unit", meter["meterName"])
    if found is None or meter["unitOfMeasure"] != "1/Day":
        return None
    return Key("azure", "Container Registry", "registry", found[1], "day")


def _cache(meter: Meter) -> Key | None:
    """Return the key of a whole cache; `C1 Cache Instance` is the price of one of its nodes."""
    tier = re.fullmatch(r"Azure Redis Cache (Basic|Standard|Premium)", meter["productName"])
    size = re.fullmatch(r"([CP]\d) Cache", meter["meterName"])
    if tier is None or size is None or meter["unitOfMeasure"] != "1 Hour":
        return None
    return Key("azure", "Redis Cache", "redis", f"{tier[1]} {size[1]}", "hour")


def _storage(meter: Meter) -> Key | None:
    blob = re.fullmatch(r"((?:Hot|Cool|Cold|Archive) \w+) Data Stored", meter["meterName"])
    if meter["productName"] == "Blob Storage" and blob and meter["tierMinimumUnits"] == 0:
        return Key("azure", "Blob Storage", "storage", blob[1], "GB-month")
    disk = re.fullmatch(r"(P\d+) LRS Disk", meter["meterName"])
    if meter["productName"] == "Premium SSD Managed Disks" and disk and meter["unitOfMeasure"] == "1/Month":
        return Key("azure", "Managed Disks", "disk", disk[1], "month")
    return None


def _logs(meter: Meter) -> Key | None:
    """Return the key of what comes in; the first tier is free."""
    if meter["meterName"] != "Analytics Logs Data Ingestion" or meter["unitOfMeasure"] != "1 GB":
        return None
    return Key("azure", "Log Analytics", "logs", "Analytics Logs ingestion", "GB")


def _vault(meter: Meter) -> Key | None:
    if meter["meterName"] != "Operations" or meter["unitOfMeasure"] != "10K":
        return None
    return Key("azure", "Key Vault", "operations", meter["skuName"], "10K")


_SERVICES: Mapping[str, Callable[[Meter], Key | None]] = {
    "Virtual Machines": _machine,
    "Container Registry": _registry,
    "Redis Cache": _cache,
    "Storage": _storage,
    "Log Analytics": _logs,
    "Key Vault": _vault,
}
"""By the API's name of a service: what a meter is the price of."""
