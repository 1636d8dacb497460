"""realize(): registers a resolved environment's resources with Pulumi, part by part."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from mlinfra.adapters import Adapter, Links, ResolvedPart
from mlinfra.environment import Environment
from mlinfra.resolve import Resolved
from mlinfra.resources import PART_TYPE


class PartComponent(pulumi.ComponentResource):
    """The parent of all resources of one part."""

    def __init__(self, part: ResolvedPart) -> None:
        former = part.part.renamed_from
        super().__init__(
            PART_TYPE + part.part.plural,
            part.part.name,
            None,
            pulumi.ResourceOptions(aliases=[pulumi.Alias(name=former)] if former else None),
        )


class Surroundings(pulumi.ComponentResource):
    """The parent of what all parts of an environment share: plans and policies name it `environments.prod`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(PART_TYPE + "environments", environment.name)


def realize(resolved: Resolved, adapter: Adapter) -> Links:
    """Declare every part through the adapter; return what the parts gave."""
    links = adapter.surround(resolved.parts, Links(resolved.environment))
    for part in resolved.parts:
        links = adapter.declare(part, replace(links, parent=PartComponent(part)))
    return replace(links, parent=None)
