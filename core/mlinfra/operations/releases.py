"""releases: every release there is, where it is pinned or followed, and what became of its artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlinfra.artifacts import ArtifactStore, Condition
from mlinfra.digests import PREFIX
from mlinfra.environment import parse_environment
from mlinfra.problems import MlinfraError, Problem, WrongUse, nearest
from mlinfra.releases import LEAST_DIGITS, Release, find_release, parse_lock, parse_release
from mlinfra.repository import Repository
from mlinfra.yaml_file import YamlFile

LATEST = "latest"
_GOOD = (Condition.WHOLE, Condition.THERE)
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Place:
    """An environment that pins a release (`line`: release or previous), or follows it (latest)."""

    environment: str
    line: str

    def to_json(self) -> dict[str, str]:
        """Return the shape that `releases --json` prints."""
        return {"environment": self.environment, "as": self.line}


@dataclass(frozen=True)
class Copy:
    """What became of a tree in the store of some environments."""

    store: str
    environments: Sequence[str]
    condition: Condition

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `releases --json` prints."""
        return {"store": self.store, "environments": list(self.environments), "condition": self.condition.value}


@dataclass(frozen=True)
class Known:
    """A release, its file in the repository (None: it is in a store only), and where it is pinned or followed."""

    release: Release
    file: str | None
    places: Sequence[Place]
    artifact: Sequence[Copy]
    baseline: Sequence[Copy] = ()
    """Looked at only for `show`."""

    @property
    def sound(self) -> bool:
        """Whether every environment that pins or follows it has its artifact (and baseline, where looked at)."""
        places = {place.environment for place in self.places}
        copies = (*self.artifact, *self.baseline)
        return all(copy.condition in _GOOD for copy in copies if places & set(copy.environments))

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `releases --json` prints."""
        made = self.release.provenance
        return {
            "release": self.release.digest,
            "stack": self.release.stack,
            "endpoint": self.release.endpoint,
            "run": made.run,
            "created": made.created,
            "metrics": dict(made.metrics),
            "places": [place.to_json() for place in self.places],
            "file": self.file,
            "artifact": [copy.to_json() for copy in self.artifact],
        }

    def details(self) -> dict[str, Any]:
        """Return the documented shape of `show --json`, version 1."""
        shown = self.release.model_dump(mode="json")
        return {
            "version": 1,
            "release": self.release.digest,
            "stack": self.release.stack,
            "endpoint": self.release.endpoint,
            "identity": shown["identity"],
            "provenance": shown["provenance"],
            "places": [place.to_json() for place in self.places],
            "file": self.file,
            "artifact": [copy.to_json() for copy in self.artifact],
            "baseline": [copy.to_json() for copy in self.baseline],
        }


@dataclass(frozen=True)
class Listing:
    """Releases, newest first, and what could not be read."""

    stack: str | None
    releases: Sequence[Known]
    unread: Sequence[Problem]

    @property
    def sound(self) -> bool:
        """Whether everything could be read, and what is pinned or followed has its artifact."""
        return not self.unread and all(known.sound for known in self.releases)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `releases --json`, version 1."""
        return {
            "version": 1,
            "stack": self.stack,
            "releases": [known.to_json() for known in self.releases],
            "unread": [problem.to_json() for problem in self.unread],
        }


@dataclass
class Catalogue:
    """Every release of a repository: of its `releases/` folder, and of the stores of its environments.

    Stacks are not executed for it. What cannot be read is a problem in `unread`, and does not hide the rest.
    """

    releases: dict[str, Release] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    stores: dict[str, tuple[ArtifactStore, list[str]]] = field(default_factory=dict)
    unread: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, repository: Repository) -> Catalogue:
        """Read the repository, and the stores that its environments name."""
        made = cls()
        for path in sorted((repository.root / "releases").glob("*/*.json")):
            made._add_file(path, str(path.relative_to(repository.root)))
        locks: dict[str, YamlFile] = {}
        latest: dict[str, ArtifactStore] = {}
        for name in repository.environments():
            environment, problems = parse_environment(repository.yaml(f"environments/{name}.yaml"), name)
            locks[name] = repository.yaml(f"environments/{name}.lock.yaml")
            made.unread += problems
            if environment is None or problems:
                continue
            try:
                store = repository.artifacts(environment)
            except MlinfraError as error:
                made.unread.append(Problem(f"environments/{name}.yaml", 0, "", error.message, remedy=error.remedy))
                continue
            made.stores.setdefault(store.url, (store, []))[1].append(name)
            if environment.releases == LATEST:
                latest[name] = store
        in_git = dict(made.releases)
        for url, (store, _) in list(made.stores.items()):
            if not made._add_store(store):
                del made.stores[url]
        for name, lock in locks.items():
            made._pin(name, lock, in_git)
        for name, store in latest.items():
            if store.url in made.stores:
                made._follow(name, store)
        return made

    def listing(self, stack: str | None) -> Listing:
        """Return the releases, newest first; of one stack where it is named.

        Raises:
            WrongUse: there are releases, and none of this stack.
        """
        stacks = sorted({release.stack for release in self.releases.values()})
        if stack is not None and stack not in stacks and stacks:
            near = nearest(stack, stacks)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise WrongUse(f"there is no release of a stack {stack!r}{hint}; there are of: {', '.join(stacks)}")
        found = [release for release in self.releases.values() if stack in (None, release.stack)]
        found.sort(key=lambda release: (release.provenance.created, release.digest), reverse=True)
        copies: dict[str, list[Copy]] = {}
        return Listing(stack, [self._known(release, copies) for release in found], self.unread)

    def find(self, text: str) -> Release:
        """Return the release that a digest, or its first digits, names.

        Raises:
            WrongUse: no release, or several; or too few digits.
        """
        digits = text.removeprefix(PREFIX).lower()
        everything = "mlinfra releases shows all, and what could not be read" if self.unread else "mlinfra releases"
        if not LEAST_DIGITS <= len(digits) <= 64 or not set(digits) <= _DIGITS:
            raise WrongUse(
                f"{text!r} is no digest: give {LEAST_DIGITS} or more of its first hexadecimal digits", remedy=everything
            )
        found = sorted(digest for digest in self.releases if digest.removeprefix(PREFIX).startswith(digits))
        if len(found) > 1:
            several = ", ".join(f"{digest} ({self.releases[digest].endpoint})" for digest in found)
            raise WrongUse(f"{text} names {len(found)} releases: {several}", remedy="give more of its digits")
        if not found:
            begins = {digest.removeprefix(PREFIX)[: len(digits)]: digest for digest in self.releases}
            near = nearest(digits, begins)
            hint = f" (did you mean {self.releases[begins[near]].short}?)" if near else ""
            raise WrongUse(f"there is no release {text}{hint}", remedy=everything)
        return self.releases[found[0]]

    def details(self, release: Release) -> Known:
        """Return all that is known of a release, with its baseline looked at."""
        copies: dict[str, list[Copy]] = {}
        known = self._known(release, copies)
        baseline = self._copies(release.identity.baseline, copies)
        return Known(known.release, known.file, known.places, known.artifact, baseline)

    def _known(self, release: Release, copies: dict[str, list[Copy]]) -> Known:
        digest = release.digest
        artifact = self._copies(release.identity.artifact, copies)
        return Known(release, self.files.get(digest), self.places.get(digest, []), artifact)

    def _copies(self, tree: str, copies: dict[str, list[Copy]]) -> list[Copy]:
        """Return what became of a tree in each store; several releases may have the same one."""
        if tree not in copies:
            copies[tree] = [Copy(store.url, names, store.condition(tree)) for store, names in self.stores.values()]
        return copies[tree]

    def _add_file(self, path: Path, name: str) -> None:
        try:
            release = parse_release(path.read_bytes(), name)
        except MlinfraError as error:
            self.unread.append(_damaged(name, error))
            return
        self.releases[release.digest] = release
        self.files[release.digest] = name

    def _add_store(self, store: ArtifactStore) -> bool:
        """Add the releases of a store; False where it cannot be read."""
        try:
            for stack in store.stacks():
                for digest in store.releases(stack):
                    name = f"{store.url}/releases/{stack}/{digest.removeprefix(PREFIX)}.json"
                    try:
                        release = parse_release(store.release(stack, digest), name)
                    except MlinfraError as error:
                        self.unread.append(_damaged(name, error, remedy="remove it, then train again"))
                        continue
                    self.releases.setdefault(release.digest, release)
        except MlinfraError as error:
            self.unread.append(Problem("", 0, "", error.message, remedy=error.remedy))
            return False
        return True

    def _pin(self, environment: str, file: YamlFile, in_git: Mapping[str, Release]) -> None:
        lock, problems = parse_lock(file)
        self.unread += problems
        for endpoint, pin in lock.items():
            for line, text in (("release", pin.release), ("previous", pin.previous)):
                release = find_release(text, in_git) if text is not None else None
                if release is not None:
                    self.places.setdefault(release.digest, []).append(Place(environment, line))
                elif text is not None:
                    message = "names no release of releases/, or more than one"
                    where = file.line(endpoint, line)
                    self.unread.append(Problem(file.name, where, f"{endpoint}.{line}", message, found=text))

    def _follow(self, environment: str, store: ArtifactStore) -> None:
        try:
            for stack in store.stacks():
                for endpoint, followed in store.newest(environment, stack).items():
                    digest = followed["release"]
                    if digest in self.releases:
                        self.places.setdefault(digest, []).append(Place(environment, LATEST))
                    else:
                        where = f"{store.url}/newest/{environment}/{stack}/{endpoint}"
                        self.unread.append(Problem(where, 0, "", "names no release that can be read", found=digest))
        except MlinfraError as error:
            self.unread.append(Problem("", 0, "", error.message, remedy=error.remedy))


def _damaged(name: str, error: MlinfraError, *, remedy: str = "") -> Problem:
    return Problem(name, 0, "", error.message.removeprefix(f"{name}: "), remedy=remedy or error.remedy)
