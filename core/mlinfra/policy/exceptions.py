"""Exceptions: findings that somebody has agreed to, until a day. One that is over, or covers nothing, is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from mlinfra.policy.check import Finding
from mlinfra.policy.profiles import known_profile, profiles
from mlinfra.policy.rule import Answer, Level, Rule, Severity, Verdict
from mlinfra.policy.settings import Settings
from mlinfra.resources import Resource

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PATH = "policies.exceptions"

EXPIRED = Rule(
    "EXC-01", "An exception is in force", Severity.LOW, Level.ADVISORY,
    "Mend what it covers and remove it, or agree on a later day.", "exceptions",
)  # fmt: skip
UNMATCHED = Rule(
    "EXC-02", "An exception covers something", Severity.LOW, Level.ADVISORY, "Remove it.", "exceptions"
)  # fmt: skip


def _day(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("is no day: 2027-01-31")
    return value


class PolicyException(BaseModel):
    """Leave to break a rule: for a part or a resource, with a reason and an owner, until a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Text = Field(description="The rule's id: COST-09.")
    part: Text | None = Field(default=None, description="The part: endpoints.flight-delay, or its name alone.")
    resource: Text | None = Field(default=None, description="Instead of a part: the resource's name or URN.")
    reason: Text = Field(description="Why the rule may be broken.")
    owner: Text = Field(description="Who answers for it.")
    until: Annotated[date, BeforeValidator(_day)] = Field(description="The last day on which it counts (UTC).")

    @model_validator(mode="after")
    def _for_one(self) -> Self:
        if (self.part is None) == (self.resource is None):
            raise ValueError("is for a part or for a resource: name one of them")
        return self

    @property
    def subject(self) -> str:
        """What it is for, as it was written."""
        return self.part or self.resource or ""

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this finding, in force or not."""
        if finding.rule.id != self.rule:
            return False
        if self.part is not None:
            return finding.part is not None and self.part in (finding.part, finding.part.partition(".")[2])
        return self.resource in (finding.resource.urn, finding.resource.name)


class Policies(BaseModel):
    """What an environment says of the policy rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Annotated[str, AfterValidator(known_profile)] | None = Field(
        default=None,
        description="How strict. Unset: production where the environment is called so, else baseline.",
        json_schema_extra=lambda schema: schema.update({"enum": [*profiles(), None]}),
    )
    exceptions: tuple[PolicyException, ...] = Field(default=(), description="Findings that somebody has agreed to.")
    settings: Settings = Field(default_factory=Settings, description="The parameters that rules name.")


@dataclass(frozen=True)
class Covered:
    """An exception that is in force, and the findings that it covers."""

    exception: PolicyException
    findings: Sequence[Finding]

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `check --json`, version 1."""
        return {
            **self.exception.model_dump(mode="json"),
            "findings": [finding.to_json() for finding in self.findings],
        }


def set_apart(
    findings: Iterable[Finding],
    exceptions: Sequence[PolicyException],
    *,
    today: date,
    complete: bool,
    where: Callable[[int], str],
) -> tuple[list[Finding], list[Covered]]:
    """Return what is left of the findings, and what exceptions cover.

    What is left holds each exception that is over or covers nothing; of the latter nobody can be sure unless all
    resources are there (`complete`). `where` returns the file and line of the exception with an index.
    """
    found = list(findings)
    covered: list[Covered] = []
    reported: list[Finding] = []
    for index, exception in enumerate(exceptions):
        about = [finding for finding in found if exception.covers(finding)]
        if exception.until < today:
            message = f"{where(index)}: expired on {exception.until}"
            reported.append(_reported(EXPIRED, index, "until", Verdict.VIOLATION, message, exception))
        elif about:
            covered.append(Covered(exception, about))
        else:
            field = "part" if exception.part is not None else "resource"
            message = f"{where(index)}: matches nothing{'' if complete else ' among the resources that are shown'}"
            verdict = Verdict.VIOLATION if complete else Verdict.UNKNOWN
            reported.append(_reported(UNMATCHED, index, field, verdict, message, exception))
    apart = {id(finding) for item in covered for finding in item.findings}
    left = [*(finding for finding in found if id(finding) not in apart), *reported]
    return sorted(left, key=lambda finding: (not finding.mandatory, *_badness(finding))), covered


def _reported(
    rule: Rule, index: int, field: str, verdict: Verdict, message: str, exception: PolicyException
) -> Finding:
    name = f"{PATH}[{index}]"
    about = f"{exception.rule} for {exception.subject} ({exception.owner}: {exception.reason})"
    answer = Answer(verdict, f"{name}.{field}", f"{message}: {about}")
    return Finding(rule, Resource(name, "", name, {}), None, answer)


def _badness(finding: Finding) -> tuple[bool, int]:
    return finding.answer.verdict is Verdict.UNKNOWN, list(Severity).index(finding.rule.severity)
