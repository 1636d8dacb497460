"""What Vertex AI cannot do, with reason and way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.vertex.network import refuse_network
from mlinfra_providers.vertex.schedules import cron

RESERVED = frozenset({"entity_id", "feature_timestamp"})
"""Columns that a feature group looks for, and that the adapter makes."""
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+\d{1,2}")
_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_IMAGE = re.compile(r"([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)/.+")
_LABEL_KEY, _LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
_MOST_TAGS = 50


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for what is missing of a place at Google, or not written as Google writes it."""
    if not _PROJECT.fullmatch(environment.account or ""):
        yield "account", "needs the project's id, so that nothing is made in another", "write account: acme-ml-prod"
    if not _REGION.fullmatch(environment.region or ""):
        yield "region", "needs the region", "write region: europe-west4"
    if environment.images is None:
        yield "images", "runs containers, and none is named", "write images: {serving: …@sha256:…, training: …}"
    else:
        for kind in ("serving", "training"):
            if not _IMAGE.fullmatch(getattr(environment.images, kind)):
                reason = "pulls from Artifact Registry only"
                yield f"images.{kind}", reason, "push it to REGION-docker.pkg.dev/PROJECT/REPOSITORY"
    if environment.encryption is not None and not _KEY.fullmatch(environment.encryption.key):
        way_out = "write projects/…/locations/…/keyRings/…/cryptoKeys/…"
        yield "encryption.key", "names a key by its whole resource name", way_out
    if environment.bucket is not None and not _BUCKET.fullmatch(environment.bucket):
        yield "bucket", "takes the bare name of a bucket", "write bucket: acme-ml-data, without gs://"
    for field in ("artifacts", "state"):
        url = getattr(environment, field)
        if url is not None and field == "artifacts" and not url.startswith("gs://"):
            yield field, "reads models from Cloud Storage only", "write artifacts: gs://bucket/prefix"
        if url is not None and url.startswith("file://"):
            yield field, "cannot use what is on this machine", f"write {field}: gs://bucket/prefix"
    for key, value in environment.tags.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            reason = "has labels of at most 63 lower-case letters, digits, hyphens and underscores"
            yield f"tags.{key}", reason, "write it so: cost-center: ml-42"
    if len(environment.tags) > _MOST_TAGS:
        yield "tags", "has room for 64 labels, and mlinfra sets up to ten", f"write at most {_MOST_TAGS}"
    yield from refuse_network(environment)


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Yield a problem for each value of a part that Vertex AI cannot honour."""
    if isinstance(part, FeatureStore):
        yield from _feature_store(part)
    elif isinstance(part, Endpoint):
        yield from _endpoint(part)
    elif isinstance(part, DriftMonitor):
        yield from _drift_monitor(part, environment)


def _feature_store(store: FeatureStore) -> Iterator[Problem]:
    named = {"entity.name": store.entity.name, "event_time": store.event_time}
    named |= {f"features.{number}.name": feature.name for number, feature in enumerate(store.features)}
    seen: dict[str, str] = {}
    for path, column in named.items():
        if column.lower() in RESERVED:
            yield _refusal(
                store, path, "a feature group has a column of this name itself", column, "call it something else"
            )
        elif seen.setdefault(column.lower(), path) != path:
            yield _refusal(store, path, "BigQuery tells no names apart by their case", column, "call it something else")
    if store.refresh is not None and cron(store.refresh) is None:
        yield _refusal(store, "refresh", _UNEVEN, store.refresh, _override(store, "refresh", "1h"))


def _endpoint(endpoint: Endpoint) -> Iterator[Problem]:
    if endpoint.runtime == "custom":
        yield _refusal(
            endpoint, "runtime", "the serving image serves, and no other can be named yet", "custom",
            _override(endpoint, "runtime", "sklearn"),
        )  # fmt: skip
    if endpoint.scale.min == 0:
        reason = "a deployed model has one replica at least"
        yield _refusal(endpoint, "scale.min", reason, "0", _override(endpoint, "scale.min", "1"))
    if endpoint.scale.target_rps is not None and round(endpoint.scale.target_rps * 60) < 1:
        reason = "replicas are added by whole requests a minute"
        found, way_out = f"{endpoint.scale.target_rps:g}", _override(endpoint, "scale.target_rps", "1")
        yield _refusal(endpoint, "scale.target_rps", reason, found, way_out)
    if endpoint.rollout.shadow is not None:
        reason = "an endpoint sends no copies of requests"
        yield _refusal(
            endpoint, "rollout.shadow", reason, endpoint.rollout.shadow, _override(endpoint, "rollout.shadow", "null")
        )


def _drift_monitor(monitor: DriftMonitor, environment: Environment) -> Iterator[Problem]:
    if cron(monitor.every) is None:
        yield _refusal(monitor, "every", _UNEVEN, monitor.every, _override(monitor, "every", "1h"))
    if monitor.on_drift == "webhook" and environment.webhook is None:
        reason = "no webhook is named in the environment"
        yield _refusal(monitor, "on_drift", reason, "webhook", "write webhook: https://…, or on_drift: log")


_UNEVEN = "a schedule repeats evenly within an hour or a day"


def _refusal(part: Part, field: str, reason: str, found: str, remedy: str) -> Problem:
    return Problem("", 0, f"{part.key}.{field}", f"vertex refuses this: {reason}", found=found, remedy=remedy)


def _override(part: Part, field: str, value: str) -> str:
    return f"in the environment's file: override: {{{part.key}.{field}: {value}}}"
