"""What an environment needs of its project, asked of Google; nothing is changed, and nothing is written to try it.

Permissions: https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions, of buckets
https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions. Quotas:
https://cloud.google.com/service-usage/docs/manage-quota (consumerQuotaMetrics).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.footing import reached
from mlinfra.problems import MlinfraError
from mlinfra_providers.vertex import permissions
from mlinfra_providers.vertex.asking import Absent, Asking, Untold
from mlinfra_providers.vertex.bootstrap import bucket_of, key_of
from mlinfra_providers.vertex.machines import machine_spec

Told = tuple[str, bool | None, str, str]
FLEETS = 2
"""During a rollout both releases run."""
_SHOWN, _MOST = 6, 100
_WITHOUT_FAMILY = frozenset({"n1", "e2"})
"""Machines whose processors are counted together, in a quota that names no family."""
_UNLIMITED = -1


def examine(environment: Environment, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Yield what was found."""
    asking = Asking(environment)
    try:
        number = asking.number()
    except MlinfraError as error:
        yield "credentials", False, error.message, error.remedy
        return
    yield "credentials", True, f"{asking.whose()} sees the project {asking.project} ({number})", ""
    yield _region(asking)
    for subject, url, rights in (
        ("state", environment.state, permissions.STATE),
        ("artifacts", environment.artifacts, permissions.MODELS),
    ):
        if url is not None:
            yield _store(environment, asking, subject, url, rights)
    if (key := key_of(environment)) is not None:
        yield _key(environment, asking, key)
    yield from _permissions(environment, asking)
    yield from _quotas(asking, parts)


def _region(asking: Asking) -> Told:
    place = f"projects/{asking.project}/locations/{asking.region}"
    try:
        asking.ask(f"https://{asking.region}-aiplatform.googleapis.com/v1/{place}")
    except Absent:
        return "region", False, f"Vertex AI is not in {asking.region}", "gcloud ai locations… name another region"
    except Untold as why:
        return "region", None, f"{asking.region}: {why}", ""
    return "region", True, f"Vertex AI answers in {asking.region}", ""


def _store(environment: Environment, asking: Asking, subject: str, url: str, rights: Sequence[str]) -> Told:
    bucket = bucket_of(url)
    if bucket is None:
        found = reached(url)
        return subject, found.there, f"{url}: {found.detail}", ""
    question = "&".join(f"permissions={quote(one)}" for one in rights)
    try:
        told = asking.ask(f"https://storage.googleapis.com/storage/v1/b/{bucket}/iam/testPermissions?{question}")
    except Absent:
        return subject, False, f"there is no bucket {bucket}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        return subject, None, f"{bucket}: {why}", ""
    denied = sorted(set(rights) - set(told.get("permissions", ())))
    if denied:
        return (
            subject,
            False,
            f"{bucket}: not allowed: {', '.join(denied)}",
            "the account of mlinfra bootstrap has them",
        )
    return subject, True, f"{bucket} may be read and written", ""


def _key(environment: Environment, asking: Asking, key: str) -> Told:
    try:
        body = {"permissions": list(permissions.KEY)}
        told = asking.ask(f"https://cloudkms.googleapis.com/v1/{key}:testIamPermissions", body)
    except Absent:
        return "key", False, f"there is no key {key}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        return "key", None, f"{key}: {why}", ""
    denied = sorted(set(permissions.KEY) - set(told.get("permissions", ())))
    if denied:
        return "key", False, f"{key}: it is not there, or not allowed: {', '.join(denied)}", ""
    return "key", True, f"{key} may be used", ""


def _permissions(environment: Environment, asking: Asking) -> Iterator[Told]:
    by_purpose = permissions.needed(environment)
    every = sorted({one for each in by_purpose.values() for one in each})
    allowed: set[str] = set()
    address = f"https://cloudresourcemanager.googleapis.com/v3/projects/{asking.project}:testIamPermissions"
    try:
        for start in range(0, len(every), _MOST):
            told = asking.ask(address, {"permissions": every[start : start + _MOST]})
            allowed |= set(told.get("permissions", ()))
    except (Absent, Untold) as why:
        yield "permissions", None, str(why), ""
        return
    for purpose, rights in by_purpose.items():
        denied = [one for one in rights if one not in allowed]
        if denied:
            more = f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
            detail = f"not allowed: {', '.join(denied[:_SHOWN])}{more}"
            yield f"permissions: {purpose}", False, detail, "the account of mlinfra bootstrap has what is needed"
        else:
            yield f"permissions: {purpose}", True, f"{len(rights)} permissions are given", ""


def wanted(parts: Sequence[ResolvedPart]) -> Mapping[str, int]:
    """Return what is needed of each quota: processors by family, and accelerators, for serving and for training.

    A rollout runs two fleets of an endpoint; a job runs once. https://cloud.google.com/vertex-ai/docs/quotas
    """
    found: Counter[str] = Counter()
    for part in parts:
        if part.instance is None:
            continue
        if isinstance(part.part, Endpoint):
            use, machines = "serving", FLEETS * part.part.scale.max
        elif isinstance(part.part, TrainingJob):
            use, machines = "training_preemptible" if part.part.spot else "training", 1
        else:
            continue
        family = part.instance.name.partition("-")[0]
        counted = f"custom_model_{use}_" if family in _WITHOUT_FAMILY else f"custom_model_{use}_{family}_"
        found[f"aiplatform.googleapis.com/{counted}cpus"] += machines * int(part.instance.cpus)
        kind = machine_spec(part.instance).get("acceleratorType")
        if kind:
            accelerator = str(kind).lower().replace("_tesla", "")
            found[f"aiplatform.googleapis.com/custom_model_{use}_{accelerator}_gpus"] += machines * part.instance.gpus
    return found


def _quotas(asking: Asking, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    needs = wanted(parts)
    if not needs:
        return
    try:
        known = _known(asking)
    except (Absent, Untold) as why:
        for metric, count in sorted(needs.items()):
            yield f"quota: {_short(metric)}", None, f"{count} are needed; {str(why) or 'the API is not enabled'}", ""
        return
    for metric, count in sorted(needs.items()):
        limit = known.get(metric)
        subject = f"quota: {_short(metric)}"
        if limit is None:
            yield subject, None, f"{count} are needed; Google tells no such quota in {asking.region}", ""
        elif limit == _UNLIMITED:
            yield subject, True, f"{count} are needed ({FLEETS} fleets), and there is no limit", ""
        else:
            good = limit >= count
            detail = f"{count} are needed ({FLEETS} fleets), the project may have {limit} in {asking.region}"
            yield subject, good, detail, "" if good else "ask for more: IAM & Admin > Quotas"


def _short(metric: str) -> str:
    return metric.rpartition("/")[2]


def _known(asking: Asking) -> dict[str, int]:
    """Return the limits in the region by metric: a bucket of the region counts before the one of all regions."""
    service = f"projects/{asking.project}/services/aiplatform.googleapis.com"
    address = f"https://serviceusage.googleapis.com/v1beta1/{service}/consumerQuotaMetrics?pageSize=500"
    found: dict[str, int] = {}
    page = ""
    while True:
        told = asking.ask(f"{address}&pageToken={quote(page)}" if page else address)
        for metric in told.get("metrics", ()):
            for limit in metric.get("consumerQuotaLimits", ()):
                effective = _effective(limit.get("quotaBuckets", ()), asking.region)
                if effective is not None and "{region}" in limit.get("unit", "{region}"):
                    found[metric["metric"]] = effective
        page = told.get("nextPageToken", "")
        if not page:
            return found


def _effective(buckets: Sequence[Mapping[str, Any]], region: str) -> int | None:
    own = [item for item in buckets if item.get("dimensions", {}).get("region") == region]
    general = [item for item in buckets if not item.get("dimensions")]
    chosen = (own or general)[:1]
    return int(chosen[0]["effectiveLimit"]) if chosen and "effectiveLimit" in chosen[0] else None
