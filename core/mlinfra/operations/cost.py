"""cost: what an environment costs, or what any Pulumi program would leave or has left behind; offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.policy.inspection import Inspection
from mlinfra.preview_file import read_preview, read_state_file
from mlinfra.prices.book import PriceBook
from mlinfra.prices.budget import Standing, growth, standing
from mlinfra.prices.context import Context
from mlinfra.prices.estimate import Dollars, Estimate, estimate, estimate_in
from mlinfra.prices.own import book_here, repository_book
from mlinfra.problems import MlinfraError, Problem, Problems, nearest
from mlinfra.resources import Resources

if TYPE_CHECKING:
    from mlinfra.adapters import Adapter
    from mlinfra.environment import Environment
    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra.resolve import Declared


@dataclass(frozen=True)
class Cost:
    """An estimate, what it is of, and how it stands to the budget.

    `unused`: usage that nothing is billed by. `supposed`: endpoints without a release yet, priced as with their first.
    """

    title: str
    target: str | None
    estimate: Estimate
    growth: Dollars | None = None
    budget: float | None = None
    unused: Sequence[str] = ()
    supposed: Sequence[str] = ()

    @property
    def standing(self) -> Standing | None:
        """How the estimate stands to the budget, where there is one."""
        return None if self.budget is None else standing(self.estimate, self.budget)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `cost --json`, version 1."""
        return {
            "version": 1,
            "of": self.title,
            "target": self.target,
            **self.estimate.to_json(),
            "growth_monthly_usd": self.growth.to_json() if self.growth else None,
            "budget_monthly_usd": self.budget,
            "budget": self.standing.value if self.standing else None,
            "unused": list(self.unused),
            "supposed_releases": list(self.supposed),
        }


@dataclass(frozen=True)
class Alternative:
    """A target: what the same parts cost there, or why it refuses them."""

    target: str
    estimate: Estimate | None
    refusals: Sequence[Problem] = ()
    supposed: Mapping[str, Any] = field(default_factory=dict)
    """What the target demands of an environment and this one does not say, as it was supposed: region us-east-1."""

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `cost --compare --json` prints."""
        return {
            "target": self.target,
            "estimate": self.estimate.to_json() if self.estimate else None,
            "refused": [problem.to_json() for problem in self.refusals],
            "supposed": dict(self.supposed),
        }


@dataclass(frozen=True)
class Comparison:
    """The same parts on every installed target, that of the environment first."""

    title: str
    parts: Sequence[str]
    alternatives: Sequence[Alternative] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `cost --compare --json`, version 1."""
        return {"version": 1, "of": self.title, "targets": [item.to_json() for item in self.alternatives]}


def cost_of_file(preview: str | None, state: str | None) -> Cost:
    """Return what a preview would leave behind costs, or what is in a state.

    Raises:
        WrongUse: the file cannot be read, or is none.
        Problems: all that is wrong with the prices of the repository that this folder is in.
    """
    after, before = _given(preview, state)
    book = book_here()
    made = estimate(after, book)
    grown = growth(estimate(before, book), made) if before is not None else None
    return Cost(Inspection(after).stack_name, None, made, grown)


def cost_of_environment(repository: Repository, name: str, preview: str | None, state: str | None) -> Cost:
    """Return what an environment costs with the usage that it states, or what is given instead costs with it.

    Raises:
        Problems: all problems of all files, and all refusals of the target.
    """
    from mlinfra.operations.session import Session

    session = Session.open(repository, name)
    environment = session.environment
    before: Resources | None = None
    supposed: Sequence[str] = ()
    if preview is None and state is None:
        session, supposed = _with_first_releases(session)
        resources = _declared(session)
    else:
        resources, before = _given(preview, state)
    book = repository_book(repository.root)
    _refuse_unknown_names(session.declared, resources, book)
    context = Context(Inspection(resources), environment.usage)
    made = estimate_in(context, book, environment.commitments)
    return Cost(
        name,
        environment.target,
        made,
        growth(_estimate(before, session, book), made) if before is not None else None,
        environment.budget.monthly_usd if environment.budget else environment.policies.settings.budget_monthly_usd,
        list(_unused(context)),
        supposed,
    )


def compare_targets(repository: Repository, name: str) -> Comparison:
    """Return what an environment's parts cost on every installed target, or why a target refuses them.

    Fields of the environment that another target does not have are left out for it, and those that it demands are
    supposed: where state and artifacts are, which changes no price, and its region, which does.

    Raises:
        Problems: all problems of all files.
    """
    from mlinfra.adapters import adapter_names

    declared = repository.load(name)
    book = repository_book(repository.root)
    own = declared.environment.target
    parts = [part.key for declared_stack in declared.stacks for part in declared_stack.stack.parts]
    targets = [own, *(other for other in adapter_names() if other != own)]
    return Comparison(name, parts, [_alternative(repository, declared, target, book) for target in targets])


def _alternative(repository: Repository, declared: Declared, target: str, book: PriceBook) -> Alternative:
    from dataclasses import replace

    from mlinfra.adapters import load_adapter
    from mlinfra.operations.session import Session
    from mlinfra.resolve import resolve

    try:
        adapter = load_adapter(target)
        environment = declared.environment
        supposed: Mapping[str, Any] = {}
        if target != environment.target:
            environment, supposed = _moved(environment, adapter)
        there = replace(declared, environment=environment)
        session, _ = _with_first_releases(Session(repository, there, adapter, resolve(there, adapter)))
        return Alternative(target, _estimate(_declared(session), session, book), supposed=supposed)
    except Problems as error:
        return Alternative(target, None, error.problems)
    except MlinfraError as error:
        return Alternative(target, None, [Problem("", 0, "", error.message, remedy=error.remedy)])
    except ImportError as error:
        remedy = f"install mlinfra-toolkit[{target}]"
        return Alternative(target, None, [Problem("", 0, "", f"is not installed completely: {error}", remedy=remedy)])


def _moved(environment: Environment, adapter: Adapter) -> tuple[Environment, Mapping[str, Any]]:
    """Return the environment at another target, and what was supposed that changes a price: the region."""
    from mlinfra.environment import Environment

    place = {name: values[0] for name, values in adapter.place.items()}
    stores = {name: place.get(name, "s3://supposed") for name in ("state", "artifacts")}
    written = environment.model_dump(exclude_none=True)
    given = {**written, "name": environment.name, "target": adapter.name, **(stores if adapter.shared else {})}
    for _ in range(2):  # first without what is foreign there, then with what it demands
        here = Environment.model_validate(given)
        named = {path.partition(".")[0] for path, _, _ in adapter.refuse_environment(here)}
        given = {name: value for name, value in given.items() if name not in named}
        given |= {name: place[name] for name in named & set(place)}
    changed = {name: given[name] for name in ("region",) if name in given and given[name] != environment.region}
    return Environment.model_validate(given), changed


def _with_first_releases(session: Session) -> tuple[Session, Sequence[str]]:
    """Return the session with a release for each endpoint that has none yet, and these endpoints' keys.

    What serves a release is what costs: before the first one there would be nothing to see.
    """
    from dataclasses import replace

    from mlinfra.adapters import Deployment
    from mlinfra.declarations.endpoint import Endpoint
    from mlinfra.digests import digest_json
    from mlinfra.releases import Identity, Provenance, Release, Runtime

    parts, supposed = [], []
    for resolved in session.resolved.parts:
        part = resolved.part
        if isinstance(part, Endpoint) and not resolved.deployments:
            supposed.append(resolved.key)
            identity = Identity(
                artifact=digest_json([]), runtime=Runtime(name=part.runtime, version="0"), spec=part.spec(),
                signature={"inputs": [], "outputs": []}, baseline=digest_json([]),
            )  # fmt: skip
            provenance = Provenance(created="2000-01-01T00:00:00Z", author="", run="")
            release = Release(stack=resolved.stack, endpoint=part.name, identity=identity, provenance=provenance)
            resolved = replace(resolved, deployments=[Deployment(release, part)])
        parts.append(resolved)
    return replace(session, resolved=replace(session.resolved, parts=parts)), supposed


def _declared(session: Session) -> Resources:
    from mlinfra.program import record_program
    from mlinfra.state import PROJECT

    return record_program(session.repository.root, session.resolved, session.adapter, project=PROJECT)


def _estimate(resources: Resources, session: Session, book: PriceBook) -> Estimate:
    environment = session.environment
    return estimate(resources, book, usage=environment.usage, commitments=environment.commitments)


def _given(preview: str | None, state: str | None) -> tuple[Resources, Resources | None]:
    if preview is not None:
        return read_preview(preview)
    assert state is not None
    return read_state_file(state), None


def _refuse_unknown_names(declared: Declared, resources: Resources, book: PriceBook) -> None:
    """Refuse usage of what is not there, and commitments to services that have no price."""
    names = {part.key for stack in declared.stacks for part in stack.stack.parts}
    names |= {resource.name for resource in resources.declared() if resources.part_of(resource) is None}
    wanted: Mapping[str, tuple[Mapping[str, Any], set[str]]] = {
        "usage": (declared.environment.usage, names),
        "commitments": (declared.environment.commitments, book.services),
    }
    problems = [
        declared.lines.problem(
            (section, name), f"there is no such {what}", expected=", ".join(sorted(known)), nearest=nearest(name, known)
        )
        for (section, (given, known)), what in zip(wanted.items(), ("part or resource", "service"), strict=True)
        for name in given
        if name not in known
    ]
    if problems:
        raise Problems(problems)


def _unused(context: Context) -> Iterator[str]:
    for name, usage in context.usage.items():
        for stated in sorted(usage.model_fields_set):
            if getattr(usage, stated) is not None and (name, stated) not in context.asked:
                yield f"usage.{name}.{stated}"
