"""A repository's own tables of prices are preferred to what is shipped, and checked line by line."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from mlinfra.prices.book import Key, Miss, snapshot
from mlinfra.prices.estimate import estimate
from mlinfra.prices.own import read_table, repository_book, to_table
from mlinfra.problems import Problems
from mlinfra.resources import Resource, Resources

HEADER = "provider,service,component,item,region,unit,usd,spot_usd,as_of,source,quality,note\n"
NODE = Key("gcp", "Vertex AI", "online-prediction", "n1-standard-4", "hour")


def line(usd: str = "0.1", region: str = "us-central1", as_of: str = "2026-11-01") -> str:
    return f"gcp,Vertex AI,online-prediction,n1-standard-4,{region},hour,{usd},,{as_of},our contract,own,\n"


def book_with(root: Path, **tables: str) -> Decimal:
    folder = root / "prices"
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    found = repository_book(root).find(NODE, "us-central1")
    assert not isinstance(found, Miss)
    return found.usd


def test_without_tables_the_shipped_prices_hold(tmp_path: Path) -> None:
    assert repository_book(tmp_path) is snapshot()


def test_ones_own_prices_are_preferred_to_updated_ones_and_those_to_shipped_ones(tmp_path: Path) -> None:
    assert book_with(tmp_path) == Decimal("0.219")
    assert book_with(tmp_path, gcp=HEADER + line("0.2")) == Decimal("0.2")
    assert book_with(tmp_path, contract=HEADER + line("0.1")) == Decimal("0.1")
    found = repository_book(tmp_path).find(
        Key("gcp", "Vertex AI", "online-prediction", "n1-standard-8", "hour"), "us-central1"
    )
    assert not isinstance(found, Miss)
    assert found.usd == Decimal("0.438")


def test_every_problem_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    rows = [line("much"), line("-1"), line("NaN"), line(as_of="yesterday"), line(region=""), "gcp,too,few\n", line()]
    (tmp_path / "prices" / "own.csv").write_text(HEADER + "".join(rows))
    with pytest.raises(Problems) as failure:
        repository_book(tmp_path)
    assert [(problem.file, problem.line, problem.path) for problem in failure.value.problems] == [
        ("prices/own.csv", 2, "usd"),
        ("prices/own.csv", 3, "usd"),
        ("prices/own.csv", 4, "usd"),
        ("prices/own.csv", 5, "as_of"),
        ("prices/own.csv", 6, "region"),
        ("prices/own.csv", 7, ""),
    ]


def test_columns_are_checked() -> None:
    _, problems = read_table("provider,service,component,item,region,unit,price,as_of,source\n", "prices/own.csv")
    assert {(problem.path, problem.message) for problem in problems} == {
        ("usd", "this column is missing"),
        ("price", "is no column of a table of prices"),
    }
    assert read_table("", "prices/own.csv")[1]


def test_a_table_is_written_as_it_is_read() -> None:
    text = HEADER + line("0.10") + line("0.2", "us-east1")
    prices, problems = read_table(text, "prices/own.csv")
    assert not problems
    assert to_table(reversed(prices)) == text


def test_the_table_of_the_documents_holds(tmp_path: Path) -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "prices.md"
    [table] = re.findall(r"```csv\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "our.csv").write_text(table)
    book = repository_book(tmp_path)
    hosting = book.find(Key("aws", "SageMaker", "realtime-hosting", "ml.m5.xlarge", "hour"), "us-east-1")
    assert not isinstance(hosting, Miss)
    assert hosting.usd == Decimal("0.19")
    pod = {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"nvidia.com/gpu": 1}}
    inputs = {"spec": {"containers": [{"resources": pod}]}}
    claim = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}}
    resources = [
        Resource(f"urn:pulumi:dev::example::{token}::main", token, "main", inputs)
        for token, inputs in (
            ("kubernetes:core/v1:Pod", inputs),
            ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
            ("kubernetes:core/v1:PersistentVolumeClaim", claim),
        )
    ]
    found = estimate(Resources(resources), book)
    assert not found.unpriced
    assert [item.dollars.likely for item in found.items] == [
        *(Decimal("21.90"), Decimal("2.92"), Decimal("876.00"), Decimal("18.25"), Decimal("0.10")),
    ]
