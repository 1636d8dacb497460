"""Governance: tags, regions, what is public, and versions of interfaces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mlinfra.policy.inspection import Inspection, plain
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, is_true, is_unknown
from mlinfra.resources import Resource
from mlinfra_policies.azure import storage_accounts
from mlinfra_policies.ml_types import AZURE, GOOGLE, KUBERNETES, LOCATED, TAGGABLE
from mlinfra_policies.pods import pods
from mlinfra_policies.storage import GCS_BUCKETS, S3_BUCKETS, is_used

_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_WORKSPACE = "azure-native:machinelearningservices:Workspace"
_ONLINE = tuple(f"azure-native:machinelearningservices:Online{kind}" for kind in ("Endpoint", "Deployment"))
_SENSITIVE = {"restricted", "confidential", "secret"}
_ZONE = re.compile(r"([a-z]+(?:-[a-z]+)+-?\d+)(?:-?[a-z])")
"""A zone of AWS (`eu-west-1a`) or of Google (`europe-west4-b`), with its region."""


@decides("GOV-01", *TAGGABLE)
def required_tags_are_present(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    tags, complete = inspection.known_tags(resource)
    kind = resource.type.partition(":")[0]
    path = {"gcp": "labels", "kubernetes": "metadata.labels"}.get(kind, "tags")
    missing = [
        name
        for name in inspection.settings.required_tags
        if all(is_absent(tags.get(plain(each))) for each in _called(name, inspection))
    ]
    if missing and complete:
        yield violation(path, f"missing or empty: {', '.join(missing)}")
    elif missing:
        yield unknown(path, f"whether there is {' and '.join(missing)} is known only after an up")


def _called(tag: str, inspection: Inspection) -> Sequence[str]:
    """Return the names that a tag may have."""
    aliases = inspection.settings.tag_aliases.items()
    return (tag, *(alias for name, others in aliases if plain(name) == plain(tag) for alias in others))


@decides("GOV-02", *LOCATED)
def resources_are_in_allowed_regions(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    places = [at(resource.inputs, name) for name in ("location", "region")]
    provider = inspection.provider_of(resource)
    if provider is not None:
        places += [at(provider.inputs, name) for name in ("region", "location", "zone")]
    own = next((place for place in places if not place.absent), None)
    if own is not None:
        yield from _allowed([own, *every(resource.inputs, "regionDetails[].location")], inspection)
    elif inspection.settings.allowed_regions is not None:
        path = "region" if resource.type.startswith("aws:") else "location"
        yield unknown(path, "neither the resource nor its provider states a region")


@decides("GOV-02", "kubernetes:*")
def pods_select_allowed_regions(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    selected = [pod.at("nodeSelector['topology.kubernetes.io/region']") for pod in pods(resource)]
    yield from _allowed([region for region in selected if not region.absent], inspection)


def _allowed(regions: Sequence[Value], inspection: Inspection) -> Iterator[Answer]:
    if inspection.settings.allowed_regions is None:
        return
    allowed = [_region(each) for each in inspection.settings.allowed_regions]
    for region in regions:
        name = _region(str(region.value))
        zone = _ZONE.fullmatch(name)
        if region.hidden:
            yield unknown(region.path)
        elif name not in allowed and (zone is None or zone[1] not in allowed):
            wanted = ", ".join(inspection.settings.allowed_regions) or "none"
            yield violation(region.path, f"{region.value} is not an allowed region; allowed: {wanted}")


def _region(name: str) -> str:
    return re.sub(r"\s", "", name).lower()


@decides("GOV-03", *S3_BUCKETS)
def buckets_of_aws_are_not_public(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    if not is_used(resource, at(resource.inputs, "bucket"), "s3", inspection):
        return
    blocks = inspection.holders([_BLOCK], "bucket", "bucket", *S3_BUCKETS)
    switches = [[at(block.inputs, name) for name in _SWITCHES] for block in blocks.of(resource)]
    off = [[each.path for each in block if not each.unknown and not is_true(each.value)] for block in switches]
    if any(all(is_true(each.value) for each in block) for block in switches):
        return
    if [] in off:
        yield unknown("bucket", "a switch of its public access block is known only after an up")
    elif off:
        yield violation("bucket", f"its public access block leaves open: {', '.join(off[0])}")
    elif blocks.open or not inspection.complete:
        yield unknown("bucket", "whether it has a public access block is not known")
    else:
        yield violation("bucket", "a resource of ML uses it, and it has no public access block")


@decides("GOV-03", *GCS_BUCKETS)
def buckets_of_google_are_not_public(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    prevention = at(resource.inputs, "publicAccessPrevention")
    if prevention.value == "enforced" or not is_used(resource, at(resource.inputs, "name"), "gs", inspection):
        return
    if prevention.hidden:
        yield unknown(prevention.path)
    else:
        found = "inherited" if prevention.absent else prevention.value
        yield violation(prevention.path, f"{found}; enforced is wanted", remedy='public_access_prevention="enforced"')


@decides("GOV-03", _WORKSPACE)
def sensitive_workspaces_are_flagged(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    tags, complete = inspection.known_tags(resource)
    classes = [tags.get(plain(name)) for name in _called("data-classification", inspection)]
    said = [each for each in classes if not is_absent(each)]
    if any(str(each).strip().lower() in _SENSITIVE for each in said):
        yield from _open(resource, inspection)
    elif any(map(is_unknown, said)) or not (said or complete):
        for answer in _open(resource, inspection):
            yield unknown("tags", f"whether its data is sensitive is known only after an up: {answer.message}")


def _open(workspace: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield what a workspace with sensitive data lacks."""
    flag = at(workspace.inputs, "hbiWorkspace")
    if flag.hidden:
        yield unknown(flag.path)
    elif not is_true(flag.value):
        yield violation(
            flag.path, "the data is sensitive, and the workspace is not flagged", remedy="hbi_workspace=True"
        )
    for account in storage_accounts(workspace, inspection):
        access = at(account.inputs, "publicNetworkAccess")
        if access.hidden:
            yield unknown("storageAccount", f"whether {account.name} is public is known only after an up")
        elif access.value != "Disabled":
            yield violation("storageAccount", f"the public network access of {account.name} is not Disabled")


@decides("GOV-04", _WORKSPACE)
def legacy_mode_stands_alone(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    legacy, access = at(resource.inputs, "v1LegacyMode"), at(resource.inputs, "publicNetworkAccess")
    if legacy.hidden:
        yield unknown(legacy.path)
    if not is_true(legacy.value):
        return
    if access.hidden:
        yield unknown(access.path)
    elif access.value != "Disabled":
        yield violation(legacy.path, "the workspace is open to public network access", remedy="v1_legacy_mode=False")
    online = inspection.holders(_ONLINE, "workspaceName", "workspaceName", _WORKSPACE)
    for each in online.of(resource):
        yield violation(legacy.path, f"the workspace holds {each.name}, which needs v2", remedy="v1_legacy_mode=False")
    if online.open:
        yield unknown(legacy.path, f"which workspace holds {online.open[0].name} is known only after an up")


@decides("GOV-05", *(pattern for pattern in GOOGLE if pattern.startswith("google-native:")))
def interfaces_of_google_are_stable(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _stable(resource, r"/(v\d+p?\d*(?:alpha|beta|preview)\w*):")


@decides("GOV-05", *AZURE)
def interfaces_of_azure_are_stable(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _stable(resource, r"/(v\d{8}\w*preview\w*):")


@decides("GOV-05", *KUBERNETES)
def interfaces_of_operators_are_stable(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _stable(resource, r"/(v\d+alpha\w*)(?::|$)")


def _stable(resource: Resource, unstable: str) -> Iterator[Answer]:
    """Yield whether the type or the field `apiVersion` names a version that a pattern calls unstable."""
    for path, text in (("type", resource.type), ("apiVersion", str(at(resource.inputs, "apiVersion").value))):
        found = re.search(unstable, text)
        if found is not None:
            yield violation(path, f"{found[1]} is no stable version")
