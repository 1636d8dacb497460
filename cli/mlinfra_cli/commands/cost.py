"""mlinfra cost: what an environment, or any Pulumi program, costs."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import environment_names
from mlinfra_cli.options import AsJson

EXAMPLES = (
    ("mlinfra cost prod", "a month of prod, part by part: lowest, likely, highest"),
    ("mlinfra cost prod --compare", "the same parts on every installed target, and what each refuses"),
    ("pulumi preview --json | mlinfra cost --preview -", "any Pulumi program, and by how much it grows"),
    ("mlinfra cost --state state.json --json | jq .monthly_usd", "for programs"),
)


def command(
    environment: Annotated[
        str | None,
        typer.Argument(metavar="ENV", help="The environment's name.", autocompletion=environment_names),
    ] = None,
    preview: Annotated[
        str | None, typer.Option(metavar="FILE", help="Price what pulumi preview --json printed (- is stdin).")
    ] = None,
    state: Annotated[
        str | None, typer.Option(metavar="FILE", help="Price what pulumi stack export wrote (- is stdin).")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Price ENV on every installed target.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a month costs, part by part; offline.

    Prices are list prices with source and date. Low is the minimum of replicas, high the maximum, likely what the
    environment states under usage, else the minimum, labelled assumed. What has no price is named, and in no total.
    Exit code 3 when the likely cost is over the environment's budget.
    """
    from mlinfra.problems import WrongUse
    from mlinfra_cli.results import write_json

    if preview is not None and state is not None:
        raise WrongUse("--preview and --state exclude each other", remedy="price one after the other")
    if environment is None and preview is None and state is None:
        raise WrongUse("there is nothing to price", remedy="name an environment, or --preview FILE, or --state FILE")
    if compare:
        if environment is None or preview is not None or state is not None:
            raise WrongUse("--compare needs an environment, and no file: it declares the parts on other targets")
        _compare(environment, as_json=as_json)
        return

    from mlinfra.operations.cost import cost_of_environment, cost_of_file
    from mlinfra.prices.budget import Standing

    if environment is None:
        cost = cost_of_file(preview, state)
    else:
        from mlinfra.repository import Repository

        cost = cost_of_environment(Repository.find(), environment, preview, state)
    if as_json:
        write_json(cost.to_json())
    else:
        from mlinfra_cli.cost_view import show_cost

        show_cost(cost)
    if cost.standing is Standing.OVER:
        raise typer.Exit(3)


def _compare(environment: str, *, as_json: bool) -> None:
    from mlinfra.operations.cost import compare_targets
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    comparison = compare_targets(Repository.find(), environment)
    if as_json:
        write_json(comparison.to_json())
    else:
        from mlinfra_cli.cost_view import show_comparison

        show_comparison(comparison)
