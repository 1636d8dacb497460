"""Resources: the one shape that plans, policies and prices read, wherever the resources come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine's wire protocol says for a value that is known only after an `up` (pulumi sdk, rpc.py)."""

SECRET = "[secret]"
"""What stands for a value that the program marks secret."""

CHOSEN = "__defaults"
"""Where a bridged provider keeps, at each level of the inputs, which of them it chose (pulumi-terraform-bridge)."""

STACK_TYPE = "pulumi:pulumi:Stack"
PART_TYPE = "mlinfra:part:"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Resource:
    """One resource: `inputs` by their wire names, `dependencies` and `parent` as URNs."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str = ""
    dependencies: Sequence[str] = ()
    protect: bool = False
    custom: bool = True
    aliases: Sequence[str] = ()
    ignore_changes: Sequence[str] = ()
    provider: str = ""
    """The URN of an explicit provider, `::` and its id; of a default one the engine makes a URN, too."""
    property_dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By input: the URNs of the resources that its value comes from."""
    external: bool = False
    """Whether the program only reads it: it is not the stack's own."""
    id: str = field(default="", compare=False)
    """What it is called at the target; empty for what is not made yet."""
    chosen: Sequence[str] = field(default=(), compare=False)
    """The inputs that nobody declared: the provider chose them, and its state says so."""

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints."""
        return {
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "inputs": dict(self.inputs),
            "parent": self.parent or None,
            "dependencies": list(self.dependencies),
            "protect": self.protect,
        }


@dataclass(frozen=True)
class Resources:
    """All resources of one Pulumi stack, sorted by URN."""

    all: Sequence[Resource]
    left_out: int = 0
    """How many resources exist and are not here: a preview without --show-sames leaves out what it does not change."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The Pulumi stack's settings, where a preview prints them: `aws:region`."""

    @classmethod
    def from_preview(cls, preview: Mapping[str, Any], *, before: bool = False) -> Resources:
        """Return what a `pulumi preview --json` would leave behind; with `before`, what it found.

        Of a resource that is removed nothing is left behind. Of one that is replaced there are several steps, and
        one resource.

        Raises:
            KeyError: the JSON is something else.
        """
        steps = preview["steps"]
        states = [step.get("oldState" if before else "newState") for step in steps]
        made = {item["urn"]: _from_engine(item) for item in states if item and not item.get("delete")}
        printed = sum(step["op"] == "same" for step in steps)
        left_out = max(0, (preview.get("changeSummary") or {}).get("same", 0) - printed)
        return cls(sorted(made.values(), key=lambda resource: resource.urn), left_out, _settings(preview))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Resources:
        """Return the resources of an exported state or of a file backend's checkpoint.

        Raises:
            KeyError: the JSON is something else.
        """
        deployment = state.get("deployment") or state.get("checkpoint", {}).get("latest") or {}
        made = [_from_engine(item) for item in deployment.get("resources") or () if not item.get("delete")]
        return cls(sorted(made, key=lambda resource: resource.urn))

    def declared(self) -> list[Resource]:
        """Return the resources without the stack itself, the providers, and the components of parts."""
        return [
            resource for resource in self.all if resource.custom and not resource.type.startswith("pulumi:providers:")
        ]

    @cached_property
    def _by_urn(self) -> Mapping[str, Resource]:
        return {resource.urn: resource for resource in self.all}

    def part_of(self, resource: Resource) -> str | None:
        """Return the key of the part that a resource belongs to, or None for a raw resource."""
        for piece in reversed(resource.urn.split("::")[2].split("$")):
            if piece.startswith(PART_TYPE):
                component = self._by_urn.get(resource.parent)
                while component is not None and component.type != piece:
                    component = self._by_urn.get(component.parent)
                name = component.name if component is not None else resource.name
                return f"{piece.removeprefix(PART_TYPE)}.{name}"
        return None


def _settings(preview: Mapping[str, Any]) -> Mapping[str, str]:
    given = preview.get("config")
    return {key: value for key, value in given.items() if isinstance(value, str)} if isinstance(given, Mapping) else {}


def _from_engine(item: Mapping[str, Any]) -> Resource:
    return Resource(
        urn=item["urn"],
        type=item["type"],
        name=item["urn"].split("::", 3)[3],
        inputs={key: hide_secrets(value) for key, value in (item.get("inputs") or {}).items() if key[:2] != "__"},
        parent=item.get("parent") or "",
        dependencies=sorted(item.get("dependencies") or ()),
        protect=bool(item.get("protect")),
        custom=bool(item.get("custom")),
        provider=item.get("provider") or "",
        # the engine writes null for an input that comes from nothing
        property_dependencies={key: urns or () for key, urns in (item.get("propertyDependencies") or {}).items()},
        external=bool(item.get("external")),
        id=item.get("id") or "",
        chosen=tuple((item.get("inputs") or {}).get(CHOSEN) or ()),
    )


def hide_secrets(value: Any) -> Any:
    """Return `value` with every secret replaced by `[secret]`."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET_MARK:
            return SECRET
        return {key: hide_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide_secrets(item) for item in value]
    return value
