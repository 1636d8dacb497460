"""Tables of BigQuery, which Vertex writes captured requests to and reads features from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, Verdict, decides, unknown
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import if_said, said_of, without_key
from mlinfra_policies.storage import DATASET, datasets

_TABLE = "gcp:bigquery/table:Table"


@decides("ENC-02", "gcp:vertex/aiEndpoint:AiEndpoint")
def captured_by_an_endpoint(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The data set protects what an endpoint records there."""
    config = at(endpoint.inputs, "predictRequestResponseLoggingConfig")
    uri = at(config, "bigqueryDestination.outputUri")
    yield from if_said(at(config, "enabled"), "true", _without_key(endpoint, uri, inspection))


@decides("ENC-04", "gcp:vertex/aiFeatureGroup:AiFeatureGroup")
def features_in_a_table(group: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A feature group's table has a key of its own, or that of its data set."""
    uri = at(group.inputs, "bigQuery.bigQuerySource.inputUri")
    if uri.absent:
        return
    own = [
        list(without_key(at(table.inputs, "encryptionConfiguration.kmsKeyName"), table, inspection))
        for table in _tables(group, uri, inspection)
    ]
    if [] in own:
        return
    may_have_one = any(answer.verdict is Verdict.UNKNOWN for answers in own for answer in answers)
    for answer in _without_key(group, uri, inspection):
        if may_have_one or not (own or inspection.complete):
            yield unknown(uri.path, "nobody can say yet whether the table has a key of its own")
        else:
            yield answer


def _without_key(resource: Resource, uri: Value, inspection: Inspection) -> Iterator[Answer]:
    """Yield what is wrong with the key of the data set that an input of `resource` names."""
    found = datasets(resource, uri, inspection)
    if not found:
        yield unknown(uri.path, "the data set is not part of the plan")
    for dataset in found:
        key = at(dataset.inputs, "defaultEncryptionConfiguration.kmsKeyName")
        for answer in without_key(key, dataset, inspection):
            yield said_of(dataset, uri, answer)


def _tables(resource: Resource, uri: Value, inspection: Inspection) -> list[Resource]:
    """Return the table that a URI means, bq://project.dataset.table, if the plan has it."""
    if uri.unknown:
        return inspection.referred(resource, uri, "tableId", _TABLE)
    dataset, _, name = str(uri.value).partition(".")[2].partition(".")
    return [table for table in inspection.named(name, "tableId", _TABLE) if dataset in _dataset(table, inspection)]


def _dataset(table: Resource, inspection: Inspection) -> list[Any]:
    """Return what says the name of a table's data set: the table, and the data set itself."""
    id_ = at(table.inputs, "datasetId")
    return [id_.value, *(at(each.inputs, "datasetId").value for each in inspection.referred(table, id_, "", DATASET))]
