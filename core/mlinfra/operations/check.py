"""check: what the policy rules find in an environment, in a preview of any Pulumi program, or in a state; offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.policy.check import Finding, check, counted
from mlinfra.policy.exceptions import PATH, Covered, Policies, PolicyException, set_apart
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.profiles import Profile, profile_for
from mlinfra.policy.rule import Rule
from mlinfra.policy.ruleset import ruleset
from mlinfra.policy.settings import Settings
from mlinfra.policy.settings_file import read_settings
from mlinfra.preview_file import read_preview, read_state_file
from mlinfra.problems import Problems, nearest
from mlinfra.resources import Resources

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.environment import Environment
    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra.resolve import Lines


@dataclass(frozen=True)
class Given:
    """What a person gave beside an environment: at most one of a preview and a state, settings, and a profile."""

    preview: str | None = None
    state: str | None = None
    settings: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class Checked:
    """What the rules found, the worst first, and what exceptions cover of it."""

    environment: str | None
    inspection: Inspection
    profile: Profile
    rules: Sequence[Rule]
    findings: Sequence[Finding]
    covered: Sequence[Covered]

    @property
    def refused(self) -> bool:
        """Whether an `up` would be refused."""
        return any(finding.mandatory for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings are mandatory violations, other violations, unknown, and covered by exceptions."""
        covered = {id(finding) for item in self.covered for finding in item.findings}
        return {**counted(self.findings), "covered": len(covered)}

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `check --json`, version 1."""
        return {
            "version": 1,
            "environment": self.environment,
            "stack": self.inspection.stack_name,
            "profile": self.profile.name,
            "rules": len(self.rules),
            "resources": len(self.inspection.resources.all),
            "left_out": self.inspection.resources.left_out,
            "findings": [finding.to_json() for finding in self.findings],
            "exceptions": [item.to_json() for item in self.covered],
            "counts": self.counts,
        }


def check_environment(repository: Repository, name: str, given: Given) -> Checked:
    """Judge what an environment declares, or what is given instead, as the environment's policies say.

    Raises:
        Problems: all problems of all files.
        MlinfraError: something else cannot be read.
    """
    from mlinfra.operations.session import Session

    session = Session.open(repository, name)
    after, before = _given_resources(given) or _declared(session)
    return check_session(session, after, before, given)


def check_session(session: Session, after: Resources, before: Resources | None, given: Given | None = None) -> Checked:
    """Judge resources as the policies of an open session's environment say.

    Raises:
        Problems: all problems of the rules.
    """
    given = given or Given()
    rules = ruleset(session.repository.root)
    policies = session.environment.policies
    lines = session.declared.lines

    def where(index: int) -> str:
        return f"{lines.environment_file}:{lines.environment[(*PATH.split('.'), str(index))]}"

    _refuse_unknown_rules(policies.exceptions, rules, lines)
    root = session.repository.root
    inspection = inspection_for(session.environment, after, before, _settings(policies, given), root=root)
    name = session.environment.name
    profile = profile_for(name, given.profile or policies.profile)
    return _checked(name, inspection, profile, rules, policies.exceptions, where)


def inspection_for(
    environment: Environment,
    after: Resources,
    before: Resources | None = None,
    settings: Settings | None = None,
    *,
    root: Path | None = None,
) -> Inspection:
    """Return what rules look at in an environment: its budget is a setting, too; `root` is its repository's folder."""
    settings = settings or environment.policies.settings
    if settings.budget_monthly_usd is None and environment.budget is not None:
        settings = settings.model_copy(update={"budget_monthly_usd": environment.budget.monthly_usd})
    return Inspection(
        after, settings, before, usage=environment.usage, commitments=environment.commitments, root=root
    )  # fmt: skip


def check_file(given: Given, root: Path) -> Checked:
    """Judge a preview or a state; `root` is the folder that may hold a team's own rules.

    Raises:
        Problems: all problems of the rules, or of the settings.
        MlinfraError: something else cannot be read.
    """
    read = _given_resources(given)
    assert read is not None
    after, before = read
    inspection = Inspection(after, _settings(Policies(), given), before, root=root)
    profile = profile_for(inspection.stack_name, given.profile)
    return _checked(None, inspection, profile, ruleset(root), (), str)


def _checked(
    name: str | None,
    inspection: Inspection,
    profile: Profile,
    rules: Sequence[Rule],
    exceptions: Sequence[PolicyException],
    where: Callable[[int], str],
) -> Checked:
    found = check(inspection, profile.applied(rules))
    today = datetime.now(UTC).date()
    left, covered = set_apart(found, exceptions, today=today, complete=inspection.complete, where=where)
    return Checked(name, inspection, profile, rules, left, covered)


def _given_resources(given: Given) -> tuple[Resources, Resources | None] | None:
    if given.preview is not None:
        return read_preview(given.preview)
    if given.state is not None:
        return read_state_file(given.state), None
    return None


def _declared(session: Session) -> tuple[Resources, Resources | None]:
    """Return what is declared; and what is there, where the state is a folder's: another one is not offline."""
    from mlinfra.program import record_program
    from mlinfra.state import PROJECT, checkpoint_of, read_checkpoint

    after = record_program(session.repository.root, session.resolved, session.adapter, project=PROJECT)
    checkpoint = checkpoint_of(session.repository, session.environment)
    return after, Resources.from_state(read_checkpoint(checkpoint)) if checkpoint is not None else None


def _settings(policies: Policies, given: Given) -> Settings:
    """Return the settings of the environment; those of a file that was given come before."""
    if given.settings is None:
        return policies.settings
    more = read_settings(given.settings)
    return policies.settings.model_copy(update={name: getattr(more, name) for name in more.model_fields_set})


def _refuse_unknown_rules(exceptions: Sequence[PolicyException], rules: Sequence[Rule], lines: Lines) -> None:
    known = {rule.id for rule in rules}
    problems = [
        lines.problem(
            (*PATH.split("."), str(index), "rule"), "there is no such rule",
            found=exception.rule, nearest=nearest(exception.rule, known), remedy="mlinfra rules lists all",
        )
        for index, exception in enumerate(exceptions)
        if exception.rule not in known
    ]  # fmt: skip
    if problems:
        raise Problems(problems)
