"""One environment, loaded and resolved, with its adapter and running side: what every operation starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from mlinfra.adapters import Adapter, ResolvedPart, Service, load_adapter
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.digests import PREFIX
from mlinfra.environment import Environment
from mlinfra.problems import WrongUse, nearest
from mlinfra.repository import Repository
from mlinfra.resolve import Declared, Resolved, resolve
from mlinfra.rollout.record import moment

if TYPE_CHECKING:
    from mlinfra.pulumi_stack import PulumiStack

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Session:
    """What was declared and resolved for one environment."""

    repository: Repository
    declared: Declared
    adapter: Adapter
    resolved: Resolved

    @classmethod
    def open(cls, repository: Repository, name: str) -> Session:
        """Load and resolve an environment.

        Raises:
            Problems: all problems of all files, and all refusals of the target.
        """
        declared = repository.load(name)
        adapter = load_adapter(declared.environment.target)
        return cls(repository, declared, adapter, resolve(declared, adapter))

    def kept_warm(self) -> Session:
        """Return this session with each previous release declared that is still needed, whatever its lock says.

        It gets requests, or its successor is still rolled out, or served everything for less than `keep_warm`: the time
        in a lock was a guess of when that would be.
        """
        if not any(self._needs_previous(part) for part in self.resolved.of_kind(Endpoint)):
            return self
        declared = replace(self.declared, now=datetime.min.replace(tzinfo=UTC))
        return Session(self.repository, declared, self.adapter, resolve(declared, self.adapter))

    def _needs_previous(self, part: ResolvedPart) -> bool:
        endpoint = part.part
        assert isinstance(endpoint, Endpoint)
        pin = self.declared.pin(endpoint)
        if pin is None or pin.previous is None or pin.is_warm(self.declared.now):
            return False
        serving = self.service.observe(endpoint.renamed_from or endpoint.name)
        needed = {item.release for item in serving.releases if item.weight}
        record = serving.rollout
        if record is not None and record.previous is not None:
            warm = record.warm_until is not None and self.declared.now < moment(record.warm_until)
            needed |= {record.previous} if record.is_under_way or warm else set()
        return any(pin.previous.removeprefix(PREFIX).startswith(name) for name in needed)

    @property
    def environment(self) -> Environment:
        """The environment."""
        return self.declared.environment

    @cached_property
    def service(self) -> Service:
        """The running side of the environment's target."""
        return self.adapter.service(self.environment, self.repository.root)

    def stack(self, say: Callable[[str], None]) -> PulumiStack:
        """Return the Pulumi stack, with an engine that is ready; `say` is told when one must be installed first."""
        from mlinfra.pulumi_stack import PulumiStack
        from mlinfra_engine.install import ensure

        return PulumiStack(self.repository, self.environment, ensure(say))

    def known_stack(self) -> PulumiStack | None:
        """Return the Pulumi stack if an engine is there; install nothing."""
        from mlinfra.pulumi_stack import PulumiStack
        from mlinfra_engine.install import find

        engine = find()
        return PulumiStack(self.repository, self.environment, engine) if engine else None

    def one(self, kind: type[Part], name: str | None) -> ResolvedPart:
        """Return the part of a kind that is named, or the only one there is.

        Raises:
            WrongUse: no such part, or several and none named.
        """
        found = {part.part.name: part for part in self.resolved.of_kind(kind)}
        word = kind.noun()
        if name is None and len(found) == 1:
            return next(iter(found.values()))
        if name in found:
            return found[name]
        known = ", ".join(sorted(found)) or "none"
        if name is not None:
            near = nearest(name, found)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise WrongUse(f"{self.environment.name} has no {word} {name!r}{hint}; there are: {known}")
        if found:
            raise WrongUse(f"{self.environment.name} has more than one {word}: {known}", remedy="name one of them")
        raise WrongUse(f"{self.environment.name} has no {word}", remedy="declare one in its stacks")
