"""Tests of a team's own rules: made-up resources, and the verdicts on them.

from mlinfra.testing.policy import UNKNOWN, resource, verdicts

good = resource("aws:s3/bucket:Bucket", "good", {"versioning": {"enabled": True}})
bad = resource("aws:s3/bucket:Bucket", "bad", {"versioning": {"enabled": False}})
assert verdicts("policies/rules/buckets.py", good, bad) == {("ACME-01", "bad"): "violation"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.ruleset import rules_of_file
from mlinfra.policy.settings import Settings
from mlinfra.resources import UNKNOWN, Resource, Resources

__all__ = ["UNKNOWN", "resource", "verdicts"]


def resource(
    type_: str,
    name: str = "example",
    inputs: Mapping[str, Any] | None = None,
    *,
    comes_from: Mapping[str, Sequence[Resource]] | None = None,
    stack: str = "dev",
) -> Resource:
    """Return a made-up resource; a value that is known only after an `up` is `UNKNOWN`.

    `comes_from` says, by input, which resources its value comes from; where nothing else is said, it is unknown.
    """
    sources = {key: [source.urn for source in given] for key, given in (comes_from or {}).items()}
    return Resource(
        urn=f"urn:pulumi:{stack}::example::{type_}::{name}",
        type=type_,
        name=name,
        inputs={**dict.fromkeys(sources, UNKNOWN), **(inputs or {})},
        property_dependencies=sources,
    )


def verdicts(
    file: str | Path, *resources: Resource, settings: Mapping[str, Any] | None = None, left_out: int = 0
) -> dict[tuple[str, str], str]:
    """Return the verdicts of a file's rules by rule and resource name: `violation` or `unknown`; nothing is all well.

    `left_out` is how many resources more there are that the rules do not see.

    Raises:
        Problems: the file does not work.
        Exception: whatever a rule raises; `mlinfra check` makes an unknown of it.
    """
    rules = rules_of_file(Path(file), Path.cwd())
    shown = Resources(sorted(resources, key=lambda item: item.urn), left_out)
    inspection = Inspection(shown, Settings.model_validate(settings or {}))
    found = check(inspection, rules)
    for finding in found:
        if finding.answer.message.startswith("could not be judged"):
            for decision in finding.rule.decisions:
                list(decision.judge(finding.resource, inspection))
    return {(finding.rule.id, finding.resource.name): finding.answer.verdict.value for finding in found}
