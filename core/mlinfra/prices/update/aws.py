"""AWS: the offer files of the Price List, one of each service and region.

Shapes: docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/bulk-api-reading-price-list-files.html. SageMaker's file
is read as JSON. That of EC2 has hundreds of megabytes, so its CSV is read line by line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import httpx

from mlinfra.prices.book import Key, Price
from mlinfra.prices.update.http import Client

ORIGIN = "https://pricing.us-east-1.amazonaws.com"
_COMPONENTS = {
    "Hosting": "realtime-hosting",
    "Training": "training",
    "Processing": "processing",
    "BatchTransform": "batch-transform",
    "Notebook": "notebook-instance",
    "Studio-JupyterLab": "studio-jupyterlab",
}
"""By `platoinstancetype`: the component of the price book."""

_MACHINE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+$")
"""At the end of a usage type: `EU-Host:ml.m5.xlarge`."""

_WANTED = {
    "TermType": "OnDemand",
    "Operating System": "Linux",
    "Tenancy": "Shared",
    "Pre Installed S/W": "NA",
    "CapacityStatus": "Used",
    "Unit": "Hrs",
    "Currency": "USD",
}
"""What a line of EC2's table says that is the plain price of a machine."""


def prices(region: str, client: Client, origin: str, today: date) -> list[Price]:
    """Return the prices of SageMaker's and EC2's machines in a region."""
    offers = f"{origin or ORIGIN}/offers/v1.0/aws"
    sagemaker = client.json(f"{offers}/AmazonSageMaker/current/{region}/index.json")
    found = [Price(key, region, usd, None, as_of, ORIGIN, "api-quoted") for key, usd, as_of in _sagemaker(sagemaker)]
    table = client.get(f"{offers}/AmazonEC2/current/{region}/index.csv", _ec2)
    source = f"{ORIGIN}/offers/v1.0/aws/AmazonEC2"
    found += [
        Price(
            Key("aws", "EC2/EKS node", "compute", machine, "hour"),
            region,
            usd,
            None,
            today.isoformat(),
            source,
            "api-quoted",
        )
        for machine, usd in table.items()
    ]
    return found


def _sagemaker(offer: Mapping[str, Any]) -> Iterator[tuple[Key, Decimal, str]]:
    as_of = date.fromisoformat(offer["publicationDate"][:10]).isoformat()
    for sku, product in offer["products"].items():
        attributes = product["attributes"]
        component = _COMPONENTS.get(attributes.get("platoinstancetype", ""))
        machine = _MACHINE.search(attributes.get("usagetype", ""))
        if component is None or machine is None:
            continue
        for term in offer["terms"]["OnDemand"].get(sku, {}).values():
            for dimension in term["priceDimensions"].values():
                usd = Decimal(dimension["pricePerUnit"]["USD"])
                if dimension["unit"].lower() in ("hrs", "hours") and usd > 0:
                    yield Key("aws", "SageMaker", component, machine[0], "hour"), usd, as_of


def _ec2(response: httpx.Response) -> Mapping[str, Decimal]:
    """Return the price of each machine. Some lines stand above the header and say what the file is."""
    rows = csv.reader(response.iter_lines())
    header = next((row for row in rows if row[:1] == ["SKU"]), [])
    column = {name: number for number, name in enumerate(header)}
    checks = [(column[name], value) for name, value in _WANTED.items()]
    machine, usd = column["Instance Type"], column["PricePerUnit"]
    found: dict[str, Decimal] = {}
    for row in rows:
        if all(row[number] == value for number, value in checks) and Decimal(row[usd]) > 0:
            found[row[machine]] = Decimal(row[usd])
    return found
