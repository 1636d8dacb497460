"""The exact plan: what the engine's own preview says, in the same shape as the offline difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlinfra.diff import Change, ResourceChange, property_changes
from mlinfra.resources import Resource, Resources

_CHANGES: Mapping[str, Change] = {
    "same": Change.SAME,
    "read": Change.SAME,
    "refresh": Change.SAME,
    "create": Change.CREATE,
    "import": Change.CREATE,
    "update": Change.UPDATE,
    "replace": Change.REPLACE,
    "create-replacement": Change.REPLACE,
    "delete-replaced": Change.REPLACE,
    "read-replacement": Change.REPLACE,
    "import-replacement": Change.REPLACE,
    "delete": Change.DELETE,
}
"""What `pulumi preview --json` calls its steps (pulumi pkg/resource/deploy/step.go)."""


def changes_of(preview: Mapping[str, Any], kept_by: Callable[[str], frozenset[str]]) -> list[ResourceChange]:
    """Return what the engine would do to each resource, sorted by part; `kept_by` as in `difference`."""
    after, before = Resources.from_preview(preview), Resources.from_preview(preview, before=True)
    old = {resource.urn: resource for resource in before.declared()}
    new = {resource.urn: resource for resource in after.declared()}
    steps: dict[str, Change] = {}
    for step in preview["steps"]:
        change = _CHANGES.get(step["op"], Change.MAY_REPLACE)
        if steps.get(step["urn"]) is not Change.REPLACE:  # a replacement is made of several steps
            steps[step["urn"]] = change
    found = [
        _change(change, old.get(urn), new.get(urn), after if urn in new else before, kept_by)
        for urn, change in steps.items()
        if urn in old or urn in new
    ]
    return sorted(found, key=lambda change: (change.part or "~", change.resource.urn))


def _change(
    change: Change,
    old: Resource | None,
    new: Resource | None,
    resources: Resources,
    kept_by: Callable[[str], frozenset[str]],
) -> ResourceChange:
    resource = new or old
    assert resource is not None
    kept = kept_by(resource.type)
    before, after = (
        {name: value for name, value in (side.inputs if side else {}).items() if name not in kept}
        for side in (old, new)
    )
    compared = change not in (Change.SAME, Change.CREATE, Change.DELETE)
    return ResourceChange(
        resource,
        resources.part_of(resource),
        change,
        property_changes(before, after) if compared else (),
        destroys_data=change in (Change.REPLACE, Change.DELETE, Change.MAY_REPLACE) and bool(old and old.protect),
    )
