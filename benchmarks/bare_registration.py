"""The peer of the offline plan: registers the resources of a plan with Pulumi's SDK under Pulumi's own mocks.

    python bare_registration.py PLAN.json

Types, names, inputs, parents and dependencies are those of the plan, and nothing else is done with them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pulumi


class Mocks(pulumi.runtime.Mocks):
    """Answers as the mocks in Pulumi's guide to unit tests do."""

    def call(self, args: Any) -> Any:
        return {}, None

    def new_resource(self, args: Any) -> Any:
        return f"{args.name}-id", args.inputs


pulumi.runtime.set_mocks(Mocks(), project="mlinfra", stack="bench", preview=True)


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def register(resources: list[dict[str, Any]]) -> None:
    """Register all, each after its parent and what it depends on."""
    made: dict[str, pulumi.Resource] = {}
    waiting = {item["urn"]: item for item in resources if item["type"] != "pulumi:pulumi:Stack"}

    def registered(urn: str) -> pulumi.Resource | None:
        item = waiting.pop(urn, None)
        if item is None:
            return made.get(urn)
        options = pulumi.ResourceOptions(
            parent=registered(item["parent"]),
            protect=item["protect"],
            depends_on=[one for one in map(registered, item["dependencies"]) if one is not None],
        )
        if item["type"].startswith("mlinfra:part:"):
            made[urn] = pulumi.ComponentResource(item["type"], item["name"], None, options)
        else:
            made[urn] = pulumi.CustomResource(item["type"], item["name"], item["inputs"], options)
        return made[urn]

    for urn in list(waiting):
        registered(urn)


register(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["resources"])
