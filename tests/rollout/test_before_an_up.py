"""What an `up` looks at before it deploys: signatures, and which previous releases are still needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlinfra.adapters import ServedRelease, Serving
from mlinfra.operations.session import Session
from mlinfra.operations.up import refuse_unsigned
from mlinfra.problems import Refused
from mlinfra.releases import Release
from mlinfra.repository import Repository
from mlinfra.rollout.record import Phase, RolloutRecord, stamp
from mlinfra.signing import sign_release
from tests.core.test_signing import pair
from tests.promotion.conftest import made, repository, run, world
from tests.promotion.world import World, serving

__all__ = ["made", "repository", "run", "world"]

PAST = "2026-01-01T00:00:00+00:00"


def session(world: World) -> Session:
    return Session.open(Repository(world.root), "prod")


def test_only_what_the_environments_key_verifies_is_deployed(world: World) -> None:
    private, _ = pair(world.root, "key")
    world.environment("prod", f"artifacts: {world.store('prod').url}", "signed_by: key.pub")
    world.truth = {}
    [part] = [item for item in session(world).resolved.parts if item.deployments]
    release = part.deployments[0].release
    with pytest.raises(Refused, match=f"{release.short}: it has no signature"):
        refuse_unsigned(session(world))
    signature = sign_release(release, world.store(), private)
    world.store("prod").put_signature(release.stack, release.digest, signature)
    with pytest.raises(Refused, match="does not hold its artifact"):
        refuse_unsigned(session(world))
    tree = world.root / "tree"
    world.store().get_tree(release.identity.artifact, tree)
    world.store("prod").put_tree(tree)
    refuse_unsigned(session(world))


def test_what_serves_already_is_not_asked_for_its_signature_again(world: World) -> None:
    pair(world.root, "key")
    world.environment("prod", "signed_by: key.pub")
    refuse_unsigned(session(world))


def previous(world: World) -> list[str]:
    """Return the releases that are deployed beside, when the lock says that their time is over."""
    parts = session(world).kept_warm().resolved.parts
    return [item.release.short for part in parts for item in part.deployments if item.frozen]


@pytest.fixture
def both(world: World) -> tuple[Release, Release]:
    old, new = world.release(3), world.release(4)
    world.pin("prod", new, f"previous: {old.digest}", f"warm_until: '{PAST}'")
    world.pin("staging", old)
    return old, new


def test_a_previous_release_goes_when_its_time_is_over(world: World, both: tuple[Release, Release]) -> None:
    world.truth["prod"] = serving(both[1])
    assert previous(world) == []


def test_one_that_gets_requests_stays(world: World, both: tuple[Release, Release]) -> None:
    world.truth["prod"] = serving(both[0])
    assert previous(world) == [both[0].short]


@pytest.mark.parametrize(
    ("phase", "warm", "stays"),
    [
        (Phase.STEP, None, True),
        (Phase.SHADOW, None, True),
        (Phase.SERVED, timedelta(hours=1), True),
        (Phase.SERVED, timedelta(hours=-1), False),
        (Phase.FAILED, None, False),
    ],
)
def test_one_stays_while_its_successor_may_fail(
    world: World, both: tuple[Release, Release], phase: Phase, warm: timedelta | None, stays: bool
) -> None:
    old, new = (release.short for release in both)
    until = stamp(datetime.now(UTC) + warm) if warm else None
    record = RolloutRecord(release=new, previous=old, phase=phase, warm_until=until)
    releases = [ServedRelease(new, 100, True), ServedRelease(old, 0, True)]
    world.truth["prod"] = Serving("diabetes", "http://127.0.0.1:1", releases, 3, record)
    assert previous(world) == ([old] if stays else [])
