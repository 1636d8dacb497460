"""Rules that hold in production only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, Judge, unknown
from mlinfra.resources import Resource


def production_only(judge: Judge) -> Judge:
    """Let a rule judge what belongs to production. Where nobody knows whether it does, a violation is unknown."""

    @wraps(judge)
    def judged(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
        production = inspection.production(resource)
        if production is False:
            return
        for answer in judge(resource, inspection):
            if production:
                yield answer
            else:
                yield unknown(answer.path, f"if it is production, which is not known before an up: {answer.message}")

    return judged
