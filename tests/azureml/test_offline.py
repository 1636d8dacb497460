"""Offline: the plan of the example environment, what it costs, what the rules say, its requests and its names."""

from __future__ import annotations

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
from mlinfra.testing.judge import Judge, record_resolved, resolve_scene
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene
from mlinfra_policies.accelerators import carried
from mlinfra_providers.azureml.adapter import AzureML
from mlinfra_providers.azureml.replacing import REPLACED_BY
from mlinfra_providers.azureml.resources import endpoint
from mlinfra_providers.azureml.schedules import recurrence
from mlinfra_providers.instances import machines
from tests.azureml.models import problems
from tests.reference import Reference, protected

MADE = {"network": None, "encryption": None}
ML = "azure-native:machinelearningservices"
ACCEPTED = {"NET-04", "AUD-02"}
"""NET-04: a managed network takes no subnet. AUD-02: the rule knows Azure's own monitors, and ours is a job."""
NAMES = {
    f"{ML}:Compute": ("computeName", r"[a-zA-Z][a-zA-Z0-9-]{0,14}[a-zA-Z0-9]"),
    f"{ML}:Datastore": ("name", r"[a-zA-Z0-9_]{1,255}"),
    f"{ML}:OnlineDeployment": ("deploymentName", r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]"),
    f"{ML}:Workspace": ("workspaceName", r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}"),
    "azure-native:keyvault:Vault": ("vaultName", r"[a-z][a-z0-9-]{1,22}[a-z0-9]"),
    "azure-native:managedidentity:UserAssignedIdentity": ("resourceName", r"[a-z0-9][a-z0-9_-]{2,127}"),
    "azure-native:redis:Redis": ("name", r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]"),
    "azure-native:storage:StorageAccount": ("accountName", r"[a-z0-9]{3,24}"),
    "mlinfra:azureml:OnlineEndpoint": ("endpointName", r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]"),
}
MODELS = {
    "Compute": ("ComputeResource", ("properties", "identity", "location", "tags")),
    "Datastore": ("Datastore", ("properties",)),
    "EnvironmentVersion": ("EnvironmentVersion", ("properties",)),
    "FeaturesetContainerEntity": ("FeaturesetContainer", ("properties",)),
    "FeaturestoreEntityContainerEntity": ("FeaturestoreEntityContainer", ("properties",)),
    "FeaturestoreEntityVersion": ("FeaturestoreEntityVersion", ("properties",)),
    "ModelContainer": ("ModelContainer", ("properties",)),
    "ModelVersion": ("ModelVersion", ("properties",)),
    "OnlineDeployment": ("OnlineDeployment", ("properties", "identity", "location", "tags", "sku", "kind")),
    "Schedule": ("Schedule", ("properties",)),
    "WorkspaceConnection": ("WorkspaceConnectionPropertiesV2BasicResource", ("properties",)),
}
"""By type: the model of its request, and the inputs that are its body; the rest is the path."""


def of(resources: Resources, token: str) -> list[Resource]:
    return [resource for resource in resources.declared() if resource.type == token]


def as_sent(value: Any) -> Any:
    """Return identities as azure-native sends them: a list of ids is a mapping on the wire."""
    if isinstance(value, dict):
        users = value.get("userAssignedIdentities")
        made = {key: as_sent(item) for key, item in value.items()}
        return {**made, "userAssignedIdentities": {user: {} for user in users}} if isinstance(users, list) else made
    return [as_sent(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, MADE], ids=["existing", "made"])
def test_no_other_rule_is_violated(reference: Reference, released: int, changes: dict[str, Any]) -> None:
    inspection = Inspection(reference(released, **changes), Settings(budget_monthly_usd=3000))
    found = [finding for finding in check(inspection, ruleset()) if finding.answer.verdict is Verdict.VIOLATION]
    said = [f"{finding.rule.id} {finding.resource.urn} {finding.answer.message}" for finding in found]
    assert [text for text in said if text.partition(" ")[0] not in ACCEPTED] == []
    assert {finding.rule.id for finding in found} <= ACCEPTED


def test_what_serves_and_what_watches_is_priced(reference: Reference) -> None:
    made = estimate(reference(2), snapshot())
    items = {(item.part, str(item.price.key)) for item in made.items}
    assert any(part == "endpoints.flight-delay" and "Virtual Machines compute" in key for part, key in items), items
    assert any(part == "drift_monitors.flight-delay" and "Virtual Machines compute" in key for part, key in items)
    assert made.monthly is not None
    assert made.monthly.low > 0
    assert "mlinfra" not in {item.resource.type.partition(":")[0] for item in made.unpriced}


def test_stateful_things_are_protected(reference: Reference) -> None:
    assert protected(reference(2, **MADE)) == {
        "azure-native:keyvault:Key",
        "azure-native:keyvault:Vault",
        f"{ML}:FeaturesetContainerEntity",
        f"{ML}:FeaturestoreEntityContainerEntity",
        f"{ML}:FeaturestoreEntityVersion",
        f"{ML}:ModelContainer",
        f"{ML}:Workspace",
        "azure-native:redis:Redis",
        "azure-native:storage:BlobContainer",
        "azure-native:storage:StorageAccount",
    }


def test_another_machine_is_another_deployment(reference: Reference) -> None:
    token = f"{ML}:OnlineDeployment"
    scale, compute = "endpoints.flight-delay.scale", "endpoints.flight-delay.compute"
    before = reference(1)
    tagged = reference(1, tags={"team": "another"})
    more = reference(1, override={scale: {"min": 3, "max": 4, "target_rps": 50}})
    larger = reference(1, override={compute: {"cpus": 8, "memory_gib": 16}})
    names = [
        {item.name: item.inputs["deploymentName"] for item in of(found, token)}
        for found in (before, tagged, more, larger)
    ]
    (flight,) = [name for name in names[0] if name.startswith("flight-delay")]
    assert names[0][flight] == names[1][flight] == names[2][flight], "tags and bounds change in place"
    assert names[0][flight] != names[3][flight], "another machine is made beside, under another name"


def test_only_traffic_writes_the_split(reference: Reference) -> None:
    assert len(of(reference(2), "mlinfra:azureml:Traffic")) == 2
    assert of(reference(2), f"{ML}:OnlineEndpoint") == [], "azure-native would put the split of its own input"
    for item in of(reference(2), "mlinfra:azureml:OnlineEndpoint"):
        assert {"traffic", "mirrorTraffic"}.isdisjoint(item.inputs["properties"])


@pytest.mark.parametrize("changes", [{}, MADE], ids=["existing", "made"])
def test_every_request_is_valid_against_the_rest_models(reference: Reference, changes: dict[str, Any]) -> None:
    found, tried = [], set()
    for resource in reference(2, **changes).declared():
        kind = resource.type.removeprefix(f"{ML}:")
        if kind in MODELS:
            model, keys = MODELS[kind]
            body = as_sent({key: resource.inputs[key] for key in keys if key in resource.inputs})
            found += [f"{resource.name}{problem}" for problem in problems(model, body)]
            tried.add(kind)
        elif kind == "Workspace":
            outside = {"resourceGroupName", "workspaceName", "identity", "kind", "location", "sku", "tags"}
            body = {key: value for key, value in resource.inputs.items() if key not in outside}
            found += [f"{resource.name}{problem}" for problem in problems("WorkspaceProperties", body)]
        elif resource.type.startswith(f"{ML}:"):
            raise AssertionError(f"{resource.type} is tried against no model")
        elif resource.type == "mlinfra:azureml:OnlineEndpoint":
            body = endpoint.request(resource.inputs, {"traffic": {"r1": 100}, "mirrorTraffic": {}})
            found += [f"{resource.name}{problem}" for problem in problems("OnlineEndpoint", body)]
        elif resource.type == "mlinfra:azureml:FeaturesetVersion":
            body = {"properties": resource.inputs["properties"]}
            found += [f"{resource.name}{problem}" for problem in problems("FeaturesetVersion", body)]
        elif resource.type == "mlinfra:azureml:TrainingDefinition":
            found += [f"{resource.name}{item}" for item in problems("CommandJob", resource.inputs["content"])]
    assert found == []
    assert tried == set(MODELS)


def test_the_models_refuse_what_is_wrong() -> None:
    assert list(problems("ScaleSettings", {"maxNodeCount": "1"})) == [".maxNodeCount: '1' is no int"]
    assert list(problems("ScaleSettings", {})) == [".maxNodeCount: ScaleSettings demands it"]
    assert list(problems("CommandJobLimits", {"jobLimitsType": "Command", "timeout": "30m"})) == [
        ".timeout: '30m' is no duration of ISO 8601"
    ]
    wrong = {"endpointComputeType": "Managed", "instance_type": "Standard_DS2_v2"}
    assert list(problems("OnlineDeploymentProperties", wrong)) == [
        ".instance_type: ManagedOnlineDeployment has no such field"
    ]
    found = list(problems("OnlineEndpointProperties", {"authMode": "Nobody", "scoringUri": "https://x"}))
    assert [text.partition(":")[0] for text in found] == [".authMode", ".scoringUri"]


def test_identities_have_no_role_of_the_whole_group(reference: Reference) -> None:
    for resource in of(reference(2, **MADE), "azure-native:authorization:RoleAssignment"):
        assert "/providers/" in resource.inputs["scope"].partition("/resourceGroups/")[2], resource.name
        parts = "blobServices" in resource.inputs["scope"]
        assert ("StringLike" in resource.inputs.get("condition", "")) or not parts


def test_what_replaces_is_known_of_every_type(reference: Reference) -> None:
    types = {item.type for item in reference(2, **MADE).declared() if item.type.startswith("azure-native:")}
    assert types == set(REPLACED_BY) & types


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_the_longest_names_fit(kind: type[Part]) -> None:
    adapter = load_adapter("azureml")
    longest = "a0-" + "b" * 60
    scene = Scene(replace(SMALL[kind], name=longest), {"name": "c" * 63})
    for resource in record_resolved(adapter, resolve_scene(adapter, scene)).declared():
        if resource.type in NAMES:
            field, pattern = NAMES[resource.type]
            assert re.fullmatch(pattern, resource.inputs[field]), f"{resource.type}.{field}: {resource.inputs[field]}"
        for key, value in (resource.inputs.get("tags") or {}).items():
            assert len(key) <= 512
            assert len(value) <= 256, f"{resource.type}.tags.{key}: {value}"


def test_columns_are_added_and_never_lost() -> None:
    adapter, small = AzureML(), SMALL[FeatureStore]
    assert isinstance(small, FeatureStore)
    more = replace(small, features=[*small.features, Feature("added")])
    token = "mlinfra:azureml:FeatureSetSpec"
    before, after = (
        of(record_resolved(adapter, resolve_scene(adapter, Scene(store))), token)[0].inputs for store in (small, more)
    )
    assert adapter.loses(token, before, after) is None
    assert "would lose added" in str(adapter.loses(token, after, before))


def test_the_gpus_of_machines_are_those_that_the_rules_know() -> None:
    for machine in machines("mlinfra_providers.azureml"):
        assert bool(machine.gpus) == bool(machine.gpu)
        assert carried(machine.name) in (0, machine.gpus)


@pytest.mark.parametrize(
    ("every", "found"),
    [("5m", ("Minute", 5)), ("1h", ("Hour", 1)), ("6h", ("Hour", 6)), ("1d", ("Day", 1)), ("90m", ("Minute", 90)),
     ("30s", None)],
)  # fmt: skip
def test_schedules_count_whole_minutes(every: str, found: tuple[str, int] | None) -> None:
    assert recurrence(every) == found


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"account": "Acme ML"}, "account", "subscription's id"),
        ({"account": None}, "account", "subscription's id"),
        ({"region": "eu-west-1"}, "region", "needs the region"),
        ({"resource_group": None}, "resource_group", "needs the resource group"),
        ({"workspace": "a", "network": None}, "workspace", "3 to 33"),
        ({"images": None}, "images", "none is named"),
        (
            {"images": dict.fromkeys(("serving", "training"), f"docker.io/acme/x@sha256:{'1' * 64}")},
            "images.serving",
            "Azure Container Registry",
        ),
        ({"encryption": {"key": "acme-ml"}}, "encryption.key", "whole id"),
        ({"bucket": "acme-ml"}, "bucket", "storage account"),
        ({"artifacts": "s3://acme"}, "artifacts", "Blob Storage only"),
        ({"state": "file:///tmp/x"}, "state", "on this machine"),
        ({"network": {"vpc": "ml"}}, "network.subnets", "none is named"),
        ({"network": {"subnets": ["ml-a"]}}, "network.vpc", "none is named"),
        ({"workspace": "acme-ml"}, "network", "one is named"),
        ({"tags": {"a/b": "c"}}, "tags.a/b", "256 characters"),
        ({"namespace": "ml"}, "namespace", "has no use for this"),
    ],
)
def test_a_place_that_is_wrong_is_refused(changes: dict[str, Any], field: str, said: str, example: Environment) -> None:
    environment = Environment.model_validate({**example.model_dump(exclude_unset=True), "name": "prod", **changes})
    found = {path: (reason, way_out) for path, reason, way_out in AzureML().refuse_environment(environment)}
    assert said in found[field][0]
    assert found[field][1]
    assert {path.partition(".")[0] for path in found} == {field.partition(".")[0]}


@pytest.mark.parametrize(
    ("part", "environment", "said"),
    [
        (replace(SMALL[FeatureStore], features=[Feature("wind"), Feature("Wind")]), {}, "apart by their case"),  # type: ignore[call-arg]
        (replace(SMALL[FeatureStore], refresh="30s"), {}, "whole minutes"),  # type: ignore[call-arg]
        (replace(SMALL[DriftMonitor], on_drift="webhook"), {"webhook": None}, "no webhook is named"),  # type: ignore[call-arg]
    ],
)
def test_what_cannot_be_is_refused(part: Part, environment: dict[str, Any], said: str) -> None:
    observed = Judge(AzureML()).observe(Scene(part, environment))
    assert not isinstance(observed, Resources)
    assert said in str(Problems(observed))
