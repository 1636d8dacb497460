"""The stores behind a platform, as far as they are part of the plan: buckets and datasets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at
from mlinfra.resources import UNKNOWN, Resource
from mlinfra_policies.ml_types import ML

S3_BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
GCS_BUCKETS = ("gcp:storage/bucket:Bucket",)
DATASET = "gcp:bigquery/dataset:Dataset"
_TABLE = "gcp:bigquery/table:Table"


def is_used(bucket: Resource, name: Value, scheme: str, inspection: Inspection) -> bool:
    """Whether a resource of ML refers to a bucket, or holds a URI (`s3://NAME/…`) of the bucket with this name."""
    referred, uris = _used(inspection)
    return bucket.urn in referred or f"{scheme}://{name.value}" in uris


@lru_cache(maxsize=1)
def _used(inspection: Inspection) -> tuple[frozenset[str], frozenset[str]]:
    """Return what the resources of ML refer to, as URNs, and the beginnings of the URIs that they hold."""
    users = inspection.of(*ML)
    referred = frozenset(urn for user in users for urns in user.property_dependencies.values() for urn in urns)
    uris = (re.match(r"\w+://[^/]+", text) for user in users for text in _texts(user.inputs))
    return referred, frozenset(uri[0] for uri in uris if uri is not None)


def datasets(resource: Resource, uri: Value, inspection: Inspection) -> list[Resource]:
    """Return the dataset that a URI of BigQuery (`bq://project.dataset.table`) in a resource means, if the plan has it.

    An unknown URI may come from the dataset or from one of its tables.
    """
    if uri.unknown:
        tables = inspection.referred(resource, uri, "", _TABLE)
        of_tables = [inspection.referred(each, at(each.inputs, "datasetId"), "datasetId", DATASET) for each in tables]
        return [*inspection.referred(resource, uri, "", DATASET), *(each for found in of_tables for each in found)]
    found = re.match(r"bq://([^.]+)\.([^.]+)", str(uri.value))
    if found is None:
        return []
    named = inspection.named(found[2], "datasetId", DATASET)
    return [each for each in named if at(each.inputs, "project").value in (None, "", UNKNOWN, found[1])]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
