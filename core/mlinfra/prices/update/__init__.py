"""Asking the clouds for their list prices, and writing them into the repository's own table.

A lost connection, or an answer that is not understood, changes nothing: the table is written when everything is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import DecimalException
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.files import write_atomically
from mlinfra.prices.book import Price
from mlinfra.prices.context import ASSUMED_REGIONS
from mlinfra.prices.own import FOLDER, read_table, to_table
from mlinfra.problems import MlinfraError, Problems, WrongUse, nearest

if TYPE_CHECKING:
    from mlinfra.prices.update.http import Client

PROVIDERS = ("aws", "azure", "gcp")


@dataclass(frozen=True)
class Updated:
    """What an update wrote: a path inside the repository, for which regions, and how many prices it brought."""

    path: str
    regions: Sequence[str]
    prices: int
    changed: int
    """How many of them are new, or differ from what the table said before."""


def update(
    root: Path,
    provider: str,
    regions: Sequence[str] = (),
    *,
    client: Client | None = None,
    origin: str = "",
    today: date | None = None,
) -> Updated:
    """Write the list prices of a provider in some regions into `prices/<provider>.csv` of a repository.

    What the table says of other regions stays. `origin` is asked instead of the provider (`https://host`).

    Raises:
        WrongUse: there is no such provider, or Google's key is missing.
        Problems: the table that is there is damaged.
        MlinfraError: the provider does not answer, or answers something else; nothing was changed.
    """
    if provider not in PROVIDERS:
        near = nearest(provider, PROVIDERS)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise WrongUse(f"no prices of {provider!r} can be asked for{hint}; there are: {', '.join(PROVIDERS)}")
    wanted = tuple(dict.fromkeys(regions)) or (ASSUMED_REGIONS[provider],)
    path = root / FOLDER / f"{provider}.csv"
    before, problems = (
        read_table(path.read_text(encoding="utf-8"), f"{FOLDER}/{path.name}") if path.exists() else ([], [])
    )
    if problems:
        raise Problems(problems)
    found = _asked(provider, wanted, client, origin, today or datetime.now(UTC).date())
    kept = [price for price in before if price.region not in {*wanted, *(price.region for price in found)}]
    amounts = {(price.key, price.region): (price.usd, price.spot_usd) for price in before}
    changed = sum(amounts.get((price.key, price.region)) != (price.usd, price.spot_usd) for price in found)
    write_atomically(path, to_table([*kept, *found]), private=False)
    return Updated(f"{FOLDER}/{path.name}", wanted, len(found), changed)


def _asked(provider: str, regions: Sequence[str], client: Client | None, origin: str, today: date) -> Sequence[Price]:
    from mlinfra.prices.update import aws, azure, gcp
    from mlinfra.prices.update.http import Client

    ask = {"aws": aws.prices, "azure": azure.prices, "gcp": gcp.prices}[provider]
    found: list[Price] = []
    with client or Client() as open_client:
        for region in regions:
            try:
                here = ask(region, open_client, origin, today)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, DecimalException) as error:
                raise MlinfraError(
                    f"{provider} answered something that is not understood ({type(error).__name__}: {error})"
                    "; nothing was changed"
                ) from error
            if not here:
                raise MlinfraError(
                    f"{provider} has no price in the region {region!r}; nothing was changed",
                    remedy="check the region's name, as the provider's own tools write it",
                )
            found += here
    return list({(price.key, price.region): price for price in found}.values())
