"""Examples of each rule, one file each: resources that violate it, pass, and leave it unknown.

    - target: sagemaker
      verdict: violation                # or ok, or unknown
      path: kmsKeyArn                   # where a violation or an unknown is found
      stack: prod                       # the Pulumi stack's name; dev where nothing is said
      settings: {max_replicas: 3}
      left_out: 2                       # resources that exist and that the preview does not print
      before: [...]                     # the resources before this plan, where a rule compares
      resources:                        # the first one is judged, or the stack where `judged: stack`
        - type: aws:sagemaker/endpointConfiguration:EndpointConfiguration
          name: flights                 # the resource's name in the program; `example` where nothing is said
          inputs: {kmsKeyArn: <unknown>}
          from: {kmsKeyArn: [key]}      # by input: the names of the resources that its value comes from
          provider: east                # the name of an explicit provider among the resources
          protect: true                 # the resource option
        - {type: 'aws:kms/key:Key', name: key}

`<unknown>` stands for a value that is known only after an `up`. The documents show them, and a test judges them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.settings import Settings
from mlinfra.resources import UNKNOWN, Resource, Resources

_PROJECT = "example"


@dataclass(frozen=True)
class Example:
    """One example of a rule: `described` holds it as the file does."""

    rule: str
    number: int
    target: str
    verdict: str
    path: str | None
    described: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.rule}-{self.number}-{self.target}-{self.verdict}"

    def inspection(self) -> Inspection:
        """Return the resources and settings for a rule to look at."""
        given = self.described
        return Inspection(
            Resources(self._resources(given["resources"]), given.get("left_out", 0)),
            Settings.model_validate(given.get("settings", {})),
            Resources(self._resources(given["before"])) if "before" in given else None,
        )

    def judged(self, inspection: Inspection) -> Resource:
        """Return the resource that the verdict is about."""
        if self.described.get("judged") == "stack":
            return inspection.stack
        first = self.described["resources"][0]
        found = inspection.by_urn(self._urn(first))
        assert found is not None
        return found

    def _resources(self, described: Sequence[Mapping[str, Any]]) -> list[Resource]:
        named = {item.get("name", "example"): item for item in described}
        return sorted((self._resource(item, named) for item in described), key=lambda resource: resource.urn)

    def _resource(self, item: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> Resource:
        provider = named[item["provider"]] if "provider" in item else None
        return Resource(
            urn=self._urn(item),
            type=item["type"],
            name=item.get("name", "example"),
            inputs=_with_unknown(item.get("inputs", {})),
            protect=item.get("protect", False),
            provider=f"{self._urn(provider)}::id" if provider else "",
            property_dependencies={
                key: [self._urn(named[name]) for name in names] for key, names in item.get("from", {}).items()
            },
        )

    def _urn(self, item: Mapping[str, Any]) -> str:
        stack = self.described.get("stack", "dev")
        return f"urn:pulumi:{stack}::{_PROJECT}::{item['type']}::{item.get('name', 'example')}"


@cache
def examples(rule: str) -> tuple[Example, ...]:
    """Return the examples of a rule, in the order of its file; none where it has no file."""
    file = files("mlinfra_policies.examples").joinpath(f"{rule}.yaml")
    if not file.is_file():
        return ()
    described = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    return tuple(
        Example(rule, number, item["target"], item["verdict"], item.get("path"), item)
        for number, item in enumerate(described, 1)
    )


def _with_unknown(value: Any) -> Any:
    if value == "<unknown>":
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _with_unknown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_unknown(item) for item in value]
    return value
