"""Updates are read from replies of the providers' shapes, served here; whatever goes wrong changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlinfra.prices.book import Price
from mlinfra.prices.own import read_table, repository_book
from mlinfra.prices.update import update
from mlinfra.prices.update.http import ATTEMPTS, Client
from mlinfra.problems import MlinfraError, Problems, WrongUse

TODAY = date(2026, 11, 22)
Reply = tuple[int, str] | Callable[[Mapping[str, list[str]], Mapping[str, str]], tuple[int, str]]


class Server:
    """Answers each path with its replies, one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                outer.asked.append(self.path)
                outer.headers.append(dict(self.headers))
                replies = outer.replies.get(parts.path) or [(404, "not here")]
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                status, body = reply(parse_qs(parts.query), dict(self.headers)) if callable(reply) else reply
                if status == 0:  # the connection breaks in the middle of an answer
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(body.encode())
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server()
    yield made
    made.close()


def asked(root: Path, provider: str, server: Server, *regions: str) -> dict[str, Price]:
    update(root, provider, regions, client=Client(pause=lambda _: None), origin=server.origin, today=TODAY)
    prices, problems = read_table((root / "prices" / f"{provider}.csv").read_text(), provider)
    assert not problems
    return {f"{price.key} {price.region}": price for price in prices}


# AWS ---------------------------------------------------------------------------------------------------------------


def product(sku: str, kind: str, usage: str) -> dict[str, Any]:
    attributes = {
        "servicecode": "AmazonSageMaker",
        "platoinstancetype": kind,
        "usagetype": usage,
        "regionCode": "eu-west-1",
    }
    return {"sku": sku, "productFamily": "ML Instance", "attributes": attributes}


def term(sku: str, usd: str, unit: str = "Hrs") -> dict[str, Any]:
    dimension = {"unit": unit, "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": usd}}
    return {
        f"{sku}.JRTCKXETXF": {
            "offerTermCode": "JRTCKXETXF",
            "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension},
        }
    }


SAGEMAKER = {
    "formatVersion": "v1.0",
    "offerCode": "AmazonSageMaker",
    "version": "20261120153012",
    "publicationDate": "2026-11-20T15:30:12Z",
    "products": {
        "A1": product("A1", "Hosting", "EU-Host:ml.m5.xlarge"),
        "A2": product("A2", "Training", "EU-Train:ml.m5.xlarge"),
        "A3": product("A3", "Studio-JupyterLab", "EU-Studio_JupyterLab:JupyterLab-ml.t3.medium"),
        "A4": product("A4", "Cluster", "EU-Cluster:ml.m5.xlarge"),
        "A5": {"sku": "A5", "productFamily": "Storage", "attributes": {"usagetype": "EU-Host:VolumeUsage.gp2"}},
        "A6": product("A6", "Hosting", "EU-Host:ml.free.xlarge"),
    },
    "terms": {
        "OnDemand": {
            "A1": term("A1", "0.2570000000"),
            "A2": term("A2", "0.2560000000"),
            "A3": term("A3", "0.0540000000"),
            "A4": term("A4", "0.3000000000"),
            "A5": term("A5", "0.1540000000", "GB-Mo"),
            "A6": term("A6", "0.0000000000"),
        },
        "Reserved": {},
    },
}
EC2_HEADER = (
    '"SKU","OfferTermCode","RateCode","TermType","PriceDescription","EffectiveDate","StartingRange","EndingRange","Unit",'
    '"PricePerUnit","Currency","Product Family","serviceCode","Location","Location Type","Instance Type","Tenancy",'
    '"Operating System","License Model","CapacityStatus","Pre Installed S/W","usageType","operation","Region Code"'
)


def ec2(machine: str, usd: str, term_type: str = "OnDemand", tenancy: str = "Shared", system: str = "Linux") -> str:
    return (
        f'"S","T","R","{term_type}","$ per hour, On Demand","2026-11-01","0","Inf","Hrs","{usd}","USD",'
        f'"Compute Instance","AmazonEC2","EU (Ireland)","AWS Region","{machine}","{tenancy}","{system}",'
        '"No License required","Used","NA","EU-BoxUsage","RunInstances","eu-west-1"'
    )


EC2 = "\n".join([
    '"FormatVersion","v1.0"',
    '"Disclaimer","for information only"',
    '"Publication Date","2026-11-20T10:00:00Z"',
    '"Version","20261120100000"',
    '"OfferCode","AmazonEC2"',
    EC2_HEADER,
    ec2("m5.large", "0.1070000000"),
    ec2("m5.large", "0.1990000000", system="Windows"),
    ec2("m5.large", "0.1177000000", tenancy="Dedicated"),
    ec2("m5.large", "0.0680000000", term_type="Reserved"),
])  # fmt: skip


def aws(server: Server, sagemaker: Reply | None = None, table: Reply | None = None, region: str = "eu-west-1") -> None:
    offers = "/offers/v1.0/aws"
    server.replies[f"{offers}/AmazonSageMaker/current/{region}/index.json"] = [
        sagemaker or (200, json.dumps(SAGEMAKER))
    ]
    server.replies[f"{offers}/AmazonEC2/current/{region}/index.csv"] = [table or (200, EC2)]


def test_aws_machines_are_read_from_the_offer_files(tmp_path: Path, server: Server) -> None:
    aws(server)
    found = asked(tmp_path, "aws", server, "eu-west-1")
    assert {name: (price.usd, price.as_of) for name, price in found.items()} == {
        "EC2/EKS node compute m5.large eu-west-1": (Decimal("0.1070000000"), "2026-11-22"),
        "SageMaker realtime-hosting ml.m5.xlarge eu-west-1": (Decimal("0.2570000000"), "2026-11-20"),
        "SageMaker training ml.m5.xlarge eu-west-1": (Decimal("0.2560000000"), "2026-11-20"),
        "SageMaker studio-jupyterlab ml.t3.medium eu-west-1": (Decimal("0.0540000000"), "2026-11-20"),
    }


def test_the_book_prefers_what_was_updated(tmp_path: Path, server: Server) -> None:
    aws(server)
    key = asked(tmp_path, "aws", server, "eu-west-1")["SageMaker realtime-hosting ml.m5.xlarge eu-west-1"].key
    found = repository_book(tmp_path).find(key, "eu-west-1")
    assert isinstance(found, Price)
    assert found.usd == Decimal("0.257")


# Azure -------------------------------------------------------------------------------------------------------------


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


LOGS = "Analytics Logs Data Ingestion"
METERS = [
    machine("D4s v5", 0.23),
    machine("D4s v5", 0.414, "Virtual Machines Dsv5 Series Windows"),
    machine("D4s v5 Spot", 0.046),
    machine("D4s v5 Low Priority", 0.047),
    machine("D4s v5", 1000.0, type="Reservation", reservationTerm="1 Year"),
    machine("D4s v5", 0.2, currencyCode="EUR"),
    meter("Virtual Machines", "Dsv5 Series Dedicated Host", "Dsv5_Type1", "Type1", 5.0, armSkuName="Dsv5_Type1"),
    meter("Container Registry", "Container Registry", "Basic", "Basic Registry Unit", 0.1666, "1/Day"),
    meter("Redis Cache", "Azure Redis Cache Standard", "C1", "C1 Cache", 0.164),
    meter("Redis Cache", "Azure Redis Cache Standard", "C1", "C1 Cache Instance", 0.082),
    meter("Storage", "Blob Storage", "Hot LRS", "Hot LRS Data Stored", 0.0196, "1 GB/Month"),
    meter("Storage", "Blob Storage", "Hot LRS", "Hot LRS Data Stored", 0.0188, "1 GB/Month", tierMinimumUnits=51200.0),
    meter("Storage", "Files v2", "Hot LRS", "Hot LRS Data Stored", 0.0287, "1 GB/Month"),
    meter("Storage", "Premium SSD Managed Disks", "P10 LRS", "P10 LRS Disk", 21.68, "1/Month"),
    meter("Log Analytics", "Log Analytics", "Analytics Logs", LOGS, 0.0, "1 GB"),
    meter("Log Analytics", "Log Analytics", "Analytics Logs", LOGS, 2.76, "1 GB", tierMinimumUnits=5.0),
    meter("Key Vault", "Key Vault", "Standard", "Operations", 0.03, "10K"),
]  # fmt: skip


def azure(server: Server) -> Reply:
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


def test_azure_meters_are_read_page_by_page(tmp_path: Path, server: Server) -> None:
    server.replies["/api/retail/prices"] = [azure(server)]
    found = asked(tmp_path, "azure", server, "westeurope")
    assert {name.removesuffix(" westeurope"): (price.usd, price.spot_usd) for name, price in found.items()} == {
        "Virtual Machines compute Standard_D4s_v5": (Decimal("0.23"), Decimal("0.046")),
        "Virtual Machines low-priority Standard_D4s_v5": (Decimal("0.047"), None),
        "Container Registry registry Basic": (Decimal("0.1666"), None),
        "Redis Cache redis Standard C1": (Decimal("0.164"), None),
        "Blob Storage storage Hot LRS": (Decimal("0.0196"), None),
        "Managed Disks disk P10": (Decimal("21.68"), None),
        "Log Analytics logs Analytics Logs ingestion": (Decimal("2.76"), None),
        "Key Vault operations Standard": (Decimal("0.03"), None),
    }


# Google Cloud ------------------------------------------------------------------------------------------------------

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


def google(server: Server) -> None:
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
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET)
    google(server)
    found = asked(tmp_path, "gcp", server, "us-central1")
    node = found["GCE/GKE node compute n1-standard-4 us-central1"]
    assert (node.usd, node.spot_usd) == (Decimal("0.189999"), Decimal("0.04"))  # 4 x 0.031611 + 15 x 0.004237
    amounts = {name.removesuffix(" us-central1"): price.usd for name, price in found.items()}
    assert amounts["Vertex AI online-prediction n1-standard-4"] == Decimal("0.219")
    assert amounts["Vertex AI custom-training n1-standard-4"] == Decimal("0.21849885")
    assert amounts["Vertex AI online-prediction NVIDIA_H100_80GB"] == Decimal("11.2660332")
    assert amounts["Vertex AI custom-training NVIDIA_H100_80GB"] == Decimal("9.79655057")
    assert amounts["GCE/GKE node compute nvidia-tesla-t4"] == Decimal("0.35")
    assert not any("n2d" in name or "e2-" in name for name in amounts)  # one of the two rates is not there


def test_the_key_is_told_to_nobody(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", f"{SECRET}-wrong")
    google(server)
    with pytest.raises(MlinfraError, match="gave no prices: it answered 403; nothing was changed") as failure:
        asked(tmp_path, "gcp", server, "us-central1")
    assert SECRET not in f"{failure.value} {failure.value.remedy} {server.asked} {capfd.readouterr()}"
    monkeypatch.delenv("GOOGLE_API_KEY")
    with pytest.raises(WrongUse, match="GOOGLE_API_KEY is not set"):
        asked(tmp_path, "gcp", server, "us-central1")


# What goes wrong ---------------------------------------------------------------------------------------------------


def test_what_is_busy_or_breaks_is_asked_again(tmp_path: Path, server: Server) -> None:
    aws(server)
    path = "/offers/v1.0/aws/AmazonSageMaker/current/eu-west-1/index.json"
    server.replies[path] = [
        (503, "busy"),
        (429, "slowly"),
        (0, json.dumps(SAGEMAKER)[:500]),
        (200, json.dumps(SAGEMAKER)),
    ]
    assert len(asked(tmp_path, "aws", server, "eu-west-1")) == 4
    assert server.asked.count(path) == 4


def broken(**changes: Any) -> Reply:
    return 200, json.dumps({**SAGEMAKER, **changes})


@pytest.mark.parametrize(
    ("sagemaker", "table", "message"),
    [
        ((503, "busy"), None, "gave no prices: it answered 503; nothing was changed"),
        ((404, "no"), None, "gave no prices: it answered 404; nothing was changed"),
        ((302, "elsewhere"), None, "gave no prices: it answered 302; nothing was changed"),
        ((0, "{"), None, "nothing was changed"),
        ((200, "<html>Service unavailable</html>"), None, "not understood"),
        ((200, "[]"), None, "not understood"),
        ((200, "{}"), None, r"not understood \(KeyError: 'publicationDate'\); nothing was changed"),
        (broken(publicationDate="soon"), None, "not understood"),
        (broken(terms={"OnDemand": {"A1": term("A1", "much")}}), None, "not understood"),
        (None, (200, "SKU\n"), "not understood"),
        (None, (200, "<html></html>"), "not understood"),
        (None, (500, ""), "it answered 500"),
    ],
)
def test_a_bad_answer_changes_nothing(
    sagemaker: Reply | None, table: Reply | None, message: str, tmp_path: Path, server: Server
) -> None:
    aws(server)
    asked(tmp_path, "aws", server, "eu-west-1")
    before = (tmp_path / "prices" / "aws.csv").read_text()
    aws(server, sagemaker, table)
    with pytest.raises(MlinfraError, match=message):
        asked(tmp_path, "aws", server, "eu-west-1")
    assert (tmp_path / "prices" / "aws.csv").read_text() == before
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["aws.csv"]


def test_nobody_is_asked_for_ever(tmp_path: Path, server: Server) -> None:
    aws(server, (503, "busy"))
    pauses: list[float] = []
    with pytest.raises(MlinfraError):
        update(tmp_path, "aws", ["eu-west-1"], client=Client(pause=pauses.append), origin=server.origin)
    assert len(server.asked) == ATTEMPTS
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_is_not_there_changes_nothing(tmp_path: Path, server: Server) -> None:
    server.close()
    with pytest.raises(MlinfraError, match=r"127\.0\.0\.1 gave no prices"):
        asked(tmp_path, "aws", server, "eu-west-1")
    assert not (tmp_path / "prices").exists()


def test_one_bad_region_of_several_changes_nothing(tmp_path: Path, server: Server) -> None:
    aws(server)
    with pytest.raises(MlinfraError, match="it answered 404"):
        asked(tmp_path, "aws", server, "eu-west-1", "mars-north-1")
    assert not (tmp_path / "prices").exists()


def test_a_region_without_a_price_is_said(tmp_path: Path, server: Server) -> None:
    empty: dict[str, Any] = {"Items": [], "NextPageLink": None, "Count": 0}
    server.replies["/api/retail/prices"] = [(200, json.dumps(empty))]
    with pytest.raises(MlinfraError, match="azure has no price in the region 'West Europe'; nothing was changed"):
        asked(tmp_path, "azure", server, "West Europe")


def test_what_the_table_says_of_other_regions_stays(tmp_path: Path, server: Server) -> None:
    aws(server)
    asked(tmp_path, "aws", server, "eu-west-1")
    aws(server, broken(terms={"OnDemand": {"A1": term("A1", "0.3")}}), region="us-east-1")
    found = asked(tmp_path, "aws", server, "us-east-1")
    assert len([name for name in found if name.endswith(" eu-west-1")]) == 4
    assert found["SageMaker realtime-hosting ml.m5.xlarge us-east-1"].usd == Decimal("0.3")


def test_an_update_says_how_much_it_changed(tmp_path: Path, server: Server) -> None:
    aws(server)
    first, second = (
        update(tmp_path, "aws", ["eu-west-1"], client=Client(), origin=server.origin, today=TODAY) for _ in range(2)
    )
    assert (first.path, first.prices, first.changed) == ("prices/aws.csv", 4, 4)
    assert (second.prices, second.changed) == (4, 0)


def test_a_damaged_table_is_not_overwritten(tmp_path: Path, server: Server) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "aws.csv").write_text("something else\n")
    with pytest.raises(Problems):
        asked(tmp_path, "aws", server, "eu-west-1")
    assert server.asked == []


def test_a_provider_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"no prices of 'azur' can be asked for \(did you mean 'azure'\?\)"):
        update(tmp_path, "azur")
