"""promote: moves what one environment serves to the next one, when everything that must hold does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mlinfra.adapters import ResolvedPart, Serving, load_adapter
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import parse_environment
from mlinfra.git import GitRepository
from mlinfra.operations.alone import alone
from mlinfra.operations.releases import Catalogue
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Problems, Refused, WrongUse, nearest
from mlinfra.promotion import delivery
from mlinfra.promotion import preconditions as must
from mlinfra.promotion.delivery import Base, Delivered
from mlinfra.promotion.difference import Move, Promotion, planned, promoted_lock, with_releases
from mlinfra.promotion.preconditions import Precondition
from mlinfra.promotion.review import ask_for_review
from mlinfra.promotion.upload import upload
from mlinfra.releases import Release, find_release, parse_lock
from mlinfra.repository import Repository
from mlinfra.resolve import Declared, resolve
from mlinfra.yaml_file import read_yaml


@dataclass(frozen=True)
class Wish:
    """What a person asks to promote: the endpoints of a stack, or the endpoint of one release.

    `direct`: by a commit, without a pull request. `supersede`: in place of a rollout that is under way.
    """

    stack: str
    source: str
    target: str
    release: str | None = None
    direct: bool = False
    supersede: bool = False


@dataclass(frozen=True)
class Promoted:
    """What was found out, and what git has of it now: None where nothing was to be done, or may be."""

    promotion: Promotion
    delivered: Delivered | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `promote --json`, version 1."""
        return {**self.promotion.to_json(), "delivered": self.delivered.to_json() if self.delivered else None}


def promote(repository: Repository, wish: Wish, say: Callable[[str], None]) -> Promoted:
    """Upload, commit, and open or adopt the pull request; each step finds what an earlier run has done of it.

    Nothing is promoted when a precondition refuses it, or (with `direct`) is not met; a pull request that is open says
    so then.

    Raises:
        Problems, WrongUse, Refused: as `prepare` does.
        Raced: somebody else promoted at the same time.
        MlinfraError: git, its host or a store did not do what was asked; the same command goes on from there.
    """
    git = GitRepository.open(repository.root)
    if git.remote() is not None:
        return _promote(repository, git, wish, say, remote=True)
    if not wish.direct:
        prepare(repository, wish)  # what is wrong besides comes first
        raise Refused(
            "there is no remote to push a branch to",
            remedy="--direct commits to the branch that is checked out; or git remote add origin URL",
        )
    with alone(repository, wish.target, f"mlinfra promote {wish.stack}", say):
        return _promote(repository, git, wish, say, remote=False)


def _promote(
    repository: Repository, git: GitRepository, wish: Wish, say: Callable[[str], None], *, remote: bool
) -> Promoted:
    now = datetime.now(UTC)
    base = delivery.base_of(git, wish.target, remote=remote)
    made = prepare(repository, wish, base=base, now=now)
    if not made.moves or (wish.direct and made.open):
        return Promoted(made)
    uploaded = [] if made.refused else _upload(repository, made, say)
    if not remote:
        delivered: Delivered | None = delivery.in_work_tree(git, base, made, now)
    elif wish.direct:
        delivered = delivery.on_default_branch(git, base, made, now)
    elif delivered := delivery.on_branch(git, base, made, now):
        say(f"{delivered.branch} {'is there already' if delivered.adopted else 'is pushed'}")
        made, delivered = ask_for_review(git, base, made, delivered, now)
    return Promoted(made, replace(delivered, uploaded=uploaded) if delivered else None)


def _upload(repository: Repository, made: Promotion, say: Callable[[str], None]) -> list[str]:
    stores = [repository.artifacts(session.environment) for session in (made.source, made.target)]
    uploaded: list[str] = []
    for move in made.moves:
        sent = upload(move.release, stores[0], stores[1])
        uploaded += sent
        if sent:
            say(f"{move.release.short}: sent {len(sent)} trees to {stores[1].url}")
    return uploaded


def prepare(
    repository: Repository,
    wish: Wish,
    *,
    base: Base | None = None,
    now: datetime | None = None,
) -> Promotion:
    """Return what a promotion would do and what must hold before; nothing is written.

    It goes by the lock of `base`, else by that of the work tree.

    Raises:
        Problems: all problems of all files.
        WrongUse: there is no such stack, environment or release here.
        Refused: there is nothing that could be promoted.
    """
    if wish.source == wish.target:
        raise WrongUse(f"--from and --to are both {wish.source}", remedy="name two environments")
    source = Session.open(repository, wish.source)
    target = _target(repository, wish, base)
    moves = list(_moves(repository, source, target, wish))
    if wish.release is None and not moves:
        raise Refused(
            f"{wish.source} has no release of {wish.stack} yet",
            remedy=f"mlinfra up {wish.source}"
            if source.environment.train
            else f"mlinfra promote to {wish.source} first",
        )
    moves = [move for move in moves if move.previous is None or move.previous.digest != move.release.digest]
    lock = promoted_lock(target.declared, [(move.endpoint, move.release, move.previous) for move in moves])
    moved = with_releases(target.declared, lock, [move.release for move in moves])
    there, plan = planned(target, moved)
    made = Promotion(wish.stack, source, there, moves, plan, (), wish.supersede)
    if not moves:
        return made
    found = _preconditions(repository, made, wish, now or datetime.now(UTC))
    return replace(made, preconditions=list(found))


def _target(repository: Repository, wish: Wish, base: Base | None) -> Session:
    declared = repository.load(wish.target)
    if base is not None:
        declared = _based(declared, base)
    adapter = load_adapter(declared.environment.target)
    target = Session(repository, declared, adapter, resolve(declared, adapter))
    if target.environment.releases == "latest":
        raise WrongUse(
            f"{wish.target} follows the newest release that is trained there",
            remedy=f"promote to an environment that pins its releases, or write releases: locked in "
            f"environments/{wish.target}.yaml",
        )
    return target


def _based(declared: Declared, base: Base) -> Declared:
    lock_file = read_yaml(base.lock, declared.lines.lock_file)
    lock, problems = parse_lock(lock_file)
    if problems:
        raise Problems(problems)
    lines = replace(declared.lines, lock=lock_file.lines)
    return replace(declared, lock=lock, releases={**declared.releases, **base.releases}, lines=lines)


def _moves(repository: Repository, source: Session, target: Session, wish: Wish) -> Iterator[Move]:
    """Yield a move for each endpoint of the stack that both environments have, and that has a release upstream."""
    upstream, downstream = (_endpoints(session, wish) for session in (source, target))
    asked = Catalogue.read(repository).find(wish.release) if wish.release is not None else None
    if asked is not None and asked.stack != wish.stack:
        raise WrongUse(f"{asked.short} is a release of the stack {asked.stack}, not of {wish.stack}")
    both = [name for name in upstream if name in downstream]
    if not both or (asked is not None and asked.endpoint not in both):
        what = f"the endpoint {asked.endpoint}" if asked else "an endpoint"
        raise WrongUse(f"{wish.source} and {wish.target} do not both have {what} of {wish.stack}")
    for name in both if asked is None else [asked.endpoint]:
        part = upstream[name]
        release = asked or (part.deployments[0].release if part.deployments else None)
        if release is not None:
            pin = target.declared.lock.get(name)
            pinned = find_release(pin.release, target.declared.releases) if pin else None
            instead = _serves_instead(target, downstream[name], pinned)
            yield Move(release, instead or pinned, part, downstream[name], instead=instead is not None)


def _serves_instead(target: Session, part: ResolvedPart, pinned: Release | None) -> Release | None:
    """Return what serves where the pinned release failed its rollout: a promotion is rolled out beside that."""
    serving = _serving(target, part)
    if pinned is None or isinstance(serving, str) or serving.rollout is None:
        return None
    share = {item.release: item.weight for item in serving.releases if item.weight and item.release != pinned.short}
    if serving.rollout.failure(pinned.short) is None or not share:
        return None
    return find_release(max(share, key=lambda name: share[name]), target.declared.releases)


def _endpoints(session: Session, wish: Wish) -> dict[str, ResolvedPart]:
    stacks = [item.stack.name for item in session.declared.stacks]
    if wish.stack not in stacks:
        near = nearest(wish.stack, stacks)
        hint = f" (did you mean {near!r}?)" if near else ""
        name = session.environment.name
        raise WrongUse(f"{name} has no stack {wish.stack!r}{hint}; there are: {', '.join(stacks)}")
    return {part.part.name: part for part in session.resolved.of_kind(Endpoint) if part.stack == wish.stack}


def _preconditions(repository: Repository, made: Promotion, wish: Wish, now: datetime) -> Iterator[Precondition]:
    source, target = made.source, made.target
    environment = target.environment
    yield must.accepts(wish.source, environment, _accept_from(repository))
    for move in made.moves:
        serving = _serving(source, move.upstream)
        yield must.verified(move.release, serving, wish.source)
        yield must.soaked(move.release, serving, environment, wish.source, now)
        yield from _drift(source, move)
        pin = target.declared.lock.get(move.endpoint)
        yield must.no_hold(move.endpoint, pin.hold if pin else None, wish.target)
        there = _serving(target, move.downstream)
        yield must.no_rollout(move.release, there, wish.target, supersede=wish.supersede)
        stores = [repository.artifacts(session.environment) for session in (source, target)]
        yield must.stored(move.release, stores)
        yield must.signed(move.release, stores[0], environment, repository.root)
    yield must.takes(made.plan, wish.target)
    yield must.keeps_rules(made.plan, wish.target)
    yield must.within_budget(made.plan)
    yield must.approved(environment, None, direct=wish.direct)


def _accept_from(repository: Repository) -> dict[str, Sequence[str]]:
    """Return what every environment accepts from, as far as its file can be read."""
    found: dict[str, Sequence[str]] = {}
    for name in repository.environments():
        environment, _ = parse_environment(repository.yaml(f"environments/{name}.yaml"), name)
        found[name] = environment.accept_from if environment else ()
    return found


def _serving(session: Session, part: ResolvedPart) -> Serving | str:
    """Return what serves at an endpoint, or why that cannot be told."""
    try:
        return session.service.observe(part.part.renamed_from or part.part.name)
    except (MlinfraError, ImportError) as error:
        return f"{session.environment.name} cannot be asked what serves: {error}"


def _drift(source: Session, move: Move) -> Iterator[Precondition]:
    name, blocking = source.environment.name, False
    for part in source.resolved.of_kind(DriftMonitor):
        monitor = part.part
        assert isinstance(monitor, DriftMonitor)
        if monitor.on_drift == "block-promotion" and monitor.endpoint.key == move.upstream.key:
            blocking = True
            try:
                yield must.quiet(move.endpoint, monitor.name, source.service.drift(part, monitor.every), name)
            except (MlinfraError, ImportError) as error:
                yield must.quiet(move.endpoint, monitor.name, f"{monitor.name} cannot be asked: {error}", name)
    if not blocking:
        yield must.no_monitor(move.endpoint, name)
