"""Vertex AI's own monitor: what is declared and refused, and its resource, by requests that the protobufs take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.cloud import aiplatform_v1 as vertex

from mlinfra.declarations.check import Check, js_distance, js_divergence, ks, linf, psi
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Capture, Endpoint
from mlinfra.declarations.feature_store import Entity, Feature, FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.training_job import Dataset, TrainingJob
from mlinfra.environment import Environment
from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Verdict
from mlinfra.policy.ruleset import ruleset
from mlinfra.policy.settings import Settings
from mlinfra.prices.book import snapshot
from mlinfra.prices.estimate import estimate
from mlinfra.prices.usage import Usage
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resource, Resources
from mlinfra_providers.handler import Found
from mlinfra_providers.vertex.adapter import Vertex
from mlinfra_providers.vertex.naming import endpoint_id
from mlinfra_providers.vertex.resources import monitoring_job
from mlinfra_providers.vertex.resources.monitoring_job import MonitoringJob
from tests.reference import Reference
from tests.vertex.cloud import NUMBERED, Cloud

TOKEN = "mlinfra:vertex:ModelDeploymentMonitoringJob"
CONFIGS = "modelDeploymentMonitoringObjectiveConfigs"
THRESHOLDS = {"temp": (js_divergence() <= 0.1).spec(), "dest": (linf() <= 0.2).spec()}
HERE = Path()


def monitors(resources: Resources) -> list[Resource]:
    return [resource for resource in resources.declared() if resource.type == TOKEN]


@pytest.fixture(scope="module")
def native(example: Environment) -> dict[str, Any]:
    """What the example environment overrides, and that a monitor is native."""
    changes = {"thresholds": THRESHOLDS, "native": True}
    return {**example.override, **{f"drift_monitors.flight-delay.{field}": value for field, value in changes.items()}}


@pytest.fixture(scope="module")
def declared(reference: Reference, native: dict[str, Any]) -> Mapping[str, Any]:
    """The inputs for two releases, with the ids as they are once they are deployed."""
    [found] = monitors(reference(2, override=native))
    ids = ["1000000001", "1000000002"]
    configs = [{**config, "deployedModelId": id_} for config, id_ in zip(found.inputs[CONFIGS], ids, strict=True)]
    told = {"enableLogging": True, "notificationChannels": ["projects/acme-ml-prod/notificationChannels/1"]}
    return {**found.inputs, CONFIGS: configs, "modelMonitoringAlertConfig": told}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr("mlinfra_providers.vertex.resources.monitoring_job.clients", lambda inputs: made)
    return made


def there(cloud: Cloud) -> Any:
    [found] = cloud.monitors.values()
    return found


def running(cloud: Cloud) -> None:
    there(cloud).state = vertex.JobState.JOB_STATE_RUNNING


def read(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    found = MonitoringJob(HERE).read("flight-delay", inputs)
    assert isinstance(found, Found)
    return found.inputs


@pytest.mark.parametrize("released", [0, 1, 2])
def test_it_is_declared_beside_the_job_for_everything_that_is_deployed(
    reference: Reference, native: dict[str, Any], released: int
) -> None:
    plain = {**native, "drift_monitors.flight-delay.native": False}
    without, with_it = reference(released, override=plain), reference(released, override=native)
    found = monitors(with_it)
    assert [item.to_json() for item in with_it.all if item not in found] == [item.to_json() for item in without.all]
    assert [len(item.inputs[CONFIGS]) for item in found] == ([released] if released else [])
    assert monitors(without) == []


def test_the_request_says_what_is_declared(declared: Mapping[str, Any]) -> None:
    made = monitoring_job.job(declared)
    place = "projects/acme-ml-prod/locations/us-central1"
    assert made.endpoint == f"{place}/endpoints/{endpoint_id('prod', 'flight-delay')}"
    assert made.display_name == "prod-flight-delay"
    for config in made.model_deployment_monitoring_objective_configs:
        drift = config.objective_config.prediction_drift_detection_config.drift_thresholds
        assert {column: threshold.value for column, threshold in drift.items()} == {"temp": 0.1, "dest": 0.2}
    schedule = made.model_deployment_monitoring_schedule_config
    assert (schedule.monitor_interval.total_seconds(), schedule.monitor_window.total_seconds()) == (3600, 3600)
    assert made.logging_sampling_strategy.random_sample_config.sample_rate == 0.5, "as this environment captures"
    assert made.encryption_spec.kms_key_name.startswith("projects/")
    assert made.log_ttl.days == 365
    assert "owner" in made.labels


def test_an_environment_that_captures_nothing_has_nothing_to_monitor(
    reference: Reference, native: dict[str, Any], declared: Mapping[str, Any]
) -> None:
    [found] = monitors(reference(1, override={**native, "endpoints.flight-delay.capture.percent": 0}))
    [(field, reason)] = MonitoringJob(HERE).check(found.inputs)
    assert (field, "captures nothing here" in reason) == ("loggingSamplingStrategy", True)
    assert list(MonitoringJob(HERE).check(declared)) == []


def test_drift_is_told_to_whom_it_is_told_anyway(reference: Reference, native: dict[str, Any]) -> None:
    hook = {**native, "drift_monitors.flight-delay.on_drift": "webhook"}
    for override, channels in ((native, 1), (hook, 2)):
        [found] = monitors(reference(1, override=override, webhook="https://hooks.example.com/drift"))
        assert len(found.inputs["modelMonitoringAlertConfig"]["notificationChannels"]) == channels


def test_it_is_priced_by_what_it_analyses_and_violates_no_rule(reference: Reference, native: dict[str, Any]) -> None:
    resources = reference(2, override=native)
    key = "Vertex AI model-monitoring data analysed"
    usage = {"drift_monitors.flight-delay": Usage.model_validate({"data_gb": 10})}
    for stated, dollars in ((None, 0), (usage, 35)):
        made = estimate(resources, snapshot(), usage=stated)
        [item] = [item for item in made.items if str(item.price.key) == key]
        assert (item.part, float(item.dollars.likely)) == ("drift_monitors.flight-delay", dollars)
    findings = check(Inspection(resources, Settings(budget_monthly_usd=3000)), ruleset())
    assert [found.rule.id for found in findings if found.answer.verdict is Verdict.VIOLATION] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"every": "30m"}, ["runs every whole hour, not every 30m"]),
        ({"thresholds": {"other": psi() <= 0.1, "wind": ks() <= 0.1}}, ["no psi of other", "no ks of wind"]),
        ({"thresholds": {"wind": js_distance() <= 0.1}}, ["no js_distance of wind"]),
        ({"thresholds": {"wind": linf() <= 0.1, "carrier": linf() <= 0.1}}, ["no linf of wind"]),
        ({"thresholds": {"carrier": js_divergence() <= 0.1}}, ["no js_divergence of carrier"]),
        ({"thresholds": {"other": linf() <= 0.1, "wet": linf() <= 0.1}}, []),
        ({"thresholds": {"prediction": js_divergence() <= 0.1}}, ["at no prediction"]),
        ({"thresholds": {"wind": js_divergence() <= 0}}, ["a threshold of 0 for none: wind"]),
    ],
)
def test_what_it_lacks_is_refused(changes: dict[str, Any], said: list[str], example: Environment) -> None:
    features = [Feature("wind"), Feature("carrier", "string"), Feature("wet", "bool")]
    store = FeatureStore("s", entity=Entity("airport"), event_time="at", features=features, source="a.py:b")
    job = TrainingJob("job", code="a.py", inputs={"rows": Dataset("a.py:c", features=[store])})
    model = ModelRegistry("model", trained_by=job)
    endpoint = Endpoint("api", model=model, runtime="sklearn", capture=Capture(percent=5))
    thresholds: dict[str, Check] = {"wind": js_divergence() <= 0.1}
    fields: dict[str, Any] = {"endpoint": endpoint, "baseline": job, "every": "1h", "thresholds": thresholds, **changes}
    found = list(Vertex().refuse(DriftMonitor("api", native=True, **fields), example))
    assert [text in problem.message for text, problem in zip(said, found, strict=True)] == [True] * len(said)
    for problem in found:
        assert problem.path == "drift_monitors.api.native"
        assert "override: {drift_monitors.api.native: false}" in problem.remedy
    assert list(Vertex().refuse(DriftMonitor("api", **fields), example)) == []


def test_it_is_made_once_and_removed(cloud: Cloud, declared: Mapping[str, Any]) -> None:
    cloud.lost_after = "create_monitor"
    with pytest.raises(MlinfraError, match="the connection was lost"):
        MonitoringJob(HERE).create(declared)
    id_, outputs = MonitoringJob(HERE).create(declared)
    assert (cloud.calls, id_, outputs) == (["create_monitor"], "prod-flight-delay", {})
    assert there(cloud).endpoint.startswith(NUMBERED)
    assert read(declared) == declared
    for _ in range(2):
        MonitoringJob(HERE).delete(id_, declared)
    assert MonitoringJob(HERE).read(id_, declared) is None
    assert cloud.calls == ["create_monitor", "delete_monitor"]


def test_a_rollout_changes_what_is_monitored_in_place(cloud: Cloud, declared: Mapping[str, Any]) -> None:
    before = {**declared, CONFIGS: declared[CONFIGS][:1]}
    MonitoringJob(HERE).create(before)
    running(cloud)
    changed = MonitoringJob(HERE).differs(before, declared)
    assert changed == {CONFIGS}
    assert not MonitoringJob.immutable & changed
    MonitoringJob(HERE).update("flight-delay", before, declared)
    assert cloud.calls == ["create_monitor", "update_monitor"]
    assert read(declared) == declared


def test_a_pending_one_is_made_anew(cloud: Cloud, declared: Mapping[str, Any]) -> None:
    """Vertex AI refuses to change it, and a rollout cannot wait until 1000 requests have come."""
    before = {**declared, CONFIGS: declared[CONFIGS][:1]}
    MonitoringJob(HERE).create(before)
    MonitoringJob(HERE).update("flight-delay", before, declared)
    assert cloud.calls == ["create_monitor", "delete_monitor", "create_monitor"]
    assert read(declared) == declared
    MonitoringJob(HERE).update("flight-delay", declared, declared)
    assert len(cloud.calls) == 3, "nothing differs"


@pytest.mark.parametrize(
    "fixed",
    [
        {"encryptionSpec": {"kmsKeyName": "another"}},
        {"statsAnomaliesBaseDirectory": {"outputUriPrefix": "gs://another"}},
        {"endpoint": "projects/acme-ml-prod/locations/us-central1/endpoints/1"},
    ],
)
def test_what_vertex_cannot_change_is_made_anew(
    cloud: Cloud, declared: Mapping[str, Any], fixed: dict[str, Any]
) -> None:
    MonitoringJob(HERE).create(declared)
    running(cloud)
    MonitoringJob(HERE).update("flight-delay", declared, {**declared, **fixed})
    assert cloud.calls == ["create_monitor", "delete_monitor", "create_monitor"]
    assert read({**declared, **fixed}) == {**declared, **fixed}


def test_what_was_changed_by_hand_is_seen_and_put_back(cloud: Cloud, declared: Mapping[str, Any]) -> None:
    MonitoringJob(HERE).create(declared)
    running(cloud)
    there(cloud).logging_sampling_strategy.random_sample_config.sample_rate = 0.9
    assert MonitoringJob(HERE).differs(declared, read(declared)) == {"loggingSamplingStrategy"}
    MonitoringJob(HERE).update("flight-delay", declared, declared)
    assert read(declared) == declared


def test_a_request_that_the_api_does_not_know_cannot_be_made(declared: Mapping[str, Any]) -> None:
    with pytest.raises(Exception, match="no field named"):
        monitoring_job.job({**declared, "logTtl": "1s", "loggingSamplingStrategy": {"rate": 1}})
