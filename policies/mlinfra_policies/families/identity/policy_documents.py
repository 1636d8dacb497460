"""Policy documents of AWS IAM: what they grant too widely, and whom they trust.

The grammar is that of the IAM user guide: a statement, an action, a resource or a principal may be one value or a list;
names of actions are compared without case and may hold `*` and `?`. A statement with the effect Deny grants nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mlinfra.resources import UNKNOWN

_WIDE = re.compile(r"\*+|[\w*-]+:\*+")
"""A global action, or all those of a service."""


class UnreadableError(ValueError):
    """A text that is no policy document."""


@dataclass(frozen=True)
class Statement:
    """What a statement that allows something says; `UNKNOWN` among the texts is one that nobody knows yet."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    excepts_actions: bool
    """Whether it allows all actions but some, with NotAction."""
    principals: tuple[str, ...]
    excepts_principals: bool
    """Whether it trusts all principals but some, with NotPrincipal."""

    @property
    def unknown(self) -> bool:
        """Whether a part of it is not known yet."""
        return UNKNOWN in (*self.actions, *self.resources, *self.principals)


def statements(document: Any) -> list[Statement]:
    """Return the statements of a document, a JSON text or an object, that allow something.

    Raises:
        UnreadableError: it is none.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            raise UnreadableError("is no JSON") from None
    if not isinstance(document, Mapping):
        raise UnreadableError("is no policy document")
    found = _listed(document.get("Statement"))
    if not all(isinstance(each, Mapping) for each in found if each != UNKNOWN):
        raise UnreadableError("has a statement that is no object")
    return [_statement(each) for each in found if each == UNKNOWN or each.get("Effect") != "Deny"]


def too_wide(statement: Statement) -> Iterator[str]:
    """Yield what a statement allows that nobody should have, in words."""
    if statement.excepts_actions:
        yield "allows all actions but some (NotAction)"
    if "*" not in statement.resources:
        return
    for action in statement.actions:
        if _WIDE.fullmatch(action):
            yield f"allows {action} on every resource"
        elif fnmatchcase("iam:passrole", action.lower()):
            yield f"allows {action}, and so iam:PassRole, on every resource"


def trusts_anyone(statement: Statement) -> bool:
    """Whether a statement of a trust policy admits any principal."""
    return statement.excepts_principals or "*" in statement.principals


def _statement(item: Any) -> Statement:
    if item == UNKNOWN:
        return Statement((UNKNOWN,), (), False, (), False)
    principal = item.get("Principal")
    principals = principal.values() if isinstance(principal, Mapping) else [principal]
    return Statement(
        actions=_texts(item.get("Action")),
        resources=_texts(item.get("Resource")),
        excepts_actions="NotAction" in item,
        principals=tuple(text for each in principals for text in _texts(each)),
        excepts_principals="NotPrincipal" in item,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _listed(value))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
