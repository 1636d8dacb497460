"""Wire inputs to parameters of the cloud's API and back, checked against botocore's model of it.

Names on the wire come from Terraform's provider: `productionVariants` is `ProductionVariants`, `inputDataConfigs` is
`InputDataConfig`, `volumeSizeInGb` is `VolumeSizeInGB`; where that is not enough, a type's table of renames says it.
`botocore.validate.ParamValidator` skips enums, patterns and maxima, so the model is walked here, in paths of the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_origin

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from tests.lab.arguments import Arguments, item_of, nested, plain
from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Path, Properties

Renames = Mapping[str, str]
"""Path on the wire without indices to the name of the API's member, `a.b` to `B`; a dotted value opens structures."""

PAIRS = ({"Key", "Value"}, {"Name", "Value"})
"""Tags of a resource, dimensions of a metric: maps on the wire, lists in the API."""

SHOWN = 12
_NUMBERS = ("integer", "long", "float", "double")


@cache
def service(name: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(name)


def operation(service_name: str, name: str) -> OperationModel:
    return service(service_name).operation_model(name)


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def member(name: str, names: Mapping[str, Any], path: str, renames: Renames) -> str | None:
    """Return which of the API's names a name of the wire means."""
    if path in renames:
        return renames[path]
    wanted = _folded(name)
    folded = {_folded(item): item for item in names}
    for guess in (wanted, wanted.removesuffix("s"), f"{wanted}s", re.sub("ies$", "y", wanted)):
        if guess in folded:
            return folded[guess]
    return None


class Translation:
    """One translation of wire inputs to parameters; `failures` holds what the model does not allow."""

    def __init__(self, renames: Renames, leave_out: frozenset[str] = frozenset()) -> None:
        self._renames = renames
        self._leave_out = leave_out
        self.failures: list[Failure] = []

    def structure(self, value: Properties, shape: StructureShape, path: Path = (), dotted: str = "") -> Properties:
        """Return parameters for an object."""
        made: Properties = {}
        for name, item in value.items():
            here = f"{dotted}.{name}" if dotted else name
            if name.startswith("__") or here in self._leave_out or item is None:
                continue
            found = member(name, shape.members, here, self._renames)
            if found is None:
                self.failures.append(Failure((*path, name), f"the API has no such member in {shape.name}"))
                continue
            inner, target, rest = shape, made, found
            while "." in rest:
                step, _, rest = rest.partition(".")
                inner = inner.members[step]
                target = target.setdefault(step, {})
            target[rest] = self.value(item, inner.members[rest], (*path, name), here)
        for name in shape.required_members:
            if name not in made and not shape.members[name].metadata.get("idempotencyToken"):
                self.failures.append(Failure((*path, _lower(name)), "is required"))
        return made

    def value(self, value: Any, shape: Shape, path: Path, dotted: str) -> Any:
        """Return a parameter of any shape."""
        if value == UNKNOWN:
            return value
        if isinstance(shape, StructureShape):
            if isinstance(value, list) and len(value) == 1:  # of at most one, which Terraform's provider says as a list
                return self.value(value[0], shape, (*path, 0), dotted)
            if isinstance(value, dict):
                return self.structure(value, shape, path, dotted)
            return self._wrong(path, value, "an object")
        if isinstance(shape, ListShape):
            return self._list(value, shape, path, dotted)
        if isinstance(shape, MapShape):
            if not isinstance(value, dict):
                return self._wrong(path, value, "a map")
            self.failures += bounds(value, shape, path, "entries")
            for key in value:
                self.failures += scalar(key, shape.key, (*path, key))
            return {key: self.value(item, shape.value, (*path, key), dotted) for key, item in value.items()}
        if shape.type_name == "string" and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        self.failures += scalar(value, shape, path)
        return value

    def _list(self, value: Any, shape: ListShape, path: Path, dotted: str) -> Any:
        members = getattr(shape.member, "members", {})
        if isinstance(value, dict) and set(members) in PAIRS:
            key_name = min(members)
            pairs = [{_lower(key_name): key, "value": item} for key, item in value.items()]
            self.failures += bounds(pairs, shape, path, "entries")
            kept = Translation({})
            listed = [kept.structure(pair, shape.member, (*path, pair[_lower(key_name)])) for pair in pairs]
            # the path of an entry is its key; `.value` would be a name that nobody wrote
            self.failures += [Failure(item.path[:-1], item.message) for item in kept.failures]
            return listed
        if isinstance(value, dict) and members:  # of at most one, which the SDK says as an object
            return [self.value(value, shape.member, path, dotted)]
        if not isinstance(value, list):
            return self._wrong(path, value, "a list")
        self.failures += bounds(value, shape, path, "items")
        return [self.value(item, shape.member, (*path, index), dotted) for index, item in enumerate(value)]

    def _wrong(self, path: Path, value: Any, wanted: str) -> Any:
        self.failures.append(Failure(path, f"should be {wanted}, not {value!r}"))
        return value


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def bounds(value: Any, shape: Shape, path: Path, what: str) -> Iterator[Failure]:
    """Yield a failure for too few or too many."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and len(value) < least:
        yield Failure(path, f"has {len(value)} {what}; at least {least} are needed")
    if most is not None and len(value) > most:
        yield Failure(path, f"has {len(value)} {what}; at most {most} are allowed")


def scalar(value: Any, shape: Shape, path: Path) -> Iterator[Failure]:
    """Yield what is wrong with text, a number or a flag."""
    if value == UNKNOWN:
        return
    kind = shape.type_name
    if kind == "boolean":
        if not isinstance(value, bool):
            yield Failure(path, f"should be true or false, not {value!r}")
    elif kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int if kind in ("integer", "long") else int | float):
            yield Failure(path, f"should be a number of type {kind}, not {value!r}")
            return
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield Failure(path, f"{value!r} is less than {least}")
        if most is not None and value > most:
            yield Failure(path, f"{value!r} is more than {most}")
    elif kind == "string":
        yield from _text(value, shape, path)


def _text(value: Any, shape: Shape, path: Path) -> Iterator[Failure]:
    if not isinstance(value, str):
        yield Failure(path, f"should be text, not {value!r}")
        return
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        more = f" and {len(allowed) - SHOWN} more" if len(allowed) > SHOWN else ""
        yield Failure(path, f"{value!r} is not one of {', '.join(_nearest(value, allowed))}{more}")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield Failure(path, f"{value!r} does not match {pattern}")
    yield from bounds(value, shape, path, "characters")


def _nearest(value: str, allowed: list[str]) -> list[str]:
    """The values that begin most like the wrong one come first: of 150 instance types those of its family."""

    def alike(item: str) -> int:
        return next((index for index, pair in enumerate(zip(item, value, strict=False)) if pair[0] != pair[1]), 99)

    return sorted(allowed, key=lambda item: -alike(item))[:SHOWN]


def _matches(pattern: str, value: str) -> bool:
    # the model's patterns are those of Java; the few that Python cannot read are not judged
    text = pattern.replace(r"\p{Alnum}", "a-zA-Z0-9").replace(r"\p{L}\p{Z}\p{N}", r"\w\s")
    try:
        return re.fullmatch(text, value, re.S) is not None
    except re.error:
        return True


def to_wire(value: Any, kind: Any, renames: Renames, dotted: str = "") -> Any:
    """Return an answer of the API in the names of the wire, as far as the SDK's inputs have them."""
    known = kind if isinstance(kind, Arguments) else nested(kind)
    if known is not None and isinstance(value, list):
        # a list of at most one in Terraform's provider is an object in Pulumi's
        value = value[0] if value else {}
    if known is not None and isinstance(value, Mapping):
        made = {}
        for name, inner in known.types.items():
            here = f"{dotted}.{name}" if dotted else name
            found = member(name, value, here, renames)
            answer: Any = value
            for step in found.split(".") if found else ():
                answer = answer.get(step) if isinstance(answer, Mapping) else None
            if found is not None and answer is not None:
                made[name] = to_wire(answer, inner, renames, here)
        return made
    kind = plain(kind)
    if isinstance(value, Mapping) and nested(item_of(kind)) is not None and not _is_mapping(kind):
        return [to_wire(value, item_of(kind), renames, dotted)]
    if isinstance(value, list):
        if _is_mapping(kind):
            # dimensions of a metric: a list of names and values
            return {item["Name"]: item["Value"] for item in value}
        return [to_wire(item, item_of(kind), renames, dotted) for item in value]
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | bool | Mapping) else str(value)


def _is_mapping(kind: Any) -> bool:
    return get_origin(plain(kind)) is Mapping
