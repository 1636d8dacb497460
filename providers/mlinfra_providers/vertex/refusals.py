"""What Vertex AI cannot do, with reason and way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.refusing import Refuser, columns
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
_MEASURED = {"js_divergence": (None, "float64", "int64", "bool"), "linf": (None, "string", "bool")}
"""By measure, of columns of which types Vertex AI's own monitor takes it; None where no feature store says a type."""
_REFUSER = Refuser("vertex")


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
    seen: dict[str, str] = {}
    for path, column in columns(store).items():
        if column.lower() in RESERVED:
            yield _REFUSER.column(store, path, "a feature group has a column of this name itself", column)
        elif seen.setdefault(column.lower(), path) != path:
            yield _REFUSER.column(store, path, "BigQuery tells no names apart by their case", column)
    yield from _REFUSER.schedule(store, "refresh", store.refresh, cron, _UNEVEN)


def _endpoint(endpoint: Endpoint) -> Iterator[Problem]:
    yield from _REFUSER.custom_runtime(endpoint)
    yield from _REFUSER.nothing_at_rest(endpoint, "a deployed model has one replica at least")
    if endpoint.scale.target_rps is not None and round(endpoint.scale.target_rps * 60) < 1:
        reason = "replicas are added by whole requests a minute"
        yield _REFUSER.override(endpoint, "scale.target_rps", reason, f"{endpoint.scale.target_rps:g}", "1")
    yield from _REFUSER.shadow(endpoint, "an endpoint sends no copies of requests")


def _drift_monitor(monitor: DriftMonitor, environment: Environment) -> Iterator[Problem]:
    yield from _REFUSER.schedule(monitor, "every", monitor.every, cron, _UNEVEN)
    yield from _REFUSER.webhook_without_address(monitor, environment)
    yield from _REFUSER.native(monitor, *_beyond_its_own_monitor(monitor))


def _beyond_its_own_monitor(monitor: DriftMonitor) -> Iterator[str]:
    """Yield what the monitoring of deployed models cannot do (protobufs: ThresholdConfig, monitor_interval)."""
    if seconds(monitor.every) % 3600:
        yield f"its own monitor runs every whole hour, not every {monitor.every}"
    stores = [store for store in monitor.baseline.references() if isinstance(store, FeatureStore)]
    types = {feature.name: feature.type for store in stores for feature in store.features}
    for column, check in monitor.thresholds.items():
        if column == "prediction":
            yield "its own monitor looks at what is asked, and at no prediction"
        elif types.get(column) not in _MEASURED.get(check.metric, ()):
            yield f"its own monitor has js_divergence for numbers and linf for texts, and no {check.metric} of {column}"
        elif check.value == 0:
            yield f"its own monitor takes a threshold of 0 for none: {column}"


_UNEVEN = "a schedule repeats evenly within an hour or a day"
