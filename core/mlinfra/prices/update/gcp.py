"""Google Cloud: the Cloud Billing Catalog, with the user's own key.

Shapes: cloud.google.com/billing/docs/reference/rest/v1/services.skus/list. Google bills machines by core and GiB of
memory; the prices of machines are composed of those. The key travels in a header and is never printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from mlinfra.prices.book import Key, Price
from mlinfra.prices.update.http import Client
from mlinfra.problems import WrongUse

ORIGIN = "https://cloudbilling.googleapis.com"
VARIABLE = "GOOGLE_API_KEY"
_COMPUTE_ENGINE, _VERTEX = "6F81-5844-456A", "C7E2-9256-1C43"
_FAMILIES = {"n1 predefined": "n1", "n1": "n1", "n2": "n2", "e2": "e2", "n2d amd": "n2d", "compute optimized": "c2"}
"""By what the catalog calls it: the family of machines."""

_SMALL, _LARGE = (2, 4, 8, 16, 32), (2, 4, 8, 16, 32, 48, 64, 80)
_SHAPES: Mapping[str, Mapping[str, tuple[Decimal, tuple[int, ...]]]] = {
    "n1": {
        "standard": (Decimal("3.75"), (1, 2, 4, 8, 16, 32, 64, 96)),
        "highmem": (Decimal("6.5"), (2, 4, 8, 16, 32, 64, 96)),
        "highcpu": (Decimal("0.9"), (2, 4, 8, 16, 32, 64, 96)),
    },
    "n2": {"standard": (Decimal(4), _LARGE), "highmem": (Decimal(8), _LARGE), "highcpu": (Decimal(1), _LARGE)},
    "n2d": {"standard": (Decimal(4), _LARGE), "highmem": (Decimal(8), _LARGE)},
    "e2": {"standard": (Decimal(4), _SMALL), "highmem": (Decimal(8), _SMALL[:4]), "highcpu": (Decimal(1), _SMALL)},
    "c2": {"standard": (Decimal(4), (4, 8, 16, 30, 60))},
}
"""By family and kind: GiB of memory for each vCPU, and sizes in vCPU (cloud.google.com/compute/docs/machine-types)."""

_MACHINE = re.compile(
    r"(?P<place>Vertex AI: Training/Pipelines on |Vertex AI: Online/Batch Prediction |Spot Preemptible |)"
    r"(?P<family>N1 Predefined|N1|N2D AMD|N2|E2|Compute optimized)(?: Predefined)?(?: Instance)? "
    r"(?P<part>Core|Ram)(?: running)? in .+",
    re.IGNORECASE,
)
_ACCELERATOR = re.compile(
    r"(?P<place>Vertex AI: Training/Pipelines on |Vertex AI: Online/Batch Prediction |)"
    r"(?P<name>Nvidia (?:Tesla )?\w+(?: \d+gb)?)(?: GPU)?(?: running)? in .+",
    re.IGNORECASE,
)
_SPOT = "spot preemptible "
_PLACES = {
    "": ("GCE/GKE node", "compute"),
    _SPOT: ("GCE/GKE node", "compute"),
    "vertex ai: training/pipelines on ": ("Vertex AI", "custom-training"),
    "vertex ai: online/batch prediction ": ("Vertex AI", "online-prediction"),
}


def prices(region: str, client: Client, origin: str, today: date) -> list[Price]:
    """Return the prices of machines and accelerators in a region: of Compute Engine, training and prediction.

    Raises:
        WrongUse: there is no key.
    """
    key = os.environ.get(VARIABLE, "")
    if not key:
        raise WrongUse(
            f"Google's catalog asks for a key, and {VARIABLE} is not set",
            remedy="make an API key that may call the Cloud Billing API, and export it",
        )
    rates: dict[tuple[str, str, str], Decimal] = {}
    found: list[Price] = []
    for service in (_COMPUTE_ENGINE, _VERTEX):
        for sku in _skus(service, client, origin, key):
            if region in sku["serviceRegions"]:
                description = " ".join(sku["description"].split())
                if machine := _MACHINE.fullmatch(description):
                    place, family, part = (machine[name].lower() for name in ("place", "family", "part"))
                    rates[place, _FAMILIES[family], part] = _rate(sku, "h" if part == "core" else "GiBy.h")
                elif accelerator := _ACCELERATOR.fullmatch(description):
                    named = Key("gcp", *_PLACES[accelerator["place"].lower()], _accelerator(accelerator), "hour")
                    found.append(Price(named, region, _rate(sku, "h"), None, today.isoformat(), ORIGIN, "api-quoted"))
    return [*found, *_machines(rates, region, today)]


def _skus(service: str, client: Client, origin: str, key: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        page = client.json(
            f"{origin or ORIGIN}/v1/services/{service}/skus",
            {"pageSize": "5000", "currencyCode": "USD", **({"pageToken": token} if token else {})},
            {"X-Goog-Api-Key": key},
        )
        yield from page["skus"]
        token = page.get("nextPageToken", "")
        if not token:
            return


def _rate(sku: Mapping[str, Any], unit: str) -> Decimal:
    """Return the price of the last tier.

    Raises:
        ValueError: it is in another unit or currency.
    """
    expression = sku["pricingInfo"][-1]["pricingExpression"]
    price = expression["tieredRates"][-1]["unitPrice"]
    if expression["usageUnit"] != unit or price["currencyCode"] != "USD":
        raise ValueError(f"{sku['description']} is in {price['currencyCode']} for {expression['usageUnit']}")
    return Decimal(price.get("units", 0)) + Decimal(price.get("nanos", 0)) / 10**9


def _accelerator(found: re.Match[str]) -> str:
    """Return an accelerator's name as Vertex AI writes it, or as nodes of Kubernetes are labelled."""
    return found["name"].upper().replace(" ", "_") if found["place"] else found["name"].lower().replace(" ", "-")


def _machines(rates: Mapping[tuple[str, str, str], Decimal], region: str, today: date) -> Iterator[Price]:
    for place in _PLACES.keys() - {_SPOT}:
        for family, kinds in _SHAPES.items():
            for kind, (memory, sizes) in kinds.items():
                usd = _of_one_core(rates, place, family, memory)
                spot = None if place else _of_one_core(rates, _SPOT, family, memory)
                if usd is None:
                    continue
                for cores in sizes:
                    key = Key("gcp", *_PLACES[place], f"{family}-{kind}-{cores}", "hour")
                    amounts = (Decimal(cores) * usd, None if spot is None else cores * spot)
                    note = f"{cores} vCPU and {(memory * cores).normalize():f} GiB"
                    yield Price(key, region, *amounts, today.isoformat(), ORIGIN, "derived", note)


def _of_one_core(
    rates: Mapping[tuple[str, str, str], Decimal], place: str, family: str, memory: Decimal
) -> Decimal | None:
    """Return the price of a vCPU with its memory; None where one of the two has none."""
    core, ram = rates.get((place, family, "core")), rates.get((place, family, "ram"))
    return None if core is None or ram is None else core + ram * memory
