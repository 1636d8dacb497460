"""The Pulumi program: what `stacks/__main__.py` runs, under `pulumi up`, `mlinfra up`, and the offline plan."""

from __future__ import annotations

import pulumi

from mlinfra.adapters import Links, load_adapter
from mlinfra.problems import MlinfraError
from mlinfra.realize import realize
from mlinfra.repository import Repository
from mlinfra.resolve import resolve


def main() -> Links:
    """Declare everything of the environment that the Pulumi stack is named after; return what the parts gave.

    Raises:
        pulumi.RunError: with every problem of every file; nothing was registered.
    """
    try:
        declared = Repository.find().load(pulumi.get_stack())
        adapter = load_adapter(declared.environment.target)
        links = realize(resolve(declared, adapter), adapter)
    except MlinfraError as error:
        raise pulumi.RunError(f"{error.message}\n{error.remedy}".strip()) from None
    for key, given in links.given.items():
        if "url" in given:
            pulumi.export(f"{key}.url", given["url"])
    return links
