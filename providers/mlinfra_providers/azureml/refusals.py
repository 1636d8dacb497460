"""What Azure ML cannot do, with reason and way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.azureml.places import ARTIFACTS, KEY_ID
from mlinfra_providers.azureml.schedules import recurrence
from mlinfra_providers.refusing import Refuser, columns

_SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REGION = re.compile(r"[a-z]+\d?")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_WORKSPACE = re.compile(r"[A-Za-z0-9][\w-]{2,32}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_IMAGE = re.compile(r"[a-z0-9]{5,50}\.azurecr\.io/.+")
_TAG = re.compile(r"[^<>%&\\?/]{1,512}")
_LONGEST_TAG, _MOST_TAGS = 256, 40
_REFUSER = Refuser("azureml")


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for what is missing of a place at Azure, or not written as Azure writes it."""
    if not _SUBSCRIPTION.fullmatch(environment.account or ""):
        way_out = "write account: 00000000-0000-0000-0000-000000000000, as `az account show` prints it"
        yield "account", "needs the subscription's id, so that nothing is made in another", way_out
    if not _REGION.fullmatch(environment.region or ""):
        yield "region", "needs the region", "write region: westeurope"
    if not _GROUP.fullmatch(environment.resource_group or ""):
        reason = "needs the resource group that holds the store of models and the container registry"
        yield "resource_group", reason, "write resource_group: acme-ml"
    if environment.workspace is not None and not _WORKSPACE.fullmatch(environment.workspace):
        yield "workspace", "has names of 3 to 33 letters, digits, hyphens and underscores", "write workspace: acme-ml"
    if environment.images is None:
        yield "images", "runs containers, and none is named", "write images: {serving: …@sha256:…, training: …}"
    else:
        for kind in ("serving", "training"):
            if not _IMAGE.fullmatch(getattr(environment.images, kind)):
                reason = "pulls from Azure Container Registry only"
                yield f"images.{kind}", reason, "push it to REGISTRY.azurecr.io"
    if environment.encryption is not None and not KEY_ID.fullmatch(environment.encryption.key):
        way_out = "write /subscriptions/…/resourceGroups/…/providers/Microsoft.KeyVault/vaults/…/keys/…"
        yield "encryption.key", "names a key by its whole id", way_out
    if environment.bucket is not None and not _ACCOUNT.fullmatch(environment.bucket):
        yield "bucket", "takes the name of a storage account", "write bucket: acmemldata"
    yield from _urls(environment)
    for key, value in environment.tags.items():
        if not _TAG.fullmatch(key) or len(value) > _LONGEST_TAG:
            reason = r"has tags of at most 256 characters, without <, >, %, &, \, ? and / in their names"
            yield f"tags.{key}", reason, "write it so: cost-center: ml-42"
    if len(environment.tags) > _MOST_TAGS:
        yield "tags", "has room for 50 tags, and mlinfra sets up to ten", f"write at most {_MOST_TAGS}"
    yield from _network(environment)


def _urls(environment: Environment) -> Iterator[tuple[str, str, str]]:
    if environment.artifacts is not None and not ARTIFACTS.fullmatch(environment.artifacts):
        way_out = "write artifacts: abfs://container@account.dfs.core.windows.net/prefix"
        yield "artifacts", "reads models from Blob Storage only", way_out
    if environment.state is not None and environment.state.startswith("file://"):
        yield "state", "cannot use what is on this machine", "write state: azblob://container?storage_account=account"


def _network(environment: Environment) -> Iterator[tuple[str, str, str]]:
    named = environment.network
    if named is None:
        return
    if not named.subnets:
        yield "network.subnets", "gets its address from a subnet, and none is named", "name one of the virtual network"
    elif named.vpc is None and not all("/" in subnet for subnet in named.subnets):
        way_out = "write network: {vpc: …, subnets: […]}, or whole ids of subnets"
        yield "network.vpc", "finds a subnet by its virtual network, and none is named", way_out
    if environment.workspace is not None:
        reason = "is for the way into a workspace that is made, and one is named"
        yield "network", reason, "remove network, or workspace"


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Yield a problem for each value of a part that Azure ML cannot honour."""
    if isinstance(part, FeatureStore):
        yield from _feature_store(part)
    elif isinstance(part, Endpoint):
        yield from _endpoint(part)
    elif isinstance(part, DriftMonitor):
        yield from _drift_monitor(part, environment)


def _feature_store(store: FeatureStore) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, column in columns(store).items():
        if seen.setdefault(column.lower(), path) != path:
            yield _REFUSER.column(store, path, "Spark tells no names apart by their case", column)
    yield from _REFUSER.schedule(store, "refresh", store.refresh, recurrence, _UNEVEN)


def _endpoint(endpoint: Endpoint) -> Iterator[Problem]:
    yield from _REFUSER.custom_runtime(endpoint)
    yield from _REFUSER.nothing_at_rest(endpoint, "a deployment has one instance at least")


def _drift_monitor(monitor: DriftMonitor, environment: Environment) -> Iterator[Problem]:
    yield from _REFUSER.schedule(monitor, "every", monitor.every, recurrence, _UNEVEN)
    yield from _REFUSER.webhook_without_address(monitor, environment)
    reason = "its own monitors read rows that a model's script logged, and the serving image logs whole requests"
    yield from _REFUSER.native(monitor, reason)


_UNEVEN = "a schedule counts whole minutes"
