"""What must exist before the first `up` of an environment: where state and models are kept, and who CI is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

STATE, ARTIFACTS, KEY, IMAGES = "state", "artifacts", "key", "images"
OIDC, CI, CI_PLAN = "oidc", "ci", "ci-plan"
"""What the things are called in a state; `images` is followed by a number where there is more than one."""

THING_TYPE = "mlinfra:bootstrap:Thing"
"""The Pulumi component of one thing, by its key: the state so tells which things were made here."""

_ISSUERS = {"github": "https://token.actions.githubusercontent.com"}


@dataclass(frozen=True)
class SourceHost:
    """Where the repository is whose pipelines run `mlinfra`: `kind` is github or gitlab, `web` the origin of its pages,
    `repository` its whole path, `branch` the one that is deployed."""

    kind: str
    web: str
    repository: str
    branch: str

    @property
    def issuer(self) -> str:
        """The issuer of the tokens that jobs get.

        https://docs.github.com/actions/concepts/security/openid-connect,
        https://docs.gitlab.com/ci/secrets/id_token_authentication: the instance's own address.
        """
        return _ISSUERS.get(self.kind, self.web)

    def subject(self, *, plan: bool) -> str:
        """Return whose tokens are taken, as docs/pipelines.md has it; `*` stands for any text.

        Of GitHub the default branch, or pull requests for plans; of GitLab the default branch, or every branch.
        """
        if self.kind == "github":
            return f"repo:{self.repository}:" + ("pull_request" if plan else f"ref:refs/heads/{self.branch}")
        return f"project_path:{self.repository}:ref_type:branch:ref:{'*' if plan else self.branch}"


@dataclass(frozen=True)
class Thing:
    """One thing that must exist: its key, its name at the target, and what it is for.

    `elsewhere` says why the target cannot make it: it is then only looked for.
    """

    key: str
    name: str
    why: str
    elsewhere: str = ""


@dataclass(frozen=True)
class Found:
    """What was found of a thing: `there` is None where it cannot be told; `detail` says why, or what it lacks."""

    there: bool | None
    detail: str = ""


class Foundation(Protocol):
    """What a target needs before the first `up`."""

    @property
    def things(self) -> Sequence[Thing]:
        """What must exist."""
        ...

    @property
    def left_out(self) -> Mapping[str, str]:
        """What is not made for this environment, and why: `ci` where the repository has no host that is known."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of CI that name what is made, as docs/pipelines.md has them; ids that the target chooses are
        known once it was asked."""
        ...

    def find(self) -> Mapping[str, Found]:
        """Ask the target which things are there, by key.

        Raises:
            MlinfraError: nobody can be asked: credentials are missing, or of another account.
        """
        ...

    def declare(self, keys: Collection[str]) -> None:
        """Register these things with Pulumi, each under a component of THING_TYPE; the others are there already."""
        ...


@dataclass(frozen=True)
class Nothing:
    """The foundation of a target that needs nothing."""

    things: Sequence[Thing] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def find(self) -> Mapping[str, Found]:
        """Return nothing."""
        return {}

    def declare(self, keys: Collection[str]) -> None:
        """Register nothing."""


NOTHING = Nothing()
