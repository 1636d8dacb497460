"""resolve(): from what was written to what is to be there. Pure and deterministic; no I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from mlinfra.adapters import Adapter, Deployment, Instance, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Declaration, Part, from_spec, problems_of
from mlinfra.declarations.stack import Stack
from mlinfra.digests import canonical_json
from mlinfra.environment import Environment
from mlinfra.problems import Problem, Problems, nearest
from mlinfra.releases import Lock, Release, find_release


@dataclass(frozen=True)
class DeclaredStack:
    """A stack with where it comes from: its folder under `stacks/`, and the digest of its files."""

    stack: Stack
    folder: str
    code: str


@dataclass(frozen=True)
class Lines:
    """Where in the files a path of an environment or of its lock is: (file, line)."""

    environment: Mapping[tuple[str, ...], int]
    environment_file: str
    lock: Mapping[tuple[str, ...], int]
    lock_file: str

    def problem(self, path: Sequence[str], message: str, **notes: str) -> Problem:
        """Return a problem at a path of the environment's file."""
        line = self.environment.get(tuple(path), self.environment.get(tuple(path[:1]), 0))
        return Problem(self.environment_file, line, ".".join(path), message, **notes)

    def lock_problem(self, path: Sequence[str], message: str, **notes: str) -> Problem:
        """Return a problem at a path of the lock file."""
        return Problem(self.lock_file, self.lock.get(tuple(path), 0), ".".join(path), message, **notes)


@dataclass(frozen=True)
class Declared:
    """Everything that was written for one environment, read and parsed."""

    environment: Environment
    stacks: Sequence[DeclaredStack]
    lock: Lock
    releases: Mapping[str, Release]
    lines: Lines
    newest: Mapping[str, str] = field(default_factory=dict)
    """The digest of the release that was accepted last, by endpoint: what `releases: latest` follows."""


@dataclass(frozen=True)
class Resolved:
    """The parts of one environment, in the order in which they are made of each other."""

    environment: Environment
    parts: Sequence[ResolvedPart]

    def part(self, key: str) -> ResolvedPart:
        """Return the part with this key."""
        return next(part for part in self.parts if part.key == key)

    def of_kind(self, kind: type[Part]) -> Iterator[ResolvedPart]:
        """Yield the parts of one kind."""
        return (part for part in self.parts if isinstance(part.part, kind))

    def to_json(self) -> bytes:
        """Return everything resolved as canonical JSON: the same input gives the same bytes."""
        return canonical_json(
            {
                "environment": {"name": self.environment.name, **self.environment.model_dump(mode="json")},
                "parts": [
                    {
                        "stack": part.stack,
                        "owner": part.owner,
                        "folder": part.folder,
                        "code": part.code,
                        "key": part.key,
                        "spec": part.part.spec(),
                        "instance": dataclasses.asdict(part.instance) if part.instance else None,
                        "deployments": [
                            {
                                "release": deployment.release.digest,
                                "spec": deployment.part.spec(),
                                "frozen": deployment.frozen,
                            }
                            for deployment in part.deployments
                        ],
                    }
                    for part in self.parts
                ],
            }
        )


class Refusals(Problems):
    """The target refuses what is declared: every reason at once. Exit code 3."""

    exit_code = 3


def resolve(declared: Declared, adapter: Adapter) -> Resolved:
    """Decide everything that can be decided without asking the target.

    Raises:
        Problems: overrides or pins that do not fit; all of them.
        Refusals: what the target cannot honour; all of it.
    """
    problems: list[Problem] = []
    overrides = _Overrides(declared, problems)
    parts: list[ResolvedPart] = []
    for declared_stack, part in _parts(declared, problems):
        overridden = overrides.apply(part)
        instance, reason = _instance(adapter, overridden)
        if reason:
            problems.append(reason)
        deployments = _deployments(declared, part, overrides, problems) if isinstance(part, Endpoint) else []
        parts.append(
            ResolvedPart(
                stack=declared_stack.stack.name,
                owner=declared_stack.stack.owner,
                folder=declared_stack.folder,
                code=declared_stack.code,
                part=overridden,
                instance=instance,
                deployments=deployments,
            )
        )
    overrides.report_unused()
    _check_pins(declared, problems)
    refusals = list(_refusals(declared, adapter, parts))
    if problems:
        raise Problems([*problems, *refusals])
    if refusals:
        raise Refusals(refusals)
    return Resolved(declared.environment, parts)


def _parts(declared: Declared, problems: list[Problem]) -> Iterator[tuple[DeclaredStack, Part]]:
    seen: dict[str, str] = {}
    for declared_stack in declared.stacks:
        for part in declared_stack.stack.parts:
            if part.key in seen:
                problems.append(
                    Problem(
                        f"stacks/{declared_stack.folder}/stack.py", 0, part.key,
                        f"is also declared by stack {seen[part.key]!r}; both live in {declared.environment.name}",
                        remedy="give one of them another name",
                    )
                )  # fmt: skip
                continue
            seen[part.key] = declared_stack.stack.name
            yield declared_stack, part


def _instance(adapter: Adapter, part: Part) -> tuple[Instance | None, Problem | None]:
    need = getattr(part, "compute", None)
    if not isinstance(need, Compute):
        return None, None
    instance = adapter.instance(need)
    if instance is not None:
        return instance, None
    found = f"{need.cpus} CPUs, {need.memory_gib:g} GiB, {need.gpus} GPUs"
    return None, Problem("", 0, f"{part.key}.compute", f"fits no machine of {adapter.name}", found=found)


def _refusals(declared: Declared, adapter: Adapter, parts: Iterable[ResolvedPart]) -> Iterator[Problem]:
    if adapter.shared:
        for field in ("state", "artifacts"):
            if getattr(declared.environment, field) is None:
                message = f"is missing: {adapter.name} needs one that the whole team and CI reach"
                yield declared.lines.problem([field], message, expected="a URL, for example s3://bucket")
    for path, reason, way_out in adapter.refuse_environment(declared.environment):
        yield declared.lines.problem([path], f"{adapter.name} {reason}", remedy=way_out)
    for part in parts:
        for candidate in {id(part.part): part.part, **{id(d.part): d.part for d in part.deployments}}.values():
            yield from adapter.refuse(candidate, declared.environment)


def _deployments(
    declared: Declared, endpoint: Endpoint, overrides: _Overrides, problems: list[Problem]
) -> list[Deployment]:
    known = {part.key: part for item in declared.stacks for part in item.stack.parts}
    wanted: list[tuple[Release, bool]] = []
    if declared.environment.releases == "latest":
        newest = declared.releases.get(declared.newest.get(endpoint.name, ""))
        wanted = [(newest, False)] if newest else []
    elif pin := declared.lock.get(endpoint.name):
        for line, frozen in (("release", False), ("previous", True)):
            text = getattr(pin, line)
            if text is None:
                continue
            release = find_release(text, declared.releases)
            path = (endpoint.name, line)
            if release is None:
                problems.append(
                    declared.lines.lock_problem(
                        path, "names no release", found=text,
                        expected="a digest, or 8 or more of its first digits, of a file in releases/",
                        remedy="mlinfra promote brings a release here",
                    )
                )  # fmt: skip
            elif release.endpoint != endpoint.name:
                problems.append(declared.lines.lock_problem(path, f"is a release of {release.endpoint!r}", found=text))
            else:
                wanted.append((release, frozen))
    made = []
    for release, frozen in wanted:
        try:
            spec_part = from_spec(Endpoint, release.identity.spec, known)
        except ValidationError as error:
            file = f"releases/{release.stack}/{release.short}.json"
            problems.extend(problems_of(error, Endpoint, file=file, line=0, prefix="identity.spec"))
            continue
        made.append(Deployment(release, overrides.apply(spec_part), frozen))
    return made


def _check_pins(declared: Declared, problems: list[Problem]) -> None:
    endpoints = [part.name for item in declared.stacks for part in item.stack.of_kind(Endpoint)]
    if declared.environment.releases == "latest" and declared.lock:
        problems.append(
            declared.lines.problem(["releases"], "is latest, but there is a lock file", remedy="remove one of the two")
        )
    for name in declared.lock:
        if name not in endpoints:
            near = nearest(name, endpoints)
            problems.append(
                declared.lines.lock_problem([name], "is no endpoint here", expected=", ".join(endpoints), nearest=near)
            )


class _Overrides:
    """The environment's `override:`, applied to declared parts by path."""

    def __init__(self, declared: Declared, problems: list[Problem]) -> None:
        self._declared = declared
        self._problems = problems
        self._used: set[str] = set()
        self._reported: set[str] = set()

    def apply(self, part: Part) -> Part:
        """Return the part with the overrides that name it."""
        changed: Part = part
        for path, value in self._declared.environment.override.items():
            if path == part.key or path.startswith(part.key + "."):
                self._used.add(path)
                steps = path.removeprefix(part.key).strip(".").split(".")
                result = self._replace(changed, steps, value, path)
                changed = result if isinstance(result, Part) else changed
        return changed

    def report_unused(self) -> None:
        """Report the overrides that named no part."""
        keys = [part.key for item in self._declared.stacks for part in item.stack.parts]
        for path in self._declared.environment.override:
            if path not in self._used:
                near = nearest(".".join(path.split(".")[:2]), keys)
                self._problem(path, "names no part here", expected=", ".join(keys), nearest=near)

    def _problem(self, path: str, message: str, **notes: str) -> None:
        if path not in self._reported:
            self._reported.add(path)
            self._problems.append(self._declared.lines.problem(["override", path], message, **notes))

    def _replace(self, value: Any, steps: list[str], new: Any, path: str) -> Any:
        head, rest = steps[0], steps[1:]
        if isinstance(value, Mapping):
            if head not in value and rest:
                self._problem(path, f"{head!r} is not there", expected=", ".join(map(str, value)))
                return None
            return {**value, head: self._replace(value[head], rest, new, path) if rest else new}
        if not isinstance(value, Declaration):
            self._problem(path, f"there is nothing below this value to set {head!r} of", found=repr(value)[:60])
            return None
        names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
        if head not in names:
            self._problem(path, f"{head!r} is no field", expected=", ".join(names), nearest=nearest(head, names))
            return None
        if head in ("name", "renamed_from") or isinstance(getattr(value, head), Part):
            self._problem(path, f"{head!r} is the same in every environment", remedy="change the stack")
            return None
        inner = self._replace(getattr(value, head), rest, new, path) if rest else new
        if rest and inner is None:
            return None
        return self._rebuilt(value, head, inner, path)

    def _rebuilt(self, value: Declaration, head: str, inner: Any, path: str) -> Any:
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}  # type: ignore[arg-type]
        try:
            return type.__call__(type(value), **{**fields, head: inner})
        except ValidationError as error:
            for problem in problems_of(error, type(value), file="", line=0, prefix=""):
                where = problem.path if problem.path != head else ""
                message = f"{where} {problem.message}".strip()
                self._problem(path, message, found=problem.found, expected=problem.expected, nearest=problem.nearest)
            return None


def release_file(release: Release) -> PurePosixPath:
    """Return where a release is kept in the repository."""
    return PurePosixPath("releases") / release.stack / f"{release.digest.removeprefix('sha256:')}.json"
