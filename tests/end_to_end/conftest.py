"""One repository is brought up from nothing and taken down again; the modules go on in copies of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mlinfra.releases import Release
from mlinfra_providers.local.features import Features
from mlinfra_providers.local.registry import Registry
from mlinfra_providers.local.traffic import Observed
from tests.end_to_end.repository import ENDPOINT, STORE, Platform


@dataclass(frozen=True)
class First:
    """What was seen at the first `up` of a fresh repository, asked of the parts themselves, and at the `down`."""

    platform: Platform
    plan_before: dict[str, Any]
    preview: dict[str, Any]
    left_by_the_preview: list[str]
    up: str
    release: Release
    programs: dict[str, int]
    observed: Observed
    registered: dict[str, Any]
    online: list[dict[str, Any]]
    answer: float
    answered_by: str
    runs: list[str]
    plan_after: dict[str, Any]
    resources: dict[str, Any]
    exported: dict[str, Any]
    ports: dict[str, int]
    second_up: str
    programs_after_second_up: dict[str, int]
    runs_after_second_up: list[str]
    resources_after_second_up: dict[str, Any]
    down: str
    remains: list[str]
    kept: list[str]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    """Bring a fresh repository up, look at everything, bring it up once more, take it down, and move it."""
    folder = tmp_path_factory.mktemp("first")
    platform = Platform.create(folder / "repository", folder / "state")
    try:
        yield _first(platform)
    finally:
        platform.end()


def _first(platform: Platform) -> First:
    plan_before = platform.read("plan", "dev")
    preview = json.loads(platform.pulumi("dev", "preview", "--json").stdout)
    left = sorted(path.name for path in (platform.folder / ".mlinfra").iterdir())
    up = platform.mlinfra("up", "dev").stdout
    with Features(platform.layout()) as features:
        online = features.online(STORE, ["ams", "ber", "nowhere"])
    with Registry(platform.layout(), platform.store()) as registry:
        registered = registry.read(ENDPOINT)
    answer = platform.ask()
    programs, runs, observed = platform.programs(), platform.runs(), platform.router().observe()
    plan_after, resources, release = platform.read("plan", "dev"), platform.resources(), platform.release()
    exported = json.loads(platform.pulumi("dev", "stack", "export").stdout)["deployment"]
    second = platform.mlinfra("up", "dev").stdout
    programs_after, runs_after = platform.programs(), platform.runs()
    resources_after, ports = platform.resources(), platform.ports()
    down = platform.mlinfra("down", "dev").stdout
    remains = platform.remains()
    layout = platform.layout()
    kept = [
        str(folder.relative_to(platform.folder))
        for folder in (layout.features, layout.registry, layout.runs, layout.endpoints, layout.monitors)
        if any(folder.iterdir())
    ]
    # Whoever still knows the old place finds nothing there.
    platform.folder = platform.folder.rename(platform.folder.with_name("moved"))
    return First(
        platform=platform,
        plan_before=plan_before,
        preview=preview,
        left_by_the_preview=left,
        up=up,
        release=release,
        programs=programs,
        observed=observed,
        registered=registered or {},
        online=online,
        answer=answer.json()["outputs"][0]["data"][0],
        answered_by=answer.headers["x-mlinfra-release"],
        runs=runs,
        plan_after=plan_after,
        resources=resources,
        exported=exported,
        ports=ports,
        second_up=second,
        programs_after_second_up=programs_after,
        runs_after_second_up=runs_after,
        resources_after_second_up=resources_after,
        down=down,
        remains=remains,
        kept=kept,
    )


@pytest.fixture(scope="module")
def moved(first: First, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A copy of the first repository at another place: down, with all that it kept."""
    platform = first.platform.copy(tmp_path_factory.mktemp("copy") / "repository")
    try:
        yield platform
    finally:
        platform.end()
