"""Offline: the plan of the example environment, what it costs, what the rules say, its requests and its names."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.feature_store import Feature, FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Verdict
from mlinfra.policy.ruleset import ruleset
from mlinfra.policy.settings import Settings
from mlinfra.prices.book import snapshot
from mlinfra.prices.estimate import estimate
from mlinfra.problems import Problems
from mlinfra.resources import Resource, Resources
from mlinfra.stand_ins import STANDS_FOR
from mlinfra.testing.judge import Judge, record_resolved, resolve_scene
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene
from mlinfra_policies.accelerators import carried
from mlinfra_providers.instances import machines
from mlinfra_providers.vertex.adapter import Vertex
from mlinfra_providers.vertex.replacing import REPLACED_BY
from mlinfra_providers.vertex.resources import custom_job, deployed_model, model, model_version
from mlinfra_providers.vertex.schedules import cron
from tests.reference import Reference, protected

MADE = {"network": None, "encryption": None}
NAMES = {
    "gcp:cloudscheduler/job:Job": ("name", r"[a-zA-Z0-9_-]{1,500}"),
    "gcp:bigquery/table:Table": ("tableId", r"\w{1,1024}"),
    "gcp:compute/address:Address": ("name", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"),
    "gcp:compute/forwardingRule:ForwardingRule": ("name", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"),
    "gcp:compute/networkAttachment:NetworkAttachment": ("name", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"),
    "gcp:kms/cryptoKey:CryptoKey": ("name", r"[a-zA-Z0-9_-]{1,63}"),
    "gcp:projects/iAMCustomRole:IAMCustomRole": ("roleId", r"[a-zA-Z0-9_.]{3,64}"),
    "gcp:serviceaccount/account:Account": ("accountId", r"[a-z]([-a-z0-9]{4,28}[a-z0-9])"),
    "gcp:storage/bucket:Bucket": ("name", r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    "gcp:vertex/aiEndpoint:AiEndpoint": ("name", r"[1-9]\d{0,9}"),
    "gcp:vertex/aiFeatureGroup:AiFeatureGroup": ("name", r"[a-z_][a-z0-9_]{0,59}"),
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": ("name", r"[a-z_][a-z0-9_]{0,59}"),
    "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview": ("name", r"[a-z_][a-z0-9_]{0,59}"),
    "mlinfra:vertex:DeployedModel": ("deployedModelId", r"\d{1,10}"),
    "mlinfra:vertex:Model": ("modelId", r"[a-z_][a-z0-9_-]{0,62}"),
    "mlinfra:vertex:ModelVersion": ("alias", r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]"),
}


def of(resources: Resources, token: str) -> list[Resource]:
    return [resource for resource in resources.declared() if resource.type == token]


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, MADE], ids=["existing", "made"])
def test_no_rule_is_violated(reference: Reference, released: int, changes: dict[str, Any]) -> None:
    inspection = Inspection(reference(released, **changes), Settings(budget_monthly_usd=3000))
    found = [finding for finding in check(inspection, ruleset()) if finding.answer.verdict is Verdict.VIOLATION]
    assert [f"{finding.rule.id} {finding.resource.urn} {finding.answer.message}" for finding in found] == []


def test_what_serves_and_what_watches_is_priced(reference: Reference) -> None:
    made = estimate(reference(2), snapshot())
    items = {(item.part, str(item.price.key)) for item in made.items}
    assert ("endpoints.flight-delay", "Vertex AI online-prediction e2-highmem-2") in items
    assert ("drift_monitors.flight-delay", "Vertex AI custom-training e2-highmem-2") in items
    assert made.monthly is not None
    assert made.monthly.low > 0
    assert "mlinfra" not in {item.resource.type.partition(":")[0] for item in made.unpriced}


def test_the_runs_of_a_monitor_are_counted(reference: Reference) -> None:
    """Every hour and every six hours, at most half an hour each, of 730 hours a month."""
    items = estimate(reference(2), snapshot()).items
    runs = {item.part: item.quantity for item in items if (item.part or "").startswith("drift_monitors.")}
    assert round(float(runs["drift_monitors.flight-delay"].high)) == 365
    assert round(float(runs["drift_monitors.diabetes-progression"].high), 1) == 60.8


def test_stateful_things_are_protected(reference: Reference) -> None:
    assert protected(reference(2, **MADE)) == {
        "gcp:bigquery/dataset:Dataset",
        "gcp:bigquery/table:Table",
        "gcp:kms/cryptoKey:CryptoKey",
        "gcp:kms/keyRing:KeyRing",
        "gcp:storage/bucket:Bucket",
        "gcp:vertex/aiFeatureGroup:AiFeatureGroup",
        "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
        "mlinfra:vertex:Model",
    }


def test_another_machine_is_another_deployed_model(reference: Reference) -> None:
    token = "mlinfra:vertex:DeployedModel"
    scale, compute = "endpoints.flight-delay.scale", "endpoints.flight-delay.compute"
    before = reference(1)
    tagged = reference(1, tags={"team": "another"})
    more = reference(1, override={scale: {"min": 3, "max": 4, "target_rps": 50}})
    larger = reference(1, override={compute: {"cpus": 8, "memory_gib": 16}})
    ids = [
        {item.name: item.inputs["deployedModelId"] for item in of(found, token)}
        for found in (before, tagged, more, larger)
    ]
    (flight,) = [name for name in ids[0] if name.startswith("flight-delay")]
    assert ids[0][flight] == ids[1][flight] == ids[2][flight], "labels and replicas change in place"
    assert ids[0][flight] != ids[3][flight], "another machine is made beside, under another id"


def test_nothing_of_a_frozen_release_changes_but_what_a_hand_changed_is_put_back(reference: Reference) -> None:
    frozen = [item for item in of(reference(2), "mlinfra:vertex:DeployedModel") if item.ignore_changes]
    assert len(frozen) == 2
    for item in frozen:
        assert set(item.inputs) - set(item.ignore_changes) == {"model", "modelVersionId"}


def test_only_traffic_writes_the_split(reference: Reference) -> None:
    assert len(of(reference(2), "mlinfra:vertex:Traffic")) == 2
    for endpoint in of(reference(2), "gcp:vertex/aiEndpoint:AiEndpoint"):
        assert "trafficSplit" not in endpoint.inputs


def test_every_request_is_valid_against_the_protobufs(reference: Reference) -> None:
    from google.cloud import aiplatform_v1
    from google.protobuf import json_format

    jobs = [custom_job.request(item.inputs) for item in of(reference(2), "mlinfra:vertex:CustomJob")]
    bodies = [item.inputs["httpTarget"]["body"] for item in of(reference(2), "gcp:cloudscheduler/job:Job")]
    jobs += [json.loads(base64.b64decode(body)) for body in bodies]
    assert len(jobs) == 4
    for job in jobs:
        json_format.ParseDict(job, aiplatform_v1.CustomJob.pb(aiplatform_v1.CustomJob()))
    for item in of(reference(2), "mlinfra:vertex:Model"):
        assert model.request(item.inputs).model.name.startswith("projects/acme-ml-prod/locations/us-central1/models/")
    for item in of(reference(2), "mlinfra:vertex:ModelVersion"):
        assert model_version.request(item.inputs, first=False).model.container_spec.ports[0].container_port == 8080
    for item in of(reference(2), "mlinfra:vertex:DeployedModel"):
        made = deployed_model.request(item.inputs)
        assert made.deployed_model.dedicated_resources.min_replica_count == 2
        assert not made.traffic_split
        assert deployed_model.mutation(item.inputs).deployed_model.id == item.inputs["deployedModelId"]


def test_accounts_have_no_role_of_a_project(reference: Reference) -> None:
    for resource in of(reference(2, **MADE), "gcp:projects/iAMMember:IAMMember"):
        assert resource.inputs["role"].startswith("projects/acme-ml-prod/roles/"), "a role of our own, with its actions"
    for resource in of(reference(2, **MADE), "gcp:projects/iAMCustomRole:IAMCustomRole"):
        assert len(resource.inputs["permissions"]) <= 3
    for resource in of(reference(2, **MADE), "gcp:storage/bucketIAMMember:BucketIAMMember"):
        assert "startsWith" in resource.inputs["condition"]["expression"]


def test_what_replaces_is_known_of_every_type(reference: Reference) -> None:
    types = {item.type for item in reference(2, **MADE).declared() if item.type.startswith("gcp:")}
    types -= set(STANDS_FOR.values())
    assert types == set(REPLACED_BY) & types


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_the_longest_names_fit(kind: type[Part]) -> None:
    adapter = load_adapter("vertex")
    longest = "a0-" + "b" * 60
    scene = Scene(replace(SMALL[kind], name=longest), {"name": "c" * 63})
    for resource in record_resolved(adapter, resolve_scene(adapter, scene)).declared():
        if resource.type in NAMES:
            field, pattern = NAMES[resource.type]
            assert re.fullmatch(pattern, resource.inputs[field]), f"{resource.type}.{field}: {resource.inputs[field]}"
        for key, value in (resource.inputs.get("labels") or {}).items():
            if resource.type != "gcp:monitoring/notificationChannel:NotificationChannel":
                assert re.fullmatch(r"[a-z0-9_-]{0,63}", value), f"{resource.type}.labels.{key}: {value}"


def test_columns_are_added_and_never_lost() -> None:
    adapter, small = Vertex(), SMALL[FeatureStore]
    assert isinstance(small, FeatureStore)
    more = replace(small, features=[*small.features, Feature("added")])
    tables = []
    for store in (small, more):
        resources = record_resolved(adapter, resolve_scene(adapter, Scene(store)))
        tables += [item.inputs for item in of(resources, "gcp:bigquery/table:Table") if "schema" in item.inputs]
    before, after = tables
    assert adapter.loses("gcp:bigquery/table:Table", before, after) is None
    assert "would lose added" in str(adapter.loses("gcp:bigquery/table:Table", after, before))


def test_the_gpus_of_machines_are_those_that_the_rules_know() -> None:
    for machine in machines("mlinfra_providers.vertex"):
        assert bool(machine.gpus) == bool(machine.gpu)
        assert carried(machine.name) in (0, machine.gpus)


@pytest.mark.parametrize(
    ("every", "found"),
    [("5m", "*/5 * * * *"), ("1h", "0 * * * *"), ("6h", "0 */6 * * *"), ("1d", "0 0 * * *"), ("7m", None), ("5h", None),
     ("2d", None), ("90m", None)],
)  # fmt: skip
def test_schedules_repeat_evenly(every: str, found: str | None) -> None:
    assert cron(every) == found


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"account": "Acme ML"}, "account", "project's id"),
        ({"account": None}, "account", "project's id"),
        ({"region": "eu-west-1"}, "region", "needs the region"),
        ({"images": None}, "images", "none is named"),
        (
            {"images": dict.fromkeys(("serving", "training"), f"docker.io/acme/x@sha256:{'1' * 64}")},
            "images.serving",
            "Artifact Registry",
        ),
        ({"encryption": {"key": "acme-ml"}}, "encryption.key", "whole resource name"),
        ({"bucket": "gs://acme"}, "bucket", "bare name"),
        ({"artifacts": "s3://acme"}, "artifacts", "Cloud Storage only"),
        ({"state": "file:///tmp/x"}, "state", "on this machine"),
        ({"network": {"vpc": "ml"}}, "network.subnets", "none is named"),
        ({"network": {"subnets": ["ml-a"]}}, "network.vpc", "none is named"),
        ({"tags": {"Team": "ML 1"}}, "tags.Team", "lower-case"),
        ({"namespace": "ml"}, "namespace", "has no use for this"),
    ],
)
def test_a_place_that_is_wrong_is_refused(changes: dict[str, Any], field: str, said: str, example: Environment) -> None:
    environment = Environment.model_validate({**example.model_dump(exclude_unset=True), "name": "prod", **changes})
    found = {path: (reason, way_out) for path, reason, way_out in Vertex().refuse_environment(environment)}
    assert said in found[field][0]
    assert found[field][1]
    assert {path.partition(".")[0] for path in found} == {field.partition(".")[0]}


@pytest.mark.parametrize(
    ("part", "environment", "said"),
    [
        (replace(SMALL[FeatureStore], features=[Feature("Entity_ID")]), {}, "has a column of this name itself"),  # type: ignore[call-arg]
        (replace(SMALL[FeatureStore], features=[Feature("wind"), Feature("Wind")]), {}, "apart by their case"),  # type: ignore[call-arg]
        (replace(SMALL[FeatureStore], refresh="7m"), {}, "repeats evenly"),  # type: ignore[call-arg]
        (replace(SMALL[DriftMonitor], on_drift="webhook"), {"webhook": None}, "no webhook is named"),  # type: ignore[call-arg]
    ],
)
def test_what_cannot_be_is_refused(part: Part, environment: dict[str, Any], said: str) -> None:
    observed = Judge(Vertex()).observe(Scene(part, environment))
    assert not isinstance(observed, Resources)
    assert said in str(Problems(observed))
