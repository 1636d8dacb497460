"""What a rule is, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mlinfra.policy.inspection import Inspection
    from mlinfra.resources import Resource


class Verdict(StrEnum):
    """What a finding says. That all is well is the absence of a finding."""

    VIOLATION = "violation"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much harm a violation can do."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Level(StrEnum):
    """Whether a violation stops an `up`."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"


@dataclass(frozen=True)
class Answer:
    """One thing that a rule has to say about a resource: where, what was found, and what mends it.

    `path` is the input that decides (`productionVariants[0].instanceType`); `remedy`, where it is not empty, is more
    exact than that of the rule: the line of YAML or Python to write.
    """

    verdict: Verdict
    path: str
    message: str
    remedy: str = ""


def violation(path: str, message: str, *, remedy: str = "") -> Answer:
    """Return that a rule is broken. `message` says what was found and what is wanted; never a secret's value."""
    return Answer(Verdict.VIOLATION, path, message, remedy)


def unknown(path: str, message: str = "is known only after an up", *, remedy: str = "") -> Answer:
    """Return that nobody can say yet whether a rule is broken."""
    return Answer(Verdict.UNKNOWN, path, message, remedy)


Judge = Callable[["Resource", "Inspection"], Iterable[Answer]]
F = TypeVar("F", bound=Judge)


@dataclass(frozen=True)
class Decision:
    """A function that decides a rule on some types of resources; for one target or for several.

    A function that is given as text (`package.module:name`) is imported when the first such resource is judged.
    """

    rule: str
    types: tuple[str, ...]
    function: Judge | str

    @cached_property
    def judge(self) -> Judge:
        """The function."""
        return resolve_name(self.function) if isinstance(self.function, str) else self.function


@dataclass(frozen=True)
class Rule:
    """A rule: what it demands, how much it matters, and the functions that decide it.

    `targets` says, by target, whether it can be decided there, and if not, why not.
    """

    id: str
    title: str
    severity: Severity
    level: Level
    remedy: str
    family: str = "own"
    violation: str = ""
    ok: str = ""
    unknown: str = ""
    scope: str = "all environments"
    parameters: Sequence[str] = ()
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frameworks: Sequence[str] = ()
    equivalents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()


def decides(rule: str, *types: str) -> Callable[[F], F]:
    """Mark a function as deciding `rule` on resources of `types`.

    A type is a token such as `aws:sagemaker/model:Model`; `*` stands for any text, and the version in an Azure token
    (`azure-native:machinelearningservices/v20241001:Workspace`) is left out. The function is called with each such
    resource and yields `violation(…)` and `unknown(…)`; the worst that it yields is the verdict. With the type
    `mlinfra.resources.STACK_TYPE` it is called once, for what only the whole stack can tell.
    """

    def mark(function: F) -> F:
        function.decisions = (*getattr(function, "decisions", ()), Decision(rule, types, function))  # type: ignore[attr-defined]
        return function

    return mark


def rule(
    id_: str, *types: str, title: str, severity: str = "medium", level: str = "advisory", remedy: str
) -> Callable[[F], F]:
    """Mark a function as a whole rule of a team's own; see `decides` for `types` and for what the function yields.

    Raises:
        ValueError: the severity or the level is none.
    """

    def mark(function: F) -> F:
        made = Rule(id_, title, Severity(severity), Level(level), remedy, decisions=(Decision(id_, types, function),))
        function.rule = made  # type: ignore[attr-defined]
        return function

    return mark
