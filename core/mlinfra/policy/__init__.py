"""Rules over resources: what a team's own rules import."""

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, rule, unknown, violation
from mlinfra.policy.values import at, every, is_absent, is_unknown
from mlinfra.resources import Resource

__all__ = [
    "Answer",
    "Inspection",
    "Resource",
    "at",
    "decides",
    "every",
    "is_absent",
    "is_unknown",
    "rule",
    "unknown",
    "violation",
]
