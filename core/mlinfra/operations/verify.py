"""verify: what is declared, what Pulumi's state records and what the target says, compared; nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlinfra.adapters import Deployment, ResolvedPart, Serving
from mlinfra.artifacts import Condition
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.diff import Change, ResourceChange
from mlinfra.digests import short
from mlinfra.operations.plan import Plan, plan_of
from mlinfra.operations.session import Session
from mlinfra.repository import Repository
from mlinfra.resources import Resource, Resources
from mlinfra.rollout.reconcile import step_of

STACKS, STATE, TRUTH, STORE, ROLLOUT = "stacks", "state", "truth", "store", "rollout"
_LONGEST = 60
_PATHS = 3


@dataclass(frozen=True)
class Difference:
    """Two of the sources (`between`) that disagree on a subject, what each of them says, and what mends it."""

    subject: str
    between: tuple[str, str]
    says: tuple[str, str]
    remedy: str

    def __str__(self) -> str:
        one, other = self.between
        return f"{one} and {other} disagree: {self.says[0]}, {self.says[1]}"

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `verify --json` prints."""
        return {
            "subject": self.subject,
            "between": list(self.between),
            "says": list(self.says),
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class EndpointTruth:
    """One endpoint: the releases that are wanted (the serving one first), those that the state records, and what
    serves."""

    part: ResolvedPart
    recorded: frozenset[str]
    serving: Serving

    @property
    def wanted(self) -> dict[str, Deployment]:
        """The releases that are wanted, by their short digest."""
        return {deployment.release.short: deployment for deployment in self.part.deployments}

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `verify --json` prints."""
        return {
            "endpoint": self.part.part.name,
            "wanted": [
                {"release": item.release.digest, "as": _role(item), "artifact": item.release.identity.artifact}
                for item in self.part.deployments
            ],
            "recorded": sorted(self.recorded),
            "url": self.serving.url,
            "releases": [asdict(release) for release in self.serving.releases],
        }


@dataclass(frozen=True)
class Verification:
    """All differences of an environment; `resources` is how many the state records."""

    session: Session
    endpoints: Sequence[EndpointTruth]
    resources: int
    differences: Sequence[Difference]

    @property
    def wants(self) -> str:
        """What names the releases that are wanted: `lock`, or `latest`."""
        return _wants(self.session)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `verify --json`, version 1."""
        return {
            "version": 1,
            "environment": self.session.environment.name,
            "target": self.session.environment.target,
            "wants": self.wants,
            "resources": self.resources,
            "endpoints": [endpoint.to_json() for endpoint in self.endpoints],
            "differences": [difference.to_json() for difference in self.differences],
        }


def verify(repository: Repository, name: str) -> Verification:
    """Compare what is declared for an environment, what its state records, and what is true.

    Raises:
        Problems: all problems of all files, and all refusals of the target.
        MlinfraError: the state cannot be read.
    """
    plan = plan_of(Session.open(repository, name))
    session, state = plan.session, plan.state
    endpoints = [
        EndpointTruth(
            part,
            _recorded(session, state, part),
            session.service.observe(part.part.renamed_from or part.part.name),
        )
        for part in session.resolved.of_kind(Endpoint)
    ]
    resources = len(state.declared())
    found = list(_of_state(plan, endpoints)) if resources else [_never_up(plan)]
    for endpoint in endpoints:
        found += _of_truth(session, endpoint)
        found += _of_store(session, endpoint)
    return Verification(session, endpoints, resources, found)


def _wants(session: Session) -> str:
    return "latest" if session.environment.releases == "latest" else "lock"


def _who(wants: str) -> str:
    return "the lock" if wants == "lock" else "latest"


def _role(deployment: Deployment) -> str:
    return "previous" if deployment.frozen else "release"


def _recorded(session: Session, state: Resources, endpoint: ResolvedPart) -> frozenset[str]:
    """Return which releases the state has, whatever the target: its resources carry the digits of their release."""
    store = session.repository.artifacts(session.environment)
    known = {short(digest) for digest in (*session.declared.releases, *store.releases(endpoint.stack))}
    part = endpoint.part
    keys = {part.key, f"{part.plural}.{part.renamed_from or part.name}"}
    texts = [_text(resource) for resource in state.declared() if state.part_of(resource) in keys]
    return frozenset(digits for digits in known if any(digits in text for text in texts))


def _text(resource: Resource) -> str:
    return f"{resource.name} {json.dumps(resource.inputs)}"


def _never_up(plan: Plan) -> Difference:
    name = plan.session.environment.name
    parts = len(plan.session.resolved.parts)
    return Difference(
        name,
        (STACKS, STATE),
        (f"the stacks declare {parts} parts", f"the state has nothing: {name} was never up, or was taken down"),
        f"mlinfra up {name}",
    )


def _of_state(plan: Plan, endpoints: Sequence[EndpointTruth]) -> Iterator[Difference]:
    """Yield where the state is not what is declared: releases first, then resources, then their protection."""
    wants, mends = _wants(plan.session), f"mlinfra up {plan.session.environment.name}"
    named: set[str] = set()
    for endpoint in endpoints:
        key = endpoint.part.key
        for digits, deployment in endpoint.wanted.items():
            if digits not in endpoint.recorded:
                wish = f"{_who(wants)} names {digits} as {_role(deployment)}"
                yield Difference(key, (wants, STATE), (wish, "the state does not have it"), mends)
        for digits in sorted(endpoint.recorded - set(endpoint.wanted)):
            wish = f"{_who(wants)} does not name {digits}"
            yield Difference(key, (wants, STATE), (wish, "the state has it"), mends)
        named |= endpoint.recorded ^ set(endpoint.wanted)
    there = {plan.state.part_of(resource) for resource in plan.state.declared()}
    for part, changes in plan.by_part().items():
        touched = [item for item in changes if item.change is not Change.SAME and not _explained(item, named)]
        if touched and part is not None and part not in there and len(touched) == len(changes):
            yield _missing(plan, part)
        else:
            yield from (_changed(plan, item) for item in touched)
    recorded = {resource.urn: resource for resource in plan.state.declared()}
    for resource in plan.resources.declared():
        known = recorded.get(resource.urn)
        if known is not None and resource.protect and not known.protect:
            subject = plan.resources.part_of(resource) or resource.name
            wish = f"the stacks protect {_name(resource)}"
            yield Difference(subject, (STACKS, STATE), (wish, "the state does not"), mends)


def _explained(change: ResourceChange, named: set[str]) -> bool:
    """Whether a change follows from a release that is named as a difference already."""
    if not change.properties:
        return any(digits in _text(change.resource) for digits in named)
    texts = [json.dumps([item.path, item.before, item.after]) for item in change.properties]
    return all(any(digits in text for digits in named) for text in texts)


def _missing(plan: Plan, key: str) -> Difference:
    holds = "declare it, and it holds data" if plan.session.resolved.part(key).part.stateful else "declare it"
    says = (f"the stacks {holds}", "the state has nothing of it")
    return Difference(key, (STACKS, STATE), says, f"mlinfra up {plan.session.environment.name}")


def _changed(plan: Plan, change: ResourceChange) -> Difference:
    environment, name = plan.session.environment.name, _name(change.resource)
    says = {
        Change.CREATE: (f"the stacks declare {name}", "the state does not have it"),
        Change.DELETE: (f"the stacks do not declare {name}", "the state has it"),
    }.get(change.change)
    if says is None:
        shown = change.properties[:_PATHS]
        more = f" and {len(change.properties) - _PATHS} more" if len(change.properties) > _PATHS else ""
        wishes = ", ".join(f"{item.path} {_value(item.after)}" for item in shown)
        known = ", ".join(f"{item.path} {_value(item.before)}" for item in shown)
        says = (f"the stacks declare {name} with {wishes}{more}", f"the state has {known}{more}")
    # an `up` refuses it: the plan says what would be lost, and the ways out
    remedy = f"mlinfra plan {environment}" if change.destroys_data else f"mlinfra up {environment}"
    return Difference(change.part or change.resource.name, (STACKS, STATE), says, remedy)


def _of_truth(session: Session, endpoint: EndpointTruth) -> Iterator[Difference]:
    """Yield where what serves is not what the state has, or is not what is wanted."""
    wants, key, name = _wants(session), endpoint.part.key, session.environment.name
    mends = f"mlinfra up {name} --refresh"
    served = {item.release: item for item in endpoint.serving.releases}
    if endpoint.recorded and endpoint.serving.url is None:
        known = ", ".join(sorted(endpoint.recorded))
        yield Difference(key, (STATE, TRUTH), (f"the state has {known}", "nothing answers at the endpoint"), mends)
        return
    for digits in sorted(endpoint.recorded - set(served)):
        yield Difference(key, (STATE, TRUTH), (f"the state has {digits}", "the target does not"), mends)
    for digits, item in sorted(served.items()):
        has = f"the state has {digits}"
        if digits not in endpoint.recorded:
            there = f"it is there, with {item.weight} % of the requests"
            yield Difference(key, (STATE, TRUTH), (f"the state does not have {digits}", there), mends)
        if not item.healthy:
            ill = "it is not healthy" + (f" ({' '.join(item.last_failure.split())})" if item.last_failure else "")
            yield Difference(key, (STATE, TRUTH), (has, ill), mends)
        deployment = endpoint.wanted.get(digits)
        if deployment is not None and item.artifact and item.artifact != deployment.release.identity.artifact:
            wish = f"{digits} is the artifact {short(deployment.release.identity.artifact)}"
            loaded = f"its server has loaded {short(item.artifact)}"
            yield Difference(key, (wants, TRUTH), (wish, loaded), mends)
        if deployment is not None and item.healthy and item.replicas is not None:
            yield from _of_replicas(deployment, item.replicas, key, mends)
    yield from _of_split(session, endpoint, {digits: item.weight for digits, item in served.items() if item.weight})


def _of_replicas(deployment: Deployment, replicas: int, key: str, mends: str) -> Iterator[Difference]:
    """Yield where a release has fewer or more replicas than it may: within its scale, the load decides."""
    declared = deployment.part
    assert isinstance(declared, Endpoint)
    least, most = declared.scale.min, declared.scale.max
    if not least <= replicas <= most:
        scale = str(least) if least == most else f"{least} to {most}"
        wish = f"{deployment.release.short} is declared with {scale} replicas"
        yield Difference(key, (STACKS, TRUTH), (wish, f"it has {replicas}"), mends)


def _of_split(session: Session, endpoint: EndpointTruth, weights: Mapping[str, int]) -> Iterator[Difference]:
    """Yield where the requests do not go where the lock, or the rollout that is under way, says."""
    wanted, record = next(iter(endpoint.wanted), None), endpoint.serving.rollout
    declared = endpoint.part.part
    assert isinstance(declared, Endpoint)
    if wanted is None or wanted not in [item.release for item in endpoint.serving.releases]:
        return
    wants, key, name = _wants(session), endpoint.part.key, session.environment.name
    split = " and ".join(f"{weight} % to {digits}" for digits, weight in sorted(weights.items())) or "none"
    if record is not None and record.is_under_way and record.release == wanted:
        step = step_of(declared.rollout, record)
        if weights != step:
            wish = " and ".join(f"{weight} % to {digits}" for digits, weight in sorted(step.items()))
            yield Difference(key, (ROLLOUT, TRUTH), (f"its step is {wish}", f"{split} go"), f"mlinfra tick {name}")
    elif weights != {wanted: 100}:
        wish, remedy = f"{_who(wants)} names {wanted} for all requests", f"mlinfra up {name}"
        if record is not None and (failure := record.failure(wanted)):
            wish, remedy = f"{wish}, which {failure.reason}", f"mlinfra up {name} --retry, or promote another one"
        yield Difference(key, (wants, TRUTH), (wish, f"{split} go"), remedy)


def _of_store(session: Session, endpoint: EndpointTruth) -> Iterator[Difference]:
    """Yield where the store does not hold what a wanted release is made of."""
    store = session.repository.artifacts(session.environment)
    for digits, deployment in endpoint.wanted.items():
        identity = deployment.release.identity
        for what, tree in (("artifact", identity.artifact), ("baseline", identity.baseline)):
            condition = store.condition(tree)
            if condition in (Condition.WHOLE, Condition.THERE):
                continue
            name = session.environment.name
            remedy = f"mlinfra up {name}" if session.environment.train else "copy it from where it was stored first"
            says = (f"{digits} needs the {what} {short(tree)}", f"it is {condition.value} in {store.url}")
            yield Difference(endpoint.part.key, (_wants(session), STORE), says, remedy)


def _name(resource: Resource) -> str:
    return f"{resource.type.rpartition(':')[2]} {resource.name}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
