"""What a killed run was creating: what has an id that is known beforehand is taken over as it is found.

Some clouds refuse to make what is there already. A create that was cut off may have been done; so the state is told
the id that the resource would have, and a refresh then finds it, or finds it gone. The engine's own option for this,
`refresh --import-pending-creates`, forgets the resource as `--clear-pending-creates` does (tried with 3.250).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

IdOf = Callable[[str, Mapping[str, Any]], str | None]
"""Answers, for a type and its inputs, the id that the resource would have; None where only the target knows."""


def taken_over(state: Mapping[str, Any], id_of: IdOf) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return a state in the form that `pulumi stack import` reads, with each interrupted create among its resources
    whose id is known, and their URNs. What is of no known id is left out: it is made again.
    """
    deployment = dict(state.get("deployment") or state.get("checkpoint", {}).get("latest") or {})
    resources: list[dict[str, Any]] = [dict(item) for item in deployment.get("resources") or ()]
    taken = []
    for operation in deployment.pop("pending_operations", None) or ():
        resource = operation["resource"]
        if operation["type"] != "creating" or not resource.get("custom"):
            continue
        id_ = id_of(resource["type"], resource.get("inputs") or {})
        if id_ is not None:
            _put(resources, {**resource, "id": id_})
            taken.append(resource["urn"])
    return {"version": state.get("version", 3), "deployment": {**deployment, "resources": resources}}, taken


def _put(resources: list[dict[str, Any]], made: dict[str, Any]) -> None:
    """Put a resource among the others, after what it depends on; what it was to replace is deleted later."""
    for index, there in enumerate(resources):
        if there["urn"] != made["urn"] or there.get("delete"):
            continue
        if there.get("pendingReplacement") or there.get("id") == made["id"]:
            resources[index] = made
        else:
            resources[index : index + 1] = [made, {**there, "delete": True}]
        return
    resources.append(made)
