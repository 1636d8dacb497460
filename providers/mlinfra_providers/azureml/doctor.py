"""What an environment needs of its resource group, asked of Azure; nothing is changed or written to try it.

Permissions: https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group. Quotas:
https://learn.microsoft.com/rest/api/azureml/usages/list, by family of machines (…/virtual-machine-sizes).
"""

from __future__ import annotations

import fnmatch
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.footing import reached
from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml import permissions
from mlinfra_providers.azureml.asking import Absent, Asking, Untold
from mlinfra_providers.azureml.bootstrap import key_of, models_of, registries, state_of

Told = tuple[str, bool | None, str, str]
FLEETS = 2
"""During a rollout both releases run."""
RESERVED = 1.2
"""A fifth more than the instances of a deployment is kept for upgrades of most machines.

https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#virtual-machine-quota-allocation-for-deployment
"""
_SHOWN = 6
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_LOW_PRIORITY = "lowprioritycores"


def examine(environment: Environment, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Yield what was found."""
    asking = Asking(environment)
    try:
        tenant = asking.tenant()
    except MlinfraError as error:
        yield "credentials", False, error.message, error.remedy
        return
    yield "credentials", True, f"they see {asking.subscription}, of the tenant {tenant}", ""
    yield _region(environment, asking)
    yield _there("resource group", environment.resource_group or "", asking.group, environment, asking)
    for subject, url, place in (
        ("state", environment.state, state_of(environment)),
        ("artifacts", environment.artifacts, models_of(environment)),
    ):
        if place is None and url is not None:
            found = reached(url)
            yield subject, found.there, f"{url}: {found.detail}", ""
        elif place is not None:
            yield from _store(environment, asking, subject, *place)
    if (key := key_of(environment)) is not None:
        path = f"{asking.group}/providers/Microsoft.KeyVault/vaults/{key[0]}/keys/{key[1]}"
        yield _there("key", "/".join(key), path, environment, asking)
    for registry in registries(environment) if environment.images is not None else ():
        path = f"{asking.group}/providers/Microsoft.ContainerRegistry/registries/{registry}"
        yield _there("registry", registry, path, environment, asking)
    yield from _permissions(environment, asking)
    yield from _quotas(environment, asking, parts)


def _region(environment: Environment, asking: Asking) -> Told:
    try:
        names = {item["name"] for item in asking.all(f"{asking.subscription}/locations")}
    except (Absent, Untold) as why:
        return "region", None, f"{environment.region}: {why}", ""
    if environment.region not in names:
        return "region", False, f"{environment.region} is no region of this subscription", "az account list-locations"
    return "region", True, f"{environment.region} is one of this subscription's", ""


def _there(subject: str, name: str, path: str, environment: Environment, asking: Asking) -> Told:
    try:
        asking.ask(path)
    except Absent:
        return subject, False, f"there is no {name}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        return subject, None, f"{name}: {why}", ""
    return subject, True, f"{name} is there", ""


def _store(environment: Environment, asking: Asking, subject: str, account: str, container: str) -> Iterator[Told]:
    """Look for a container, and whether blobs in it may be read and written: it is told by the roles at it."""
    path = f"{asking.group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers"
    found = _there(subject, f"{account}/{container}", f"{path}/{container}", environment, asking)
    yield found
    if not found[1]:
        return
    try:
        granted = asking.all(f"{path}/{container}/providers/Microsoft.Authorization/permissions")
    except (Absent, Untold) as why:
        yield f"{subject}: blobs", None, str(why), ""
        return
    wanted = [f"{_BLOBS}/read", f"{_BLOBS}/write", *([f"{_BLOBS}/delete"] if subject == "state" else [])]
    denied = [action for action in wanted if not allows(granted, action, data=True)]
    if denied:
        yield f"{subject}: blobs", False, f"not allowed: {', '.join(denied)}", "grant Storage Blob Data Contributor"
    else:
        yield f"{subject}: blobs", True, "may be read and written", ""


def allows(granted: Sequence[Mapping[str, Any]], action: str, *, data: bool = False) -> bool:
    """Whether permissions allow an action: one of them does, and does not take it out again.

    https://learn.microsoft.com/azure/role-based-access-control/role-definitions#actions
    """
    given, taken = ("dataActions", "notDataActions") if data else ("actions", "notActions")
    return any(_among(action, item.get(given)) and not _among(action, item.get(taken)) for item in granted)


def _among(action: str, patterns: Sequence[str] | None) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())


def _permissions(environment: Environment, asking: Asking) -> Iterator[Told]:
    try:
        granted = asking.all(f"{asking.group}/providers/Microsoft.Authorization/permissions")
    except (Absent, Untold) as why:
        yield "permissions", None, str(why) or "there is no such resource group", ""
        return
    for purpose, actions in permissions.needed(environment).items():
        denied = [action for action in actions if not allows(granted, action)]
        if denied:
            more = f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
            detail = f"not allowed: {', '.join(denied[:_SHOWN])}{more}"
            yield f"permissions: {purpose}", False, detail, "the identity of mlinfra bootstrap has what is needed"
        else:
            yield f"permissions: {purpose}", True, f"{len(actions)} actions are allowed", ""


def _quotas(environment: Environment, asking: Asking, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Compare the quota of each family of machines, in processors, with two fleets and each job once."""
    wanted: Counter[tuple[str, bool]] = Counter()
    for part in parts:
        if part.instance is None:
            continue
        if isinstance(part.part, Endpoint):
            machines = FLEETS * math.ceil(round(RESERVED * part.part.scale.max, 6))
            wanted[part.instance.name, False] += machines * int(part.instance.cpus)
        elif isinstance(part.part, TrainingJob):
            wanted[part.instance.name, part.part.spot] += int(part.instance.cpus)
    if not wanted:
        return
    place = f"{asking.subscription}/providers/Microsoft.MachineLearningServices/locations/{environment.region}"
    try:
        families = {item["name"]: item.get("family") for item in asking.all(f"{place}/vmSizes")}
        known = {item["name"]["value"].lower(): item for item in asking.all(f"{place}/usages") if "name" in item}
    except (Absent, Untold) as why:
        for (name, _), count in sorted(wanted.items()):
            yield f"quota: {name}", None, f"{count} processors are needed; {why}", ""
        return
    by_family: Counter[str] = Counter()
    for (name, spot), count in wanted.items():
        family = families.get(name)
        if family is None:
            yield f"quota: {name}", None, f"{count} processors are needed; Azure ML tells no family of it", ""
        else:
            by_family[_LOW_PRIORITY if spot else family] += count
    for family, count in sorted(by_family.items()):
        yield _compared(family, count, known.get(family.lower()))


def _compared(family: str, count: int, usage: Mapping[str, Any] | None) -> Told:
    subject = f"quota: {family}"
    if usage is None or usage.get("limit") is None:
        return subject, None, f"{count} processors are needed; Azure ML tells no quota of this name", ""
    limit, used = int(usage["limit"]), int(usage.get("currentValue") or 0)
    good = limit < 0 or limit >= count
    detail = f"{count} processors are needed ({FLEETS} fleets), the subscription may have {limit}, and uses {used} now"
    return subject, good, detail, "" if good else "ask for more: Azure ML studio > Quota"
