"""A platform in git with three environments: releases made by hand, and what serves made up. Nothing is started."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlinfra.adapters import ServedRelease, Serving
from mlinfra.artifacts import ArtifactStore
from mlinfra.releases import Release
from mlinfra.rollout.record import Phase, RolloutRecord, stamp
from mlinfra_providers.local.service import LocalService
from tests.cli.test_releases import in_git, made

LOCK = "environments/prod.lock.yaml"


def serving(release: Release, *, phase: Phase = Phase.SERVED, hours: float = 1.0, healthy: bool = True) -> Serving:
    """Return what serves where `release` was verified so many hours ago, or is still rolled out."""
    verified = stamp(datetime.now(UTC) - timedelta(hours=hours)) if phase is Phase.SERVED else None
    record = RolloutRecord(release=release.short, phase=phase, verified=verified)
    return Serving("diabetes", "http://127.0.0.1:1", [ServedRelease(release.short, 100, healthy)], 1, record)


@dataclass
class World:
    """The repository in `root`, what is true in each environment (or at `environment/endpoint`), and what drift
    monitors find there."""

    root: Path
    truth: dict[str, Serving] = field(default_factory=dict)
    drift: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    remote: Path | None = None

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git and return what it prints."""
        done = subprocess.run(
            ["git", "-C", str(folder or self.root), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *, remote: bool) -> None:
        """Commit everything; with a remote, push it there."""
        self.git("init", "-q", "-b", "main")
        for name, value in (("user.name", "Me"), ("user.email", "me@example.com"), ("commit.gpgsign", "false")):
            self.git("config", name, value)
        self.commit("everything")
        if remote:
            self.remote = self.root.with_name("remote.git")
            self.git("init", "-q", "--bare", "-b", "main", str(self.remote))
            self.git("remote", "add", "origin", str(self.remote))
            self.git("push", "-q", "origin", "main")

    def commit(self, message: str) -> None:
        """Commit all changes of the work tree."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def environment(self, name: str, *lines: str) -> None:
        """Write an environment's file."""
        text = "\n".join(["target: local", "stacks: [diabetes]", *lines]) + "\n"
        (self.root / "environments" / f"{name}.yaml").write_text(text)

    def pin(self, environment: str, release: Release, *more: str) -> None:
        """Pin a release that is in git, with more lines."""
        in_git(self.root, release)
        lines = ["diabetes:", f"  release: {release.digest}", *(f"  {line}" for line in more)]
        (self.root / "environments" / f"{environment}.lock.yaml").write_text("\n".join(lines) + "\n")

    def store(self, name: str = "artifacts") -> ArtifactStore:
        """Return a store: the repository's own, or that of prod."""
        return ArtifactStore((self.root / ".mlinfra" / name).as_uri())

    def release(self, number: int, **spec: Any) -> Release:
        """Make a release and keep it in the repository's own store."""
        return made(self.root, self.store(), number, **spec)

    def at(self, revision: str, path: str, *, there: bool = True) -> str:
        """Return a file as it is in a commit; of the remote, or of what is here."""
        return self.git("show", f"{revision}:{path}", folder=self.remote if there and self.remote else self.root)

    def branches(self) -> Sequence[str]:
        """Return the branches of the remote."""
        listed = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads", folder=self.remote)
        return sorted(listed.splitlines())

    def merge(self, branch: str) -> None:
        """Merge a branch of the remote into its main; that there is no conflict is asserted."""
        merging = self.clone(f"merging-{len(self.branches())}").root
        self.git("merge", "-q", "--no-edit", f"origin/{branch}", folder=merging)
        self.git("push", "-q", "origin", "main", folder=merging)

    def clone(self, name: str) -> World:
        """Return another person's clone, with stores of its own machine that hold the same."""
        other = self.root.with_name(name)
        self.git("clone", "-q", str(self.remote), str(other))
        for key, value in (("user.name", name), ("user.email", f"{name}@example.com")):
            self.git("config", key, value, folder=other)
        (other / ".mlinfra").symlink_to(self.root / ".mlinfra")
        return replace(self, root=other)


def begin(root: Path, patch: pytest.MonkeyPatch) -> World:
    """Return the world of a repository as `mlinfra init` makes it: prod accepts from staging, that from dev."""
    world = World(root)

    def observe(service: LocalService, endpoint: str) -> Serving:
        name = service._environment.name
        return world.truth.get(f"{name}/{endpoint}") or world.truth.get(name, Serving(endpoint, None, [], 0))

    def drift(service: LocalService, part: Any, window: str) -> Mapping[str, Any]:
        return world.drift[service._environment.name]

    patch.setattr(LocalService, "observe", observe)
    patch.setattr(LocalService, "drift", drift)
    world.environment("staging", "accept_from: [dev]")
    world.environment("prod", "accept_from: [staging]", f"artifacts: {world.store('prod').url}")
    return world
