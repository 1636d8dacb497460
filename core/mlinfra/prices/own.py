"""A repository's own prices: the tables in `prices/`, which are preferred to the ones that are shipped.

`aws.csv`, `azure.csv` and `gcp.csv` are what `mlinfra prices update` writes; all other tables, in the order of their
names, are preferred to those. A negotiated price, or what a vCPU of one's own cluster costs, stands in such a table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mlinfra.prices.book import Key, Price, PriceBook, snapshot
from mlinfra.problems import Problem, Problems, WrongUse, nearest

FOLDER = "prices"
UPDATED = ("aws.csv", "azure.csv", "gcp.csv")
COLUMNS = (
    *("provider", "service", "component", "item", "region", "unit"),
    *("usd", "spot_usd", "as_of", "source", "quality", "note"),
)
_OPTIONAL = {"spot_usd", "quality", "note"}


def repository_book(root: Path) -> PriceBook:
    """Return the shipped prices, with those of a repository instead wherever it has its own.

    Raises:
        Problems: all that is wrong with the repository's tables.
    """
    found: list[Price] = []
    problems: list[Problem] = []
    for path in sorted((root / FOLDER).glob("*.csv"), key=lambda path: (path.name not in UPDATED, path.name)):
        prices, wrong = read_table(path.read_text(encoding="utf-8", errors="replace"), f"{FOLDER}/{path.name}")
        found += prices
        problems += wrong
    if problems:
        raise Problems(problems)
    return PriceBook([*snapshot().prices, *found]) if found else snapshot()


def book_here() -> PriceBook:
    """Return the book of the repository that this folder is in; outside of any, the shipped one.

    Raises:
        Problems: as `repository_book`.
    """
    from mlinfra.repository import Repository

    try:
        root = Repository.find().root
    except WrongUse:
        return snapshot()
    return repository_book(root)


def read_table(text: str, name: str) -> tuple[list[Price], list[Problem]]:
    """Return the prices of a table, and what is wrong with it; `name` is the file's, for the messages."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    problems: list[Problem] = []
    prices: list[Price] = []
    try:
        columns = reader.fieldnames or ()
        problems += _problems_of_columns(columns, name)
        if not problems:
            for row in reader:
                wrong = list(_problems_of_row(row, Problem(name, reader.line_num, "", "")))
                problems += wrong
                if not wrong:
                    prices.append(_price(row))
    except csv.Error as error:
        problems.append(Problem(name, reader.line_num, "", f"is no table of comma-separated values: {error}"))
    return prices, problems


def to_table(prices: Iterable[Price]) -> str:
    """Return the table of some prices, sorted, so that two updates differ only where prices do."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for price in sorted(prices, key=lambda price: (str(price.key), price.key.unit, price.region)):
        key = price.key
        writer.writerow([
            *(key.provider, key.service, key.component, key.item, price.region, key.unit, f"{price.usd:f}"),
            "" if price.spot_usd is None else f"{price.spot_usd:f}",
            *(price.as_of, price.source, price.quality, price.note),
        ])  # fmt: skip
    return written.getvalue()


def _problems_of_columns(columns: Sequence[str], name: str) -> Iterator[Problem]:
    for column in COLUMNS:
        if column not in columns and column not in _OPTIONAL:
            yield Problem(name, 1, column, "this column is missing", expected=",".join(COLUMNS))
    for column in columns:
        if column not in COLUMNS:
            yield Problem(name, 1, column, "is no column of a table of prices", nearest=nearest(column, COLUMNS))


def _problems_of_row(row: Mapping[str | None, str | None], at: Problem) -> Iterator[Problem]:
    if None in row or None in row.values():
        yield Problem(at.file, at.line, "", "has another number of fields than the header")
        return
    for column in ("provider", "service", "component", "item", "region", "unit", "source"):
        if not row[column]:
            yield Problem(at.file, at.line, column, "is empty")
    for column in ("usd", "spot_usd"):
        given = row.get(column) or ""
        if (given or column == "usd") and not _is_amount(given):
            yield Problem(at.file, at.line, column, "is no amount of US dollars", found=repr(given))
    try:
        date.fromisoformat(row["as_of"] or "")
    except ValueError:
        yield Problem(at.file, at.line, "as_of", "is no date", found=repr(row["as_of"]), expected="2026-11-22")


def _is_amount(text: str) -> bool:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return False
    return found.is_finite() and found >= 0


def _price(row: Mapping[str | None, str | None]) -> Price:
    said = {name: value or "" for name, value in row.items() if name is not None}
    return Price(
        key=Key(said["provider"], said["service"], said["component"], said["item"], said["unit"]),
        region=said["region"],
        usd=Decimal(said["usd"]),
        spot_usd=Decimal(said["spot_usd"]) if said.get("spot_usd") else None,
        as_of=said["as_of"],
        source=said["source"],
        quality=said.get("quality", ""),
        note=said.get("note", ""),
    )
