"""Gathers what is known of a release and of its way to an environment; what is not known is named, with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from mlinfra.digests import digest_json
from mlinfra.environment import Environment, parse_environment
from mlinfra.history.events import Event, Kind, same_release
from mlinfra.history.git_log import GitLog
from mlinfra.operations.check import Given, check_environment
from mlinfra.operations.cost import cost_of_environment
from mlinfra.operations.history import History, history
from mlinfra.operations.releases import Catalogue, Copy, Known
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Problems
from mlinfra.releases import Release
from mlinfra.repository import Repository
from mlinfra.rollout.record import stamp

VERSION = 1
_GOOD = ("whole", "there")
T = TypeVar("T")


@dataclass
class Gathering:
    """Facts of one release and one environment while they are gathered; `unknown` has a reason for each that is not."""

    repository: Repository
    name: str
    release: Release
    unknown: dict[str, str] = field(default_factory=dict)

    def known(self, fact: str, ask: Callable[[], T | None], reason: str = "") -> T | None:
        """Return an answer, or None, and remember that the fact is unknown, and why."""
        try:
            answer = ask()
        except Problems as error:
            answer, reason = None, "; ".join(str(problem).splitlines()[0] for problem in error.problems)
        except MlinfraError as error:
            answer, reason = None, error.message
        if answer is None:
            self.unknown[fact] = reason
        return answer


def gather(repository: Repository, release: str, name: str) -> dict[str, Any]:
    """Return the evidence of a release in the environment `name`, in its documented shape, version 1.

    Raises:
        WrongUse: no such environment; no such release, or several.
    """
    repository.check_name(name)
    catalogue = Catalogue.read(repository)
    found = catalogue.find(release)
    details = catalogue.details(found)
    it = Gathering(repository, name, found)
    environment = it.known("environment", lambda: _environment(repository, name))
    told = history(repository, name)
    moves = _of_release(told, found)
    rollouts = [event for event in moves if event.kind is Kind.ROLLOUT and same_release(event.release, found.digest)]
    if not rollouts:
        it.unknown["rollout"] = f"nothing remembers a rollout of this release in {name}"
    for source in told.sources:
        if not source.complete:
            it.unknown[f"history from {source.name}"] = "; ".join(source.notes)
    checked = it.known("findings", lambda: check_environment(repository, name, Given()).to_json())
    return {
        "version": VERSION,
        "made": stamp(datetime.now(UTC)),
        "release": {
            "digest": found.digest, "stack": found.stack, "endpoint": found.endpoint, "file": details.file,
        },
        "environment": {"name": name, "target": environment.target if environment else None},
        "identity": {
            **found.identity.model_dump(mode="json"),
            "spec_digest": digest_json(found.identity.model_dump(mode="json")["spec"]),
        },
        "artifact": _condition(it, "artifact", details.artifact),
        "baseline": _condition(it, "baseline", details.baseline),
        "provenance": _provenance(it, details),
        "model_card": _model_card(it),
        "pinned": [place.to_json() for place in details.places],
        "serving": it.known("serving", lambda: _serving(it)),
        "rollouts": [event.to_json() for event in rollouts],
        "approvals": _approvals(it, environment, moves),
        "findings": checked,
        "cost": it.known("cost", lambda: cost_of_environment(repository, name, None, None).to_json()),
        "signature": _signature(it, environment),
        "history": [event.to_json() for event in moves if event not in rollouts],
        "unknown": [{"fact": fact, "reason": reason} for fact, reason in sorted(it.unknown.items())],
    }  # fmt: skip


def _environment(repository: Repository, name: str) -> Environment | None:
    environment, problems = parse_environment(repository.yaml(f"environments/{name}.yaml"), name)
    if problems:
        raise Problems(problems)
    return environment


def _of_release(told: History, release: Release) -> list[Event]:
    """Return the events in which the release came or went."""
    return [
        event for event in told.events
        if same_release(event.release, release.digest) or same_release(event.previous, release.digest)
    ]  # fmt: skip


def _condition(it: Gathering, what: str, copies: Sequence[Copy]) -> list[dict[str, Any]]:
    """Return what became of a tree in each store; unknown where the environment's own store does not have it."""
    own = [copy for copy in copies if it.name in copy.environments]
    if not own:
        it.unknown[what] = f"the store of {it.name} cannot be read"
    return [copy.to_json() for copy in copies]


def _provenance(it: Gathering, details: Known) -> dict[str, Any]:
    made = it.release.provenance

    def log() -> GitLog:
        return GitLog(it.repository.root)

    here = it.known("commit of the code", lambda: log().time_of(made.commit or ""), _no_commit(made.commit))
    kept = it.known(
        "commit of the release",
        lambda: log().first_of(details.file) if details.file else None,
        "no commit of this branch has brought the release's file",
    )
    for name, value in (("data", made.data), ("code", made.code)):
        if not value:
            it.unknown[name] = "the release does not say which it was trained from"
    return {
        **made.model_dump(mode="json", exclude={"metrics"}),
        "code": made.code or None,
        "commit_time": stamp(here) if here else None,
        "in_git": {"commit": kept.sha, "author": kept.author, "time": stamp(kept.time)} if kept else None,
    }


def _no_commit(commit: str | None) -> str:
    return f"{commit} is not in this clone" if commit else "the release was trained outside of a commit"


def _model_card(it: Gathering) -> dict[str, Any]:
    identity, metrics = it.release.identity, it.release.provenance.metrics
    if not metrics:
        it.unknown["metrics"] = "the training run logged none"
    return {
        "metrics": dict(sorted(metrics.items())),
        "runtime": identity.runtime.model_dump(mode="json"),
        "inputs": list(identity.signature.get("inputs") or ()),
        "outputs": list(identity.signature.get("outputs") or ()),
        "baseline": identity.baseline,
    }


def _serving(it: Gathering) -> dict[str, Any]:
    """Return how the release serves now; its address, which is another one after each start, is left out."""
    session = Session.open(it.repository, it.name)
    serving = session.service.observe(it.release.endpoint)
    found = next((each for each in serving.releases if same_release(each.release, it.release.digest)), None)
    names = ("healthy", "artifact", "image", "replicas", "last_failure")
    return {"weight": found.weight if found else 0, **{name: getattr(found, name, None) for name in names}}


def _approvals(it: Gathering, environment: Environment | None, moves: Sequence[Event]) -> dict[str, Any]:
    """Return what the environment demands, and who approved the pull request that brought the release."""
    promotions = [
        event for event in moves
        if event.kind is Kind.PROMOTION and same_release(event.release, it.release.digest) and event.pull_request
    ]  # fmt: skip
    request = promotions[-1].pull_request if promotions else None
    given = it.known(
        "approvals",
        lambda: _approved(it.repository, request) if request else None,
        "no pull request is known that brought the release here",
    )
    return {
        "required": environment.approvals if environment else None,
        "pull_request": request,
        "given_by": given,
    }


def _approved(repository: Repository, request: str) -> list[str]:
    from mlinfra.git import GitRepository
    from mlinfra.hosts import host_of

    return host_of(GitRepository.open(repository.root), os.environ).approvals(int(request[1:]))


def _signature(it: Gathering, environment: Environment | None) -> Mapping[str, Any]:
    """Return whether the key that the environment names has signed the release."""
    key = environment.signed_by if environment else None
    if environment is None or key is None:
        it.unknown["signature"] = f"{it.name} names no key to verify it with (signed_by)"
        return {"key": None, "verified": None, "reason": None}

    def verified() -> tuple[bool, str | None]:
        from mlinfra.signing import verify_release

        reason = verify_release(it.release, it.repository.artifacts(environment), it.repository.root / key)
        return reason is None, reason

    answer = it.known("signature", verified)
    return {
        "key": key,
        "verified": answer[0] if answer else None,
        "reason": answer[1] if answer else it.unknown["signature"],
    }
