"""resolve(): from what was written to what is to be there. Pure and deterministic; no I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pydantic import ValidationError

from mlinfra.adapters import Adapter, Deployment, Instance, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part, from_spec, problems_of
from mlinfra.declarations.stack import Stack
from mlinfra.digests import canonical_json
from mlinfra.environment import Environment
from mlinfra.overrides import Overrides
from mlinfra.problems import Problem, Problems, nearest
from mlinfra.releases import Lock, Pin, Release, find_release


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
    newest: Lock = field(default_factory=dict)
    """The release that was accepted last, and the one before it, by endpoint: what `releases: latest` follows."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was read: a previous release is declared until its time is over."""

    @property
    def pins(self) -> Lock:
        """What names the releases: the lock, or what was accepted last."""
        return self.newest if self.environment.releases == "latest" else self.lock

    def pin(self, endpoint: Endpoint) -> Pin | None:
        """Return the pin of an endpoint, by its name of today or by the one that it had."""
        return self.pins.get(endpoint.name) or (
            self.newest.get(endpoint.renamed_from or "") if self.environment.releases == "latest" else None
        )


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
    written = _Written(declared)
    refusals: list[Problem] = []
    parts: list[ResolvedPart] = []
    monitors = [part for _, part, _ in written.parts if isinstance(part, DriftMonitor)]
    for declared_stack, part, deployments in written.parts:
        instance, reason = _instance(adapter, part)
        if reason:
            refusals.append(reason)
        parts.append(
            ResolvedPart(
                stack=declared_stack.stack.name,
                owner=declared_stack.stack.owner,
                folder=declared_stack.folder,
                code=declared_stack.code,
                part=part,
                instance=instance,
                deployments=deployments,
                monitors=[item for item in monitors if item.endpoint.key == part.key],
            )
        )
    refusals += _refusals(declared, adapter, parts)
    if written.problems:
        raise Problems([*written.problems, *refusals])
    if refusals:
        raise Refusals(refusals)
    return Resolved(declared.environment, parts)


def problems_of_writing(declared: Declared) -> list[Problem]:
    """Return what is wrong on every target: overrides and pins that do not fit."""
    return _Written(declared).problems


class _Written:
    """What was written, put together: parts with their overrides and releases, and all problems with that."""

    def __init__(self, declared: Declared) -> None:
        problems: list[Problem] = []
        overrides = Overrides(
            declared.environment.override,
            lambda path, message, **notes: problems.append(
                declared.lines.problem(["override", path], message, **notes)
            ),
        )
        self.problems = problems
        known = {part.key: part for item in declared.stacks for part in item.stack.parts}
        # a release names the parts as they were called when it was made
        former = {f"{part.plural}.{part.renamed_from}": part for part in known.values() if part.renamed_from}
        named = {**former, **known}
        self.parts = [
            (
                declared_stack,
                overrides.apply(part, part.key),
                _deployments(declared, part, named, overrides, problems) if isinstance(part, Endpoint) else [],
            )
            for declared_stack, part in _parts(declared, problems)
        ]
        overrides.report_unused(part.key for item in declared.stacks for part in item.stack.parts)
        _check_pins(declared, problems)
        _check_webhook(declared, [part for _, part, _ in self.parts], problems)


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
    remedy = f"ask for less: override: {{{part.key}.compute: {{cpus: 1, memory_gib: 2}}}}"
    return None, Problem("", 0, f"{part.key}.compute", f"fits no machine of {adapter.name}", found=found, remedy=remedy)


def _refusals(declared: Declared, adapter: Adapter, parts: Iterable[ResolvedPart]) -> Iterator[Problem]:
    if adapter.shared:
        for field in ("state", "artifacts"):
            if getattr(declared.environment, field) is None:
                message = f"is missing: {adapter.name} needs one that the whole team and CI reach"
                yield declared.lines.problem([field], message, remedy=f"write {field}: URL, for example s3://bucket")
    for path, reason, way_out in adapter.refuse_environment(declared.environment):
        yield declared.lines.problem(path.split("."), f"{adapter.name} {reason}", remedy=way_out)
    for part in parts:
        for candidate in {id(part.part): part.part, **{id(d.part): d.part for d in part.deployments}}.values():
            yield from adapter.refuse(candidate, declared.environment)


def _deployments(
    declared: Declared,
    endpoint: Endpoint,
    named: Mapping[str, Part],
    overrides: Overrides,
    problems: list[Problem],
) -> list[Deployment]:
    made = []
    for release, frozen in _wanted(declared, endpoint, problems):
        try:
            spec_part = from_spec(Endpoint, release.identity.spec, named)
        except ValidationError as error:
            file = str(release_file(release))
            problems.extend(problems_of(error, Endpoint, file=file, line=0, prefix="identity.spec"))
            continue
        made.append(Deployment(release, overrides.apply(spec_part, endpoint.key), frozen))
    return made


def _wanted(declared: Declared, endpoint: Endpoint, problems: list[Problem]) -> list[tuple[Release, bool]]:
    """Return the releases to deploy, the serving one first, and whether each is frozen."""
    names = {endpoint.name, endpoint.renamed_from}
    wanted: list[tuple[Release, bool]] = []
    pin = declared.pin(endpoint)
    for line, frozen in (("release", False), ("previous", True)):
        text = getattr(pin, line, None)
        if pin is None or text is None or (frozen and not pin.is_warm(declared.now)):
            continue
        release = find_release(text, declared.releases)
        path = (endpoint.name, line)
        if release is None:
            problems.append(
                declared.lines.lock_problem(
                    path, "names no release, or more than one", found=text,
                    expected="a digest, or 8 or more of its first digits, of a file in releases/",
                    remedy="mlinfra promote brings a release here",
                )
            )  # fmt: skip
        elif release.endpoint not in names:
            problems.append(declared.lines.lock_problem(path, f"is a release of {release.endpoint!r}", found=text))
        elif any(release.digest == other.digest for other, _ in wanted):
            problems.append(declared.lines.lock_problem(path, "is the serving release itself", remedy="remove it"))
        else:
            wanted.append((release, frozen))
    return wanted


def _check_webhook(declared: Declared, parts: Iterable[Part], problems: list[Problem]) -> None:
    posting = [part.key for part in parts if isinstance(part, DriftMonitor) and part.on_drift == "webhook"]
    if posting and declared.environment.webhook is None:
        problems.append(
            declared.lines.problem(
                ["webhook"], f"is missing: {', '.join(posting)} would post nowhere",
                remedy=f"write webhook: https://…, or override: {{{posting[0]}.on_drift: log}}",
            )
        )  # fmt: skip


def _check_pins(declared: Declared, problems: list[Problem]) -> None:
    found = [part for item in declared.stacks for part in item.stack.of_kind(Endpoint)]
    endpoints = [part.name for part in found]
    renamed = {part.renamed_from: part.name for part in found if part.renamed_from}
    if declared.environment.releases == "latest" and declared.lock:
        problems.append(
            declared.lines.problem(["releases"], "is latest, but there is a lock file", remedy="remove one of the two")
        )
    for name in declared.lock:
        if name not in endpoints:
            near = renamed.get(name) or nearest(name, endpoints)
            problems.append(
                declared.lines.lock_problem([name], "is no endpoint here", expected=", ".join(endpoints), nearest=near)
            )


def release_file(release: Release) -> PurePosixPath:
    """Return where a release is kept in the repository."""
    return PurePosixPath("releases") / release.stack / f"{release.digest.removeprefix('sha256:')}.json"
