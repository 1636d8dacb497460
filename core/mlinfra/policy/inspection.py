"""What a rule may look at besides the resource that it judges."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from mlinfra.policy.settings import Settings
from mlinfra.policy.values import Value, at, is_absent, is_unknown
from mlinfra.resources import SECRET, STACK_TYPE, UNKNOWN, Resource, Resources
from mlinfra.stand_ins import stood_for

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.prices.usage import Commitments, UsageByName

PRODUCTION = frozenset({"prod", "production", "prd", "live"})
_ENVIRONMENT = ("environment", "env", "stage")
_DEFAULT_TAGS = (("defaultTags", "given.tags"), ("defaultLabels", "given"))
_TAGS = ("tagsAll", "tags", "labels", "userLabels", "effectiveLabels", "pulumiLabels", "metadata.labels")


@dataclass(frozen=True)
class Holders:
    """Resources that refer to others: by the URN of these; and those of which nobody knows to which."""

    by_target: dict[str, list[Resource]]
    open: list[Resource]

    def of(self, target: Resource) -> Sequence[Resource]:
        """Return those that refer to one."""
        return self.by_target.get(target.urn, ())


class Inspection:
    """All resources of a Pulumi stack, what was there before (where it is known), and the settings of the rules.

    `usage` and `commitments` are what an environment states for the estimate of its cost; `root` is the folder of the
    repository whose own prices count, too.
    """

    def __init__(
        self,
        resources: Resources,
        settings: Settings | None = None,
        before: Resources | None = None,
        *,
        usage: UsageByName | None = None,
        commitments: Commitments | None = None,
        root: Path | None = None,
    ) -> None:
        self.resources = stood_for(resources)
        self.settings = settings or Settings()
        self.before = None if before is None else stood_for(before)
        self.usage = usage or {}
        self.commitments = commitments or {}
        self.root = root

    @property
    def complete(self) -> bool:
        """Whether every resource of the stack is here. Where not, the absence of another resource is unknown."""
        return self.resources.left_out == 0

    @cached_property
    def stack(self) -> Resource:
        """The stack itself; made up where a preview does not print it."""
        for resource in self.resources.all:
            if resource.type == STACK_TYPE:
                return resource
        urn = self.resources.all[0].urn if self.resources.all else "urn:pulumi:unnamed::unnamed::"
        stack, project = urn.removeprefix("urn:pulumi:").split("::")[:2]
        name = f"{project}-{stack}"
        return Resource(f"urn:pulumi:{stack}::{project}::{STACK_TYPE}::{name}", STACK_TYPE, name, {}, custom=False)

    @cached_property
    def stack_name(self) -> str:
        """The name of the Pulumi stack."""
        return self.stack.urn.removeprefix("urn:pulumi:").split("::")[0]

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of some types (`*` stands for any text)."""
        if types not in self._of:
            wanted = [token for token in self._by_type if any(matches(token, pattern) for pattern in types)]
            self._of[types] = [resource for token in wanted for resource in self._by_type[token]]
        return self._of[types].copy()

    def by_urn(self, urn: str) -> Resource | None:
        """Return a resource by its URN."""
        return self._by_urn.get(urn)

    def sources(self, resource: Resource, input_: str) -> list[Resource]:
        """Return the resources of the stack that a top-level input's value comes from, as far as they are here."""
        urns = resource.property_dependencies.get(input_) or ()
        return [self._by_urn[urn] for urn in urns if urn in self._by_urn]

    def comes_only_from(self, resource: Resource, path: str, *types: str) -> bool:
        """Whether an unknown value at `path` comes from resources of these types alone, all of them in the stack.

        One that a preview may have left out counts by the type in its URN.
        """
        urns = resource.property_dependencies.get(_top(path)) or ()
        if self.complete and not all(urn in self._by_urn for urn in urns):
            return False
        tokens = [urn.split("::")[2].split("$")[-1] for urn in urns]
        return bool(tokens) and all(any(matches(token, pattern) for pattern in types) for token in tokens)

    def named(self, value: Any, path: str, *types: str) -> list[Resource]:
        """Return the resources of some types that say at `path` that they have this name."""
        if is_unknown(value) or not isinstance(value, Hashable):
            return []
        if (path, types) not in self._names:
            # each resource may ask: a search through all of them for each would take the square of their number
            names: dict[Any, list[Resource]] = {}
            for other in self.of(*types):
                name = at(other.inputs, path).value
                if isinstance(name, Hashable):
                    names.setdefault(name, []).append(other)
            self._names[path, types] = names
        return self._names[path, types].get(value, []).copy()

    def referred(self, resource: Resource, reference: Value, path: str, *types: str) -> list[Resource]:
        """Return the resources of some types that an input of `resource` refers to.

        A known reference is compared with the name that they say at `path`; an unknown one comes from them.
        """
        if reference.unknown:
            sources = self.sources(resource, _top(reference.path))
            return [source for source in sources if any(matches(source.type, pattern) for pattern in types)]
        return [] if reference.absent else self.named(reference.value, path, *types)

    def holders(self, types: Sequence[str], reference: str, name: str, *targets: str) -> Holders:
        """Return which resources of some types refer to others, whose types are `targets`.

        `reference` is the path of the input that does, and `name` that of the target's own name. It is looked up once:
        a search for each target would take the square of their number.
        """
        key = (tuple(types), reference, name, targets)
        if key not in self._holders:
            found = Holders({}, [])
            for holder in self.of(*types):
                value = at(holder.inputs, reference)
                meant = self.referred(holder, value, name, *targets)
                for target in meant:
                    found.by_target.setdefault(target.urn, []).append(holder)
                if value.unknown and not meant:
                    found.open.append(holder)
            self._holders[key] = found
        return self._holders[key]

    def provider_of(self, resource: Resource) -> Resource | None:
        """Return the explicit provider of a resource, where the stack shows it."""
        return self._by_urn.get(resource.provider.rpartition("::")[0])

    def tags(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return tags and labels by their names without case, `-`, `_` and spaces; None where the set is not known."""
        found, complete = self.known_tags(resource)
        return found if complete else None

    def known_tags(self, resource: Resource) -> tuple[Mapping[str, Any], bool]:
        """Return those tags and labels that are known, named as in `tags`, and whether there are no others.

        What a provider adds by default counts: in `tagsAll`, or in the explicit provider that the stack shows. Tags may
        be an object or a list of keys and values.
        """
        found: dict[str, Any] = {}
        sets = [at(resource.inputs, path).value for path in _TAGS]
        provider = self.provider_of(resource)
        if provider is not None:
            sets += [at(_parsed(provider.inputs.get(name)), path).value for name, path in _DEFAULT_TAGS]
        for name, item in (pair for tags in sets for pair in _pairs(tags)):
            if is_absent(found.get(plain(name))):
                found[plain(name)] = item
        return found, UNKNOWN not in sets and SECRET not in sets

    def production(self, resource: Resource) -> bool | None:
        """Whether a resource belongs to production: by its tag environment, env or stage, else by the stack's name.

        None where the tag is not known.
        """
        tags, complete = self.known_tags(resource)
        for name in _ENVIRONMENT:
            value = tags.get(name)
            if not is_absent(value):
                return None if is_unknown(value) else str(value).strip().lower() in PRODUCTION
        if not complete:
            return None
        return resource.urn.removeprefix("urn:pulumi:").split("::")[0].rpartition("/")[2].lower() in PRODUCTION

    @cached_property
    def _holders(self) -> dict[tuple[Any, ...], Holders]:
        return {}

    @cached_property
    def _of(self) -> dict[tuple[str, ...], list[Resource]]:
        return {}

    @cached_property
    def _names(self) -> dict[tuple[str, tuple[str, ...]], dict[Any, list[Resource]]]:
        return {}

    @cached_property
    def _by_type(self) -> Mapping[str, Sequence[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources.all:
            found.setdefault(resource.type, []).append(resource)
        return found

    @cached_property
    def _by_urn(self) -> Mapping[str, Resource]:
        return {resource.urn: resource for resource in self.resources.all}


@lru_cache(maxsize=65536)
def matches(token: str, pattern: str) -> bool:
    """Whether a type token is one that a pattern means; an Azure token's version counts only if the pattern has one."""
    if token == pattern:
        return True
    if token.startswith("azure-native:") and "/v" not in pattern:
        token = re.sub(r"/v\d{8}\w*(?=:)", "", token)
    head, star, _ = pattern.partition("*")
    if not star or not token.startswith(head):
        return token == pattern
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), token) is not None


def _parsed(given: Any) -> Mapping[str, Any]:
    """Return an input of a provider under the name `given`: objects are written as JSON in a text."""
    if isinstance(given, str) and given not in (UNKNOWN, SECRET):
        try:
            return {"given": json.loads(given)}
        except (ValueError, RecursionError):
            return {}
    return {"given": given}


def _pairs(tags: Any) -> list[tuple[str, Any]]:
    """Return the names and values of tags, without the engine's own notes."""
    if isinstance(tags, list):
        items = [item for item in tags if isinstance(item, Mapping)]
        return [(str(item.get("key", item.get("Key"))), item.get("value", item.get("Value"))) for item in items]
    return [pair for pair in tags.items() if pair[0][:2] != "__"] if isinstance(tags, Mapping) else []


def _top(path: str) -> str:
    """Return the input that a path begins with."""
    return re.split(r"[.\[{]", path, maxsplit=1)[0]


@lru_cache(maxsize=65536)
def plain(name: str) -> str:
    """Return a tag's name as names are compared: without case and without `-`, `_` and spaces."""
    return re.sub(r"[-_ ]", "", name).lower()


__all__ = ["PRODUCTION", "UNKNOWN", "Inspection", "matches", "plain"]
