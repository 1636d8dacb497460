"""What all declared parts share: a validated, frozen shape, a key, and a canonical specification."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from mlinfra.problems import Problem, Problems, nearest

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

Item = TypeVar("Item")


def _as_tuple(items: Sequence[Item]) -> tuple[Item, ...]:
    return tuple(items)


# a function of our own: of a built-in one, pydantic would parse the signature, which takes longer than all the rest
Items = Annotated[Sequence[Item], AfterValidator(_as_tuple)]
"""A list as people write it, kept as a tuple."""

_described: dict[str, str] = {}


def described(words: str, pattern: str, *, longest: int | None = None) -> StringConstraints:
    """Return the constraint on a text, with the words that a user reads instead of the pattern."""
    _described[pattern] = words
    return StringConstraints(pattern=pattern, max_length=longest)


Name = Annotated[str, described("lower-case words joined by hyphens", r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", longest=63)]
"""Lower-case words joined by hyphens, at most 63 characters: what every target can take or shorten."""

Identifier = Annotated[
    str, described("letters, digits and underscores, no digit first", r"^[A-Za-z_][A-Za-z0-9_]*$", longest=63)
]
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


def report(*problems: Problem) -> None:
    """Add problems to those collected; outside of `collecting()`, raise all of them.

    Raises:
        Problems: nobody is collecting.
    """
    collected = _collected.get()
    if collected is None:
        raise Problems(problems)
    collected.extend(problems)


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
    branches: dict[str, tuple[Any, list[str]]] = {}
    for detail in error.errors(include_url=False):
        found, kind, message = detail.get("input"), detail["type"], str(detail["msg"])
        steps, branch = _written_path(owner, detail["loc"])
        path = ".".join([piece for piece in (prefix, *steps) if piece])
        expected = message.removeprefix("Input should be ").replace("a dictionary or an instance of ", "")
        if branch and kind not in ("missing", "unexpected_keyword_argument", "value_error"):
            # what fits no branch of a union fails once for each: one problem says it all
            branches.setdefault(path, (found, []))[1].append(expected)
            continue
        near, message, shown = "", "is not valid", _shown(found)
        if kind in ("unexpected_keyword_argument", "extra_forbidden"):
            fields = [field.name for field in dataclasses.fields(_owner_of(owner, steps[:-1]))]
            near = nearest(steps[-1], fields)
            message, expected, shown = "is no field here", "one of " + ", ".join(sorted(fields)), ""
        elif kind == "unexpected_positional_argument":
            message, expected = "has no name", "field=value"
        elif kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
            message, expected, shown = "is missing", "a value", ""
        elif kind == "literal_error":
            expected = str((detail.get("ctx") or {}).get("expected", ""))
            near = nearest(str(found), [choice.strip("' ") for choice in expected.replace(" or ", ",").split(",")])
        elif kind == "string_pattern_mismatch":
            expected = _described.get(str((detail.get("ctx") or {}).get("pattern")), expected)
        elif kind in ("value_error", "assertion_error"):
            message, expected = expected.partition(", ")[2] or expected, ""
        yield Problem(file, line, path, message, found=shown, expected=expected, nearest=near)
    for path, (found, wanted) in branches.items():
        expected = ", or ".join(dict.fromkeys(wanted))
        yield Problem(file, line, path, "is not valid", found=_shown(found), expected=expected)


def _shown(found: Any) -> str:
    return "" if dataclasses.is_dataclass(found) or isinstance(found, ArgsKwargs) else repr(found)[:80]


def _written_path(owner: type, location: tuple[int | str, ...]) -> tuple[list[str], bool]:
    """Return the location as people wrote it, and whether it names a branch of a union, which nobody wrote."""
    steps: list[str] = []
    branch = False
    kind: Any = owner
    for index, step in enumerate(location):
        if dataclasses.is_dataclass(kind):
            fields = dataclasses.fields(kind)
            if index == 0 and isinstance(step, int):
                step = fields[step].name if step < len(fields) else f"argument {step + 1}"
            kind = _hints(kind).get(str(step))  # type: ignore[arg-type]
            steps.append(str(step))
        elif str(step) == "[key]":
            continue
        elif get_origin(kind := _bare(kind)) in (Union, UnionType):
            branch = True
            kind = next((item for item in get_args(kind) if getattr(item, "__name__", "") == str(step)), None)
        else:
            kind = next(iter(get_args(kind)[-1:]), None)
            steps.append(str(step))
        kind = _bare(kind)
    return steps, branch


@cache
def _hints(owner: type) -> Mapping[str, Any]:
    return get_type_hints(owner, include_extras=True)


def _bare(kind: Any) -> Any:
    """Return a type without its constraints, and without the None that it may be."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        rest = [item for item in get_args(kind) if item is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else kind
    return kind


def _owner_of(owner: type, steps: Sequence[str]) -> type:
    kind: Any = owner
    for step in steps:
        inner = _hints(kind).get(step) if dataclasses.is_dataclass(kind) else next(iter(get_args(kind)[-1:]), None)  # type: ignore[arg-type]
        kind = _bare(inner)
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else owner


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
                report(*problems_of(error, cls, file=file, line=line, prefix=prefix))
                return cls._placeholder(args, kwargs)
            except Exception:
                # what a placeholder lacks was said when it was made
                if not any(map(_holds_placeholder, [*args, *kwargs.values()])):
                    raise
                return cls._placeholder(args, kwargs)


def _holds_placeholder(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_placeholder, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_placeholder, value))
    if isinstance(value, Declaration):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]  # type: ignore[arg-type]
        return hasattr(value, "_reported") or any(map(_holds_placeholder, inside))
    return False


class Declaration(metaclass=_Declared):
    """Base of every declared value: frozen, validated, no unknown fields."""

    __slots__ = ()

    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after releases were made without them. With its default such a field is left out of the
    specification, so that the digests of those releases stay."""

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
            if field.name not in self.later or getattr(self, field.name) != field.default
        }


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Part(Declaration):
    """One declared part of a platform. `renamed_from` is the name that it had: the resources keep their data."""

    plural: ClassVar[str]
    stateful: ClassVar[bool] = False

    name: Name = dataclasses.field(kw_only=False)
    renamed_from: Name | None = None

    @classmethod
    def noun(cls) -> str:
        """Return what a person calls such a part: `model registry`."""
        return re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).lower()

    @property
    def key(self) -> str:
        """The part's path in an environment: `endpoints.flight-delay`."""
        return f"{self.plural}.{self.name}"

    def references(self) -> tuple[Part, ...]:
        """Return the parts that this one is made of, in the order of its fields."""
        return tuple(_parts_in(tuple(getattr(self, field.name) for field in dataclasses.fields(self))))


P = TypeVar("P", bound=Part)


def from_spec(kind: type[P], spec: Mapping[str, Any], parts: Mapping[str, Part]) -> P:
    """Return the part that `spec` describes; parts that its own fields (not nested ones) name are looked up in `parts`.

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
