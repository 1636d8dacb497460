"""bootstrap: what must exist before the first `up`. What is there already is left alone; twice changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from mlinfra.adapters import Adapter, adapter_names, load_adapter
from mlinfra.environment import Environment, parse_environment
from mlinfra.foundation import STATE, Found, Foundation, SourceHost, Thing
from mlinfra.foundation_stack import PROJECT, FoundationStack
from mlinfra.git import GitError, GitRepository
from mlinfra.hosts.detect import origin_of
from mlinfra.operations.alone import alone
from mlinfra.operations.progress import Progress
from mlinfra.problems import MlinfraError, Problem, Problems, Refused, nearest
from mlinfra.record import record
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.yaml_file import YamlFile

_MAIN = "main"
_HOSTS = ("github", "gitlab")
"""Those whose jobs get tokens of OpenID Connect."""


class Standing(StrEnum):
    """How a thing stands."""

    CREATE = "create"
    MADE = "made"
    """By an earlier run: its state says so."""
    THERE = "there"
    """By somebody else: it is left alone."""
    MISSING = "missing"
    """It must be made elsewhere."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Item:
    """One thing, how it stands, what was found, and the resources that make it."""

    thing: Thing
    standing: Standing
    detail: str
    resources: Sequence[str]


@dataclass(frozen=True)
class Survey:
    """What an environment needs, and how it stands; `unasked` is why nobody could be asked."""

    repository: Repository
    environment: Environment
    foundation: Foundation
    items: Sequence[Item]
    resources: Resources
    unasked: MlinfraError | None = None
    made: frozenset[str] = field(default_factory=frozenset)
    differences: int = 0
    """How many resources of what was made differ from what would be made today."""
    stale: bool = False
    """Whether the state may not be true: the last run was killed, or something was removed by hand."""

    @property
    def due(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.wanted - self.made) or bool(self.differences) or self.stale or self.unmoved

    @property
    def wanted(self) -> frozenset[str]:
        """The keys of what is declared: what is not there, and what was made here."""
        create = {item.thing.key for item in self.items if item.standing is Standing.CREATE}
        return frozenset(create | self.made)

    @property
    def unmoved(self) -> bool:
        """Whether the state of what was made is on this machine still."""
        return bool(self.made) and _home(self.repository, self.environment)

    def of(self, *standings: Standing) -> list[Item]:
        """Return the things that stand so."""
        return [item for item in self.items if item.standing in standings]


def foundation_of(repository: Repository, name: str) -> tuple[Environment, Foundation]:
    """Return an environment as far as its own file tells, and its foundation. Stacks and releases may come later.

    Raises:
        WrongUse: no environment of this name.
        Problems: every problem of its file; that `images` is missing is none yet.
    """
    repository.check_name(name)
    file = repository.yaml(f"environments/{name}.yaml")
    environment, problems = parse_environment(file, name)
    if environment is not None and environment.target not in adapter_names():
        known = adapter_names()
        near = nearest(environment.target, known)
        line, expected = file.line("target"), ", ".join(known)
        wrong = "no adapter of this name is installed"
        problems.append(Problem(file.name, line, "target", wrong, environment.target, expected, near))
    elif environment is not None:
        adapter = load_adapter(environment.target)
        said = {problem.path for problem in problems}
        problems += [item for item in _refused(adapter, environment, file) if item.path not in said]
        if not problems:
            return environment, adapter.foundation(environment, _source(repository))
    raise Problems(problems)


def _refused(adapter: Adapter, environment: Environment, file: YamlFile) -> Iterator[Problem]:
    for name in ("state", "artifacts"):
        if adapter.shared and getattr(environment, name) is None:
            wrong = f"is missing: {adapter.name} needs one that the whole team and CI reach, and it is made here"
            yield Problem(file.name, 0, name, wrong, remedy=f"write {name}: URL, for example s3://bucket")
    for path, reason, way_out in adapter.refuse_environment(environment):
        if path == "images" and environment.images is None:
            continue  # nothing was pushed yet: where to is made here
        steps = path.split(".")
        yield Problem(file.name, file.line(*steps), path, f"{adapter.name} {reason}", remedy=way_out)


def _source(repository: Repository) -> SourceHost | None:
    try:
        git = GitRepository.open(repository.root)
        origin = origin_of(git, os.environ)
        if origin is None or origin.kind not in _HOSTS:
            return None
        return SourceHost(origin.kind, origin.web, origin.repository, git.known_default_branch() or _MAIN)
    except GitError:
        return None


def survey(repository: Repository, name: str, say: Callable[[str], None], *, compare: bool = True) -> Survey:
    """Return what an environment needs and how it stands, changing nothing. Without credentials: what would be made.

    Unless `compare`, the engine is not asked whether what was made would be made otherwise today.

    Raises:
        WrongUse, Problems: as `foundation_of`.
        MlinfraError: the state of an earlier run cannot be read.
    """
    environment, foundation = foundation_of(repository, name)
    own = [thing.key for thing in foundation.things if not thing.elsewhere]
    resources = record(lambda: foundation.declare(own), project=PROJECT, stack=name)
    if not foundation.things:
        return Survey(repository, environment, foundation, (), resources)
    try:
        found = foundation.find()
    except MlinfraError as error:
        items = [_item(thing, None, frozenset(), resources) for thing in foundation.things]
        return Survey(repository, environment, foundation, items, resources, error)
    stack = _stack(repository, environment, foundation, found, say)
    made, cut_off = stack.made() if stack is not None else (frozenset[str](), False)
    items = [_item(thing, found[thing.key], made, resources) for thing in foundation.things]
    stale = cut_off or any(item.standing is Standing.CREATE and item.thing.key in made for item in items)
    answer = Survey(repository, environment, foundation, items, resources, None, made, 0, stale)
    if stack is None or not made or not compare:
        return answer
    stack.want(answer.wanted)
    return replace(answer, differences=stack.differences())


def create(seen: Survey, progress: Progress) -> Survey:
    """Make what is not there; return how it stands then.

    Raises:
        Refused: nobody could be asked, or of something it cannot be told whether it is there; nothing was changed.
        Busy: another run changes this environment.
        MlinfraError: something failed on the way: the next run goes on from there.
    """
    refuse_unknown(seen)
    repository, environment = seen.repository, seen.environment
    with alone(repository, environment.name, f"mlinfra bootstrap {environment.name}", progress.note):
        seen = replace(survey(repository, environment.name, progress.note, compare=False), differences=seen.differences)
        refuse_unknown(seen)
        if not seen.due:
            return seen
        found = {item.thing.key: Found(item.standing is not Standing.CREATE) for item in seen.items}
        stack = _stack(repository, environment, seen.foundation, found, progress.note, needed=True)
        assert stack is not None
        stack.want(seen.wanted)
        if seen.stale:
            progress.phase("asking what is really there")
            adapter = load_adapter(environment.target)
            stack.take_over(stack.export(), partial(adapter.id_of, environment))
            stack.refresh(progress.step)
        progress.phase("creating")
        stack.up(progress.step)
        if stack.checkpoint is not None:
            progress.phase(f"moving the state to {environment.state}")
            stack.move(_engine_stack(repository, environment, progress.note, at_home=False))
        progress.phase("looking again")
        return survey(repository, environment.name, progress.note, compare=False)


def refuse_unknown(seen: Survey) -> None:
    """Refuse to make anything that may be there.

    Raises:
        Refused: nobody could be asked, or it cannot be told.
    """
    if seen.unasked is not None:
        raise Refused(f"nothing was made: {seen.unasked.message}", remedy=seen.unasked.remedy)
    absent = [item for item in seen.of(Standing.MISSING) if item.thing.key == STATE]
    if absent:
        raise Refused(
            f"nothing was made: {absent[0].thing.name} is not there, and keeps the state of what is made",
            remedy="make it where it is, then run this again",
        )
    unknown = [item for item in seen.of(Standing.UNKNOWN) if not item.thing.elsewhere]
    if unknown:
        lines = [f"{item.thing.key} {item.thing.name}: {item.detail}" for item in unknown]
        raise Refused(
            "\n".join(["nothing was made: it cannot be told whether all is there", *lines]),
            remedy="let somebody run this who may ask",
        )


def _item(thing: Thing, found: Found | None, made: frozenset[str], resources: Resources) -> Item:
    under = f"::{thing.key}"
    parents = {item.urn for item in resources.all if not item.custom and item.urn.endswith(under)}
    kinds = [f"{item.type.rsplit(':', 1)[-1]}" for item in resources.all if item.parent in parents]
    counted = [f"{kinds.count(kind)} {kind}" if kinds.count(kind) > 1 else kind for kind in dict.fromkeys(kinds)]
    if found is None:
        return Item(thing, Standing.UNKNOWN, thing.elsewhere, counted)
    if found.there is None:
        return Item(thing, Standing.UNKNOWN, found.detail, counted)
    if thing.elsewhere:
        detail = found.detail or ("" if found.there else thing.elsewhere)
        return Item(thing, Standing.THERE if found.there else Standing.MISSING, detail, ())
    if not found.there:
        return Item(thing, Standing.CREATE, found.detail, counted)
    return Item(thing, Standing.MADE if thing.key in made else Standing.THERE, found.detail, counted)


def _home(repository: Repository, environment: Environment) -> bool:
    return (repository.data / "bootstrap" / environment.name / "state").is_dir()


def _stack(
    repository: Repository,
    environment: Environment,
    foundation: Foundation,
    found: Mapping[str, Found],
    say: Callable[[str], None],
    *,
    needed: bool = False,
) -> FoundationStack | None:
    """Return the stack where its state is: here, until it was moved to the backend. None where there can be none."""
    elsewhere = any(thing.key == STATE and thing.elsewhere for thing in foundation.things)
    bucket = found[STATE].there is not False if elsewhere else bool(found[STATE].there)
    if _home(repository, environment):
        return _engine_stack(repository, environment, say, at_home=True)
    if not bucket and (elsewhere or not needed):
        return None
    return _engine_stack(repository, environment, say, at_home=not bucket)


def _engine_stack(
    repository: Repository, environment: Environment, say: Callable[[str], None], *, at_home: bool
) -> FoundationStack:
    from mlinfra_engine.install import ensure

    return FoundationStack(repository, environment, ensure(say), at_home=at_home)
