"""The shipped tables: every price and every free type has a source and a date, and stands once."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files

import pytest

from mlinfra.prices.book import EVERYWHERE, TABLES, Key, Miss, Price, PriceBook, read_prices, snapshot
from mlinfra.prices.registry import free_of, priced_types, pricer_of

UNITS = {"hour", "GB-month", "GB", "GB-second", "month", "million requests", "TB"}
QUALITIES = {"api-quoted", "page-quoted", "package", "derived"}
COLUMNS = (
    "provider", "service", "component", "item", "region", "unit",
    "usd", "spot_usd", "as_of", "source", "quality", "note",
)  # fmt: skip
M5 = Key("aws", "SageMaker", "realtime-hosting", "ml.m5.xlarge", "hour")


def rows(name: str) -> list[Mapping[str, str]]:
    return list(csv.DictReader(files("mlinfra.prices").joinpath(name).read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("table", TABLES)
def test_every_price_has_a_source_and_a_date(table: str) -> None:
    found = rows(table)
    assert found
    assert tuple(found[0]) == COLUMNS
    today = datetime.now(UTC).date()
    for row in found:
        assert row["source"].strip(), row
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["as_of"]), row
        assert date.fromisoformat(row["as_of"]) <= today, row
        assert row["quality"] in QUALITIES, row
        assert Decimal(row["usd"]) > 0, row
        assert not row["spot_usd"] or 0 < Decimal(row["spot_usd"]) < Decimal(row["usd"]), row
        assert row["region"] == row["region"].lower().strip() != "", row


def test_aws_counts_in_known_units() -> None:
    assert {row["unit"] for row in rows("aws.csv")} <= UNITS


def test_no_price_stands_twice() -> None:
    counts = Counter((price.key, price.region) for price in snapshot().prices)
    assert [key for key, count in counts.items() if count > 1] == []


def test_a_derived_price_says_what_it_is_derived_from() -> None:
    derived = [price for price in snapshot().prices if price.quality == "derived"]
    assert derived
    said = re.compile("derived|x [0-9]|of Compute Engine|price of|price in", re.IGNORECASE)
    assert [price for price in derived if not said.search(f"{price.source} {price.note}")] == []


def test_prices_come_by_region_and_unit() -> None:
    found = snapshot().find(M5, "us-east-1")
    assert isinstance(found, Price)
    assert (found.usd, found.as_of) == (Decimal("0.23"), "2026-06-27")
    assert isinstance(snapshot().find(replace(M5, unit="GB"), "us-east-1"), Miss)


def test_a_miss_names_regions_or_the_nearest_item() -> None:
    elsewhere = snapshot().find(M5, "moon-north-1")
    assert isinstance(elsewhere, Miss)
    assert elsewhere.nearest.startswith("has a price in ")
    assert "us-east-1" in elsewhere.nearest
    typo = snapshot().find(Key("aws", "SageMaker", "realtime-hosting", "ml.m5.xlrge", "hour"), "us-east-1")
    assert isinstance(typo, Miss)
    assert "ml.m5.xlarge" in typo.nearest
    other = snapshot().find(Key("aws", "SageMaker", "realtime-hosting", "quantum", "hour"), "us-east-1")
    assert other == Miss("")


def test_a_price_of_everywhere_is_found_in_each_region() -> None:
    text = ",".join(COLUMNS) + "\naws,KMS,key,key,any,month,1.00,,2026-08-09,a page,page-quoted,\n"
    book = PriceBook(read_prices(text))
    found = book.find(Key("aws", "KMS", "key", "key", "month"), "moon-north-1")
    assert isinstance(found, Price)
    assert found.region == EVERYWHERE
    assert book.services == {"KMS"}


def test_every_free_type_has_a_reason_and_a_source() -> None:
    found = rows("free.csv")
    assert [row for row in found if not (row["type"] and row["reason"] and row["source"])] == []
    assert [row for row, count in Counter(row["type"] for row in found).items() if count > 1] == []


def test_what_runs_on_this_machine_is_free() -> None:
    free = free_of("mlinfra:local:Server")
    assert free is not None
    assert free.reason == "runs on this machine"


def test_a_type_that_nobody_has_spoken_of_is_neither_free_nor_priced() -> None:
    assert free_of("aws:quantum/computer:Computer") is None
    assert pricer_of("aws:quantum/computer:Computer") is None


def test_no_type_is_priced_and_free() -> None:
    for provider in ("aws", "gcp", "azure", "kubernetes"):
        found = priced_types(provider)
        assert found
        exact = {row["type"] for row in rows("free.csv")}
        assert exact & set(found) == set()


def test_every_aws_type_that_a_rule_decides_on_is_priced_or_free() -> None:
    from mlinfra_policies.catalogue import rules

    types = {token for rule in rules() for decision in rule.decisions for token in decision.types}
    named = {token for token in types if token.startswith("aws:") and "*" not in token}
    assert len(named) > 30
    assert sorted(token for token in named if not (pricer_of(token) or free_of(token))) == []
