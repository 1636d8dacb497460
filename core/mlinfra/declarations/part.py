"""What all declared parts share: a validated, frozen shape, a key, and a canonical specification."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from mlinfra.problems import Problem, Problems, nearest

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

Item = TypeVar("Item")
Items = Annotated[Sequence[Item], AfterValidator(tuple)]
"""A list as people write it, kept as a tuple."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=63)]
"""Lower-case words joined by hyphens, at most 63 characters: what every target can take or shorten."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
"""The name of a column, an input or a parameter."""

_collected: ContextVar[list[Problem] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[list[Problem]]:
    """Collect the problems of all declarations made inside, instead of stopping at the first.

    A declaration with problems yields a placeholder, so that the file's other declarations are read too;
    whoever collects must not go on when there are problems.
    """
    problems: list[Problem] = []
    token = _collected.set(problems)
    try:
        yield problems
    finally:
        _collected.reset(token)


def report(problem: Problem) -> None:
    """Add a problem to those collected; outside of `collecting()`, raise it.

    Raises:
        Problems: nobody is collecting.
    """
    problems = _collected.get()
    if problems is None:
        raise Problems([problem])
    problems.append(problem)


def caller() -> tuple[str, int]:
    """Return file and line of the nearest frame outside of mlinfra and pydantic: where the user declared."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.split(".")[0] not in ("mlinfra", "pydantic", "contextlib", "dataclasses"):
            return frame.f_code.co_filename, frame.f_lineno
        if frame.f_back is None:
            break
        frame = frame.f_back
    return "", 0


def problems_of(error: ValidationError, owner: type, *, file: str, line: int, prefix: str) -> Iterator[Problem]:
    """Translate a validation error into problems: path, found, expected, and the nearest valid name."""
    for detail in error.errors(include_url=False):
        found = detail.get("input")
        if getattr(found, "_reported", False):
            continue
        steps = [str(step) for step in detail["loc"] if not _is_branch(str(step))]
        if detail["loc"] and isinstance(detail["loc"][0], int):
            steps[0] = dataclasses.fields(owner)[detail["loc"][0]].name
        kind = detail["type"]
        near, expected, message = "", str(detail["msg"]), "is not valid"
        shown = "" if dataclasses.is_dataclass(found) or isinstance(found, ArgsKwargs) else repr(found)[:80]
        if kind in ("unexpected_keyword_argument", "extra_forbidden"):
            fields = [field.name for field in dataclasses.fields(_owner_of(owner, steps[:-1]))]
            near = nearest(steps[-1], fields) if steps else ""
            message, expected, shown = "is no field here", "one of " + ", ".join(sorted(fields)), ""
        elif kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
            message, expected, shown = "is missing", "a value", ""
        elif kind == "literal_error":
            choices = str((detail.get("ctx") or {}).get("expected", ""))
            expected = choices
            near = nearest(str(found), [choice.strip("' ") for choice in choices.replace(" or ", ",").split(",")])
        elif kind in ("value_error", "assertion_error"):
            message, expected = expected.partition(", ")[2] or expected, ""
        path = ".".join([piece for piece in (prefix, *steps) if piece])
        yield Problem(file, line, path, message, found=shown, expected=expected, nearest=near)


def _is_branch(step: str) -> bool:
    """Pydantic adds the branch of a union to the location; people never wrote it."""
    return step.startswith(("function-", "is-instance", "dataclass", "list[", "dict[", "constrained-", "lax-or"))


def _owner_of(owner: type, steps: list[str]) -> type:
    for step in steps:
        kinds = {field.name: field.type for field in dataclasses.fields(owner)}
        found = kinds.get(step)
        if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
            return owner
        owner = found
    return owner


class _Declared(type):
    """Reports a declaration's problems with the user's file and line."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                file, line = caller()
                label = kwargs.get("name", args[0] if args and isinstance(args[0], str) else "")
                prefix = f"{cls.__name__}({label!r})" if label else cls.__name__
                for problem in problems_of(error, cls, file=file, line=line, prefix=prefix):
                    report(problem)
                return cls._placeholder(args, kwargs)


class Declaration(metaclass=_Declared):
    """Base of every declared value: frozen, validated, no unknown fields."""

    __slots__ = ()

    @classmethod
    def _placeholder(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Self:
        made = object.__new__(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        given = dict(zip((field.name for field in fields), args, strict=False)) | dict(kwargs)
        for field in fields:
            default = field.default if field.default is not dataclasses.MISSING else None
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            object.__setattr__(made, field.name, given.get(field.name, default))
        object.__setattr__(made, "_reported", True)
        return made

    def spec(self) -> dict[str, Any]:
        """Return every field as JSON; another part is named by its key."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Part(Declaration):
    """One declared part of a platform. `renamed_from` is the name that it had: the resources keep their data."""

    plural: ClassVar[str]
    stateful: ClassVar[bool] = False

    name: Name = dataclasses.field(kw_only=False)
    renamed_from: Name | None = None

    @property
    def key(self) -> str:
        """The part's path in an environment: `endpoints.flight-delay`."""
        return f"{self.plural}.{self.name}"

    def references(self) -> tuple[Part, ...]:
        """Return the parts that this one is made of, in the order of its fields."""
        return tuple(_parts_in(tuple(getattr(self, field.name) for field in dataclasses.fields(self))))


P = TypeVar("P", bound=Part)


def from_spec(kind: type[P], spec: Mapping[str, Any], parts: Mapping[str, Part]) -> P:
    """Return the part that `spec` describes; keys of other parts are looked up in `parts`.

    Raises:
        pydantic.ValidationError: the specification does not fit this version's declaration.
    """
    references = {
        name: parts[value] if isinstance(value, str) and value in parts else value for name, value in spec.items()
    }
    return TypeAdapter(kind).validate_python(references)


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.key
    if isinstance(value, Declaration):
        return value.spec()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _parts_in(value: Any) -> Iterator[Part]:
    if isinstance(value, Part):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts_in(item)
    elif isinstance(value, Declaration):
        yield from _parts_in(tuple(getattr(value, field.name) for field in dataclasses.fields(value)))  # type: ignore[arg-type]
