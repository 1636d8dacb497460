"""Updates are read from replies of AWS's shapes, served here; whatever goes wrong changes nothing."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.prices.book import Price
from mlinfra.prices.own import repository_book
from mlinfra.prices.update import update
from mlinfra.prices.update.http import ATTEMPTS, Client
from mlinfra.problems import MlinfraError, Problems, WrongUse

if TYPE_CHECKING:
    from tests.prices.conftest import PriceServer, Reply


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


def aws(
    server: PriceServer, sagemaker: Reply | None = None, table: Reply | None = None, region: str = "eu-west-1"
) -> None:
    offers = "/offers/v1.0/aws"
    server.replies[f"{offers}/AmazonSageMaker/current/{region}/index.json"] = [
        sagemaker or (200, json.dumps(SAGEMAKER))
    ]
    server.replies[f"{offers}/AmazonEC2/current/{region}/index.csv"] = [table or (200, EC2)]


def test_aws_machines_are_read_from_the_offer_files(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    found = server.updated(tmp_path, "aws", "eu-west-1")
    assert {name: (price.usd, price.as_of) for name, price in found.items()} == {
        "EC2/EKS node compute m5.large eu-west-1": (Decimal("0.1070000000"), "2026-11-22"),
        "SageMaker realtime-hosting ml.m5.xlarge eu-west-1": (Decimal("0.2570000000"), "2026-11-20"),
        "SageMaker training ml.m5.xlarge eu-west-1": (Decimal("0.2560000000"), "2026-11-20"),
        "SageMaker studio-jupyterlab ml.t3.medium eu-west-1": (Decimal("0.0540000000"), "2026-11-20"),
    }


def test_the_book_prefers_what_was_updated(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    key = server.updated(tmp_path, "aws", "eu-west-1")["SageMaker realtime-hosting ml.m5.xlarge eu-west-1"].key
    found = repository_book(tmp_path).find(key, "eu-west-1")
    assert isinstance(found, Price)
    assert found.usd == Decimal("0.257")


def test_what_is_busy_or_breaks_is_asked_again(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    path = "/offers/v1.0/aws/AmazonSageMaker/current/eu-west-1/index.json"
    server.replies[path] = [
        (503, "busy"),
        (429, "slowly"),
        (0, json.dumps(SAGEMAKER)[:500]),
        (200, json.dumps(SAGEMAKER)),
    ]
    assert len(server.updated(tmp_path, "aws", "eu-west-1")) == 4
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
    sagemaker: Reply | None, table: Reply | None, message: str, tmp_path: Path, server: PriceServer
) -> None:
    aws(server)
    server.updated(tmp_path, "aws", "eu-west-1")
    before = (tmp_path / "prices" / "aws.csv").read_text()
    aws(server, sagemaker, table)
    with pytest.raises(MlinfraError, match=message):
        server.updated(tmp_path, "aws", "eu-west-1")
    assert (tmp_path / "prices" / "aws.csv").read_text() == before
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["aws.csv"]


def test_nobody_is_asked_for_ever(tmp_path: Path, server: PriceServer) -> None:
    aws(server, (503, "busy"))
    pauses: list[float] = []
    with pytest.raises(MlinfraError):
        update(tmp_path, "aws", ["eu-west-1"], client=Client(pause=pauses.append), origin=server.origin)
    assert len(server.asked) == ATTEMPTS
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_is_not_there_changes_nothing(tmp_path: Path, server: PriceServer) -> None:
    server.close()
    with pytest.raises(MlinfraError, match=r"127\.0\.0\.1 gave no prices"):
        server.updated(tmp_path, "aws", "eu-west-1")
    assert not (tmp_path / "prices").exists()


def test_one_bad_region_of_several_changes_nothing(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    with pytest.raises(MlinfraError, match="it answered 404"):
        server.updated(tmp_path, "aws", "eu-west-1", "mars-north-1")
    assert not (tmp_path / "prices").exists()


def test_a_region_without_a_price_is_said(tmp_path: Path, server: PriceServer) -> None:
    empty: dict[str, Any] = {"Items": [], "NextPageLink": None, "Count": 0}
    server.replies["/api/retail/prices"] = [(200, json.dumps(empty))]
    with pytest.raises(MlinfraError, match="azure has no price in the region 'West Europe'; nothing was changed"):
        server.updated(tmp_path, "azure", "West Europe")


def test_what_the_table_says_of_other_regions_stays(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    server.updated(tmp_path, "aws", "eu-west-1")
    aws(server, broken(terms={"OnDemand": {"A1": term("A1", "0.3")}}), region="us-east-1")
    found = server.updated(tmp_path, "aws", "us-east-1")
    assert len([name for name in found if name.endswith(" eu-west-1")]) == 4
    assert found["SageMaker realtime-hosting ml.m5.xlarge us-east-1"].usd == Decimal("0.3")


def test_an_update_says_how_much_it_changed(tmp_path: Path, server: PriceServer) -> None:
    aws(server)
    first, second = (
        update(tmp_path, "aws", ["eu-west-1"], client=Client(), origin=server.origin, today=date(2026, 11, 22))
        for _ in range(2)
    )
    assert (first.path, first.prices, first.changed) == ("prices/aws.csv", 4, 4)
    assert (second.prices, second.changed) == (4, 0)


def test_a_damaged_table_is_not_overwritten(tmp_path: Path, server: PriceServer) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "aws.csv").write_text("something else\n")
    with pytest.raises(Problems):
        server.updated(tmp_path, "aws", "eu-west-1")
    assert server.asked == []


def test_a_provider_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"no prices of 'azur' can be asked for \(did you mean 'azure'\?\)"):
        update(tmp_path, "azur")
