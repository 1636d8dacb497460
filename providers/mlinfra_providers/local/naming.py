"""What all kinds share when they declare: the name on disk, and the options of a resource."""

from __future__ import annotations

from typing import Any

import pulumi

from mlinfra.adapters import Links
from mlinfra.declarations.part import Part


def physical_name(part: Part) -> str:
    """Return the name on disk: a renamed part keeps the one that its data has."""
    return part.renamed_from or part.name


def options(links: Links, *, protect: bool = False, depends_on: Any = None) -> pulumi.ResourceOptions:
    """Return the options of a resource of the part that is being declared."""
    return pulumi.ResourceOptions(parent=links.parent, protect=protect, depends_on=depends_on)
