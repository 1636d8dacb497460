"""Whether the records of inference are kept for the required period, and deleted after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_false, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies.azure import storage_accounts
from mlinfra_policies.storage import S3_BUCKETS, datasets

_LIFECYCLES = tuple(
    f"aws:s3/bucketLifecycleConfiguration{kind}:BucketLifecycleConfiguration{kind}" for kind in ("", "V2")
)
_AZURE = "azure-native:machinelearningservices"
_POLICY = "azure-native:storage:ManagementPolicy"
_DAY_IN_MS = 24 * 60 * 60 * 1000
_SIZES = ("objectSizeGreaterThan", "objectSizeLessThan")
_CONTAINER = "azureml-blobstore-"
"""What the name of a workspace's container begins with; the rest is the workspace's own number."""


@dataclass(frozen=True)
class _Deletion:
    """A rule that deletes records after some days; None where their number, or what it covers, is not known."""

    days: float | None
    covers: bool | None


@decides("AUD-04", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def records_of_sagemaker_are_kept_and_deleted(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    switch = at(resource.inputs, "dataCaptureConfig.enableCapture")
    target = at(resource.inputs, "dataCaptureConfig.destinationS3Uri")
    if switch.hidden:
        yield unknown(switch.path)
    if not is_true(switch.value):
        return
    name, _, prefix = str(target.value).removeprefix("s3://").partition("/")
    known = inspection.named(name, "bucket", *S3_BUCKETS)
    buckets = inspection.referred(resource, target, "", *S3_BUCKETS) if target.unknown else known
    if not buckets:
        yield unknown(target.path, "the bucket of the records is not part of the plan")
        return
    folder = None if target.unknown else f"{prefix.rstrip('/')}/".removeprefix("/")
    deletions = list(_expirations(buckets[0], "lifecycleRules[]", folder))
    lifecycles = inspection.holders(_LIFECYCLES, "bucket", "bucket", *S3_BUCKETS)
    for lifecycle in lifecycles.of(buckets[0]):
        deletions += _expirations(lifecycle, "rules[]", folder)
    yield from _kept(target.path, deletions, bool(lifecycles.open) or not inspection.complete, inspection)


def _expirations(resource: Resource, path: str, folder: str | None) -> Iterator[_Deletion]:
    """Yield what the lifecycle rules of a bucket delete in a folder, which is None where it is not known.

    A day of the calendar is no period: how old what it deletes is then, nobody knows.
    """
    for rule in every(resource.inputs, path):
        [status], [enabled] = every(rule, "status"), every(rule, "enabled")
        [days], [date] = every(rule, "expiration.days"), every(rule, "expiration.date")
        off = status.value == "Disabled" or is_false(enabled.value)
        covers = _covers(rule, folder)
        if not off and not (days.absent and date.absent) and covers is not False:
            yield _Deletion(number(days.value), None if status.unknown or enabled.unknown else covers)


def _covers(rule: Value, folder: str | None) -> bool | None:
    """Whether a lifecycle rule deletes all that is in a folder; None where that is not known."""
    narrower = [f"filter.{path}" for path in ("tag", *_SIZES, "and.tags", *(f"and.{size}" for size in _SIZES))]
    if any(not (each := every(rule, path)[0]).absent and not each.unknown for path in (*narrower, "tags")):
        return False
    prefixes = [every(rule, path)[0] for path in ("filter.prefix", "filter.and.prefix", "prefix")]
    said = [prefix for prefix in prefixes if not prefix.absent]
    if folder is None or any(prefix.unknown for prefix in said):
        return None if said else True
    return all(folder.startswith(str(prefix.value)) for prefix in said)


@decides("AUD-04", "gcp:vertex/aiEndpoint:AiEndpoint")
def records_of_vertex_are_kept_and_deleted(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    logging = at(resource.inputs, "predictRequestResponseLoggingConfig")
    [switch], [target] = every(logging, "enabled"), every(logging, "bigqueryDestination.outputUri")
    if switch.hidden:
        yield unknown(switch.path)
    if not is_true(switch.value):
        return
    found = datasets(resource, target, inspection)
    if not found:
        yield unknown(target.path, "the dataset of the records is not part of the plan")
        return
    expiration = at(found[0].inputs, "defaultTableExpirationMs")
    milliseconds = number(expiration.value)
    period = _Deletion(None if milliseconds is None else milliseconds / _DAY_IN_MS, covers=True)
    deletions = [] if expiration.absent else [period]
    yield from _kept(target.path, deletions, unsure=False, inspection=inspection)


@decides("AUD-04", f"{_AZURE}:OnlineDeployment")
def records_of_azure_are_kept_and_deleted(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    collector = at(resource.inputs, "properties.dataCollector")
    modes = every(collector, "collections{}.dataCollectionMode")
    if not any(mode.value == "Enabled" for mode in modes):
        yield from (unknown(mode.path) for mode in modes if mode.unknown)
        return
    account = _account(resource, inspection)
    if account is None:
        yield unknown(collector.path, "the storage account of the workspace is not part of the plan")
        return
    policies = inspection.holders([_POLICY], "accountName", "accountName", "azure-native:storage:StorageAccount")
    deletions = [deletion for policy in policies.of(account) for deletion in _deletions(policy)]
    yield from _kept(collector.path, deletions, bool(policies.open) or not inspection.complete, inspection)


def _account(resource: Resource, inspection: Inspection) -> Resource | None:
    """Return the storage account of a deployment's workspace, where the plan has both."""
    name = at(resource.inputs, "workspaceName")
    workspaces = inspection.referred(resource, name, "workspaceName", f"{_AZURE}:Workspace")
    return next((account for each in workspaces for account in storage_accounts(each, inspection)), None)


def _deletions(policy: Resource) -> Iterator[_Deletion]:
    """Yield what the rules of a management policy delete of the records."""
    for rule in every(policy.inputs, "policy.rules[]"):
        [switch], [tags] = every(rule, "enabled"), every(rule, "definition.filters.blobIndexMatch")
        ages = [
            every(rule, f"definition.actions.baseBlob.delete.daysAfter{event}GreaterThan")[0]
            for event in ("Modification", "Creation", "LastAccessTime")
        ]
        said = [age for age in ages if not age.absent]
        covers = _covers_container(every(rule, "definition.filters.prefixMatch[]"))
        if said and not is_false(switch.value) and (tags.absent or tags.unknown) and covers is not False:
            yield _Deletion(number(said[0].value), None if switch.unknown else covers)


def _covers_container(prefixes: Sequence[Value]) -> bool | None:
    """Whether a rule with these prefixes covers the container of a workspace; None where that is not known."""
    if not prefixes or any(_CONTAINER.startswith(str(prefix.value)) for prefix in prefixes):
        return True
    maybe = any(prefix.unknown or str(prefix.value).startswith(_CONTAINER) for prefix in prefixes)
    return None if maybe else False


def _kept(path: str, deletions: Sequence[_Deletion], unsure: bool, inspection: Inspection) -> Iterator[Answer]:
    """Yield whether records are deleted, and not too early. `unsure` says whether there may be other rules."""
    wanted = inspection.settings.log_retention_days_min
    early = [each for each in deletions if each.days is not None and each.days < wanted]
    sure = [each.days for each in early if each.covers and each.days is not None]
    if sure:
        yield violation(path, f"the records are deleted after {min(sure):g} days; at least {wanted:g} are required")
    elif early or any(each.days is None for each in deletions):
        yield unknown(path, "how long the records are kept is known only after an up")
    elif not any(each.covers for each in deletions):
        if unsure or deletions:
            yield unknown(path, "whether a rule deletes the records is not known")
        else:
            yield violation(path, f"no active rule deletes the records; one after {wanted:g} days or more is required")
