"""mlinfra prices: the list prices that estimates are made of."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = (
    ("mlinfra prices update azure --region westeurope", "today's list prices, into prices/azure.csv"),
    (
        "mlinfra prices update aws --region eu-west-1 --region us-east-1",
        "several regions; what is there of others stays",
    ),
    ("GOOGLE_API_KEY=… mlinfra prices update gcp", "Google's catalog asks for a key"),
)


def command(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="aws, azure or gcp.")],
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="As the provider writes it; may be repeated.")
    ] = None,
) -> None:
    """Ask a provider for its list prices, and write them into the repository's own table.

    Estimates prefer that table to the prices that are shipped. A lost connection or a bad answer changes nothing.
    """
    from mlinfra.prices.update import update
    from mlinfra.repository import Repository
    from mlinfra_cli import render

    updated = update(Repository.find().root, provider, region or ())
    render.show(
        render.text((updated.path, "name"), f": {updated.prices} prices of {', '.join(updated.regions)}"),
        render.text(f"{updated.changed} are new or differ", indent=2),
    )
