"""IAM-01 on Google: each notebook and run has a service account of its own, which owns and edits no project."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies.demands import comes_from, hidden, sources

_ACCOUNT = "gcp:serviceaccount/account:Account"
_IDENTITIES = (_ACCOUNT, "google-native:iam/v1:ServiceAccount")
_MEMBERS = tuple(f"gcp:{level}/iAMMember:IAMMember" for level in ("projects", "folder", "organizations"))
_BINDINGS = tuple(f"gcp:{level}/iAMBinding:IAMBinding" for level in ("projects", "folder", "organizations"))
_WIDE = frozenset({"roles/owner", "roles/editor"})
_DEFAULT = re.compile(r"\d+-compute@developer\.gserviceaccount\.com|default", re.IGNORECASE)


@decides("IAM-01", "gcp:workbench/instance:Instance")
def account_of_a_workbench(instance: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A workbench names a service account."""
    accounts = every(instance.inputs, "gceSetup.serviceAccounts[].email")
    for account in accounts or [Value("gceSetup.serviceAccounts", None)]:
        yield from _account(account, instance, inspection)


@decides("IAM-01", "gcp:colab/notebookExecution:NotebookExecution")
def account_of_an_execution(execution: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A run of a notebook has a service account, or a user who answers for it."""
    yield from _account_or_user(execution, "", inspection)


@decides("IAM-01", "gcp:colab/schedule:Schedule")
def account_of_a_schedule(schedule: Resource, inspection: Inspection) -> Iterator[Answer]:
    """What a schedule starts has a service account: a pipeline, or a run of a notebook."""
    notebook = at(schedule.inputs, "createNotebookExecutionJobRequest")
    if not notebook.absent:
        job = "createNotebookExecutionJobRequest.notebookExecutionJob."
        yield from _account_or_user(schedule, job, inspection)
    if notebook.absent or not at(schedule.inputs, "createPipelineJobRequest").absent:
        account = at(schedule.inputs, "createPipelineJobRequest.pipelineJob.serviceAccount")
        yield from _account(account, schedule, inspection)


def _account_or_user(resource: Resource, prefix: str, inspection: Inspection) -> Iterator[Answer]:
    account, user = at(resource.inputs, f"{prefix}serviceAccount"), at(resource.inputs, f"{prefix}executionUser")
    if account.absent and hidden(user):
        yield unknown(user.path)
    elif user.absent or not account.absent:
        yield from _account(account, resource, inspection)


def _account(account: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    if account.absent:
        yield violation(account.path, "no service account is named, so the default compute account is used")
    elif hidden(account) and not comes_from(account, resource, inspection, *_IDENTITIES):
        yield unknown(account.path)
    elif _DEFAULT.fullmatch(str(account.value)):
        yield violation(account.path, "the default compute account is shared by everything in the project")
    else:
        yield from _grants(account, resource, inspection)


def _grants(account: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield what the plan grants to an account that no workload should have."""
    if hidden(account):
        meant = sources(account, resource, inspection, _ACCOUNT)
        emails = {_email(each) for each in meant}
    else:
        emails = {str(account.value).lower()}
        meant = [each for each in inspection.of(_ACCOUNT) if _email(each) in emails]
    urns = {each.urn for each in meant}
    for grant in inspection.of(*_MEMBERS, *_BINDINGS):
        field = "member" if grant.type in _MEMBERS else "members"
        members = every(grant.inputs, field if field == "member" else "members[]")
        named = {str(member.value).lower().removeprefix("serviceaccount:") for member in members}
        if not (emails & named or urns & set(grant.property_dependencies.get(field, ()))):
            continue
        role = at(grant.inputs, "role")
        if hidden(role):
            yield unknown(account.path, f"the role that {grant.name} grants to the account is known only after an up")
        elif str(role.value) in _WIDE:
            yield violation(account.path, f"{grant.name} grants {role.value} to the account")


def _email(account: Resource) -> str:
    """Return the address of an account of the plan; one that nobody has where a part of it is not known."""
    name, project = at(account.inputs, "accountId"), at(account.inputs, "project")
    return f"{name.value}@{project.value}.iam.gserviceaccount.com".lower()
