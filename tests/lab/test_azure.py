"""The emulated Azure behaves as Microsoft's documentation says, and the adapter's clients get along with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError, Refused
from mlinfra.rollout.samples import Samples
from mlinfra_providers.azureml import clients, samples
from mlinfra_providers.azureml.clients import Azure, delete_blob, read_blob, write_blob
from mlinfra_providers.azureml.places import Place
from mlinfra_providers.azureml.resources.endpoint import OnlineEndpoint
from mlinfra_providers.azureml.resources.feature_set import FeaturesetVersion
from mlinfra_providers.azureml.resources.traffic import TrafficSplit
from mlinfra_providers.azureml.service import AzureMLService
from mlinfra_providers.azureml.split import Split
from tests.lab.azure.emulator import Emulator, running
from tests.lab.azure.server.account import ACCOUNT, GROUP, MODELS, REGION, group_id
from tests.lab.azure.server.resource_manager import SUBSCRIPTION

WORKSPACE, ENDPOINT = "ml", "flights"
BASE = f"{group_id()}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
RECORD = Place(ACCOUNT, MODELS, "mlinfra/traffic.json")
BLUE, GREEN = "raaaaaaaaaaaa-1", "rbbbbbbbbbbbb-1"
WHERE = {
    "environment": "prod",
    "subscriptionId": SUBSCRIPTION,
    "resourceGroupName": GROUP,
    "workspaceName": WORKSPACE,
}
OWNER = f"{group_id()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/prod-mlinfra"
ENDPOINT_INPUTS: dict[str, Any] = {
    **WHERE,
    "endpointName": ENDPOINT,
    "location": REGION,
    "kind": "Managed",
    "identity": {"type": "UserAssigned", "userAssignedIdentities": [OWNER]},
    "properties": {"authMode": "AADToken", "publicNetworkAccess": "Disabled", "description": "flights"},
    "tags": {"team": "flights"},
}
Deploy = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulated Azure, which this process reaches as the adapter does."""
    before = dict(os.environ)
    with running() as emulator:
        os.environ.update(emulator.environment)
        yield emulator
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def azure(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """A workspace with an endpoint and nothing deployed."""
    monkeypatch.setattr(clients, "POLL_SECONDS", 0.05)
    emulator.reset()
    emulator.slow(0.1)
    _put(emulator, BASE, {"location": REGION, "properties": {"description": "flights"}})
    OnlineEndpoint(Path()).create(ENDPOINT_INPUTS)
    return Azure(SUBSCRIPTION, GROUP, WORKSPACE)


@pytest.fixture
def deploy(emulator: Emulator, azure: Azure) -> Deploy:
    """Put a deployment, of a container that is not mlinfra's."""

    def put(name: str, **properties: Any) -> httpx.Response:
        told = {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2", **properties}
        body = {"location": REGION, "sku": {"name": "Default", "capacity": 1}, "properties": told}
        return _put(emulator, f"{BASE}/onlineEndpoints/{ENDPOINT}/deployments/{name}", body)

    return put


def _put(emulator: Emulator, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = emulator.ask("PUT", path, body)
    if answer.is_success:
        emulator.settled(path)
    return answer


def _traffic(emulator: Emulator, split: dict[str, int], share: int = 0) -> httpx.Response:
    """Change the split, and the share of requests that GREEN gets copies of."""
    change = {"properties": {"traffic": split, "mirrorTraffic": {GREEN: share} if share else None}}
    answer = emulator.ask("PATCH", f"{BASE}/onlineEndpoints/{ENDPOINT}", change)
    if answer.is_success:
        emulator.settled(f"{BASE}/onlineEndpoints/{ENDPOINT}")
    return answer


def _split_of(azure: Azure) -> dict[str, int]:
    there = azure.get(f"onlineEndpoints/{ENDPOINT}")
    assert there is not None
    return dict(there["properties"].get("traffic") or {})


def _message(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['error']['message']}"


def _ask(azure: Azure, **headers: str) -> httpx.Response:
    there = azure.get(f"onlineEndpoints/{ENDPOINT}")
    assert there is not None
    url = there["properties"]["scoringUri"]
    signed = {"Authorization": "Bearer somebody", **headers}
    return httpx.post(url, json={"inputs": []}, headers=signed, timeout=30, trust_env=False)


# The store of models.


def test_trees_are_kept_and_found_by_the_official_clients(emulator: Emulator, azure: Azure, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"x" * 70000)
    (folder / "inner" / "signature.json").write_text("{}")
    store = ArtifactStore(emulator.place["artifacts"])
    digest = store.put_tree(folder)
    assert store.has(digest)
    assert store.condition(digest) == "there"
    found = store.get_tree(digest, tmp_path / "found")
    assert (found / "inner" / "signature.json").read_text() == "{}"


def test_a_blob_is_written_on_a_condition(azure: Azure) -> None:
    write_blob(RECORD, b"one")
    with pytest.raises(Refused, match="somebody else wrote"):
        write_blob(RECORD, b"two")
    found = read_blob(RECORD)
    assert found is not None
    write_blob(RECORD, b"two", found[1])
    with pytest.raises(Refused, match="somebody else wrote"):
        write_blob(RECORD, b"three", found[1])
    delete_blob(RECORD)
    delete_blob(RECORD)
    assert read_blob(RECORD) is None


# What the emulated Azure ML takes.


def test_what_the_models_do_not_have_is_refused(emulator: Emulator, deploy: Deploy) -> None:
    assert "has no such field" in _message(deploy(BLUE, instanceKind="large"))
    body = {"location": REGION, "properties": {"authMode": "Nobody"}}
    assert "is not one of" in _message(emulator.ask("PUT", f"{BASE}/onlineEndpoints/other", body))


def test_what_something_is_in_must_be_there(emulator: Emulator, azure: Azure) -> None:
    body = {"location": REGION, "properties": {"endpointComputeType": "Managed"}}
    answer = emulator.ask("PUT", f"{BASE}/onlineEndpoints/none/deployments/{BLUE}", body)
    assert answer.json()["error"]["code"] == "ParentResourceNotFound"


def test_a_split_is_whole_and_of_what_is_deployed(emulator: Emulator, deploy: Deploy) -> None:
    for name in (BLUE, GREEN):
        assert deploy(name).is_success
    assert "must be 0 or 100" in _message(_traffic(emulator, {BLUE: 50, GREEN: 40}))
    assert "do not exist" in _message(_traffic(emulator, {"rcccccccccccc-1": 100}))
    assert "at most 50" in _message(_traffic(emulator, {BLUE: 100}, share=51))
    assert "without live traffic" in _message(_traffic(emulator, {BLUE: 50, GREEN: 50}, share=10))
    assert _traffic(emulator, {BLUE: 100}, share=50).is_success


def test_what_has_a_share_cannot_be_deleted(emulator: Emulator, azure: Azure, deploy: Deploy) -> None:
    deploy(BLUE)
    _traffic(emulator, {BLUE: 100})
    with pytest.raises(MlinfraError, match="cannot be deleted: it has 100 percent"):
        azure.delete(f"onlineEndpoints/{ENDPOINT}/deployments/{BLUE}")
    _traffic(emulator, {BLUE: 0})
    azure.delete(f"onlineEndpoints/{ENDPOINT}/deployments/{BLUE}")
    assert azure.list(f"onlineEndpoints/{ENDPOINT}/deployments") == []


def test_a_put_without_the_split_loses_it_and_the_adapter_keeps_it(
    emulator: Emulator, azure: Azure, deploy: Deploy
) -> None:
    deploy(BLUE)
    _traffic(emulator, {BLUE: 100})
    OnlineEndpoint(Path()).update(ENDPOINT, ENDPOINT_INPUTS, {**ENDPOINT_INPUTS, "tags": {"team": "others"}})
    assert _split_of(azure) == {BLUE: 100}
    assert (azure.get(f"onlineEndpoints/{ENDPOINT}") or {})["tags"] == {"team": "others"}
    body = {"location": REGION, "kind": "Managed", "properties": {"authMode": "AADToken"}}
    _put(emulator, f"{BASE}/onlineEndpoints/{ENDPOINT}", body)
    assert _split_of(azure) == {}


def test_one_change_at_a_time_and_the_adapter_waits(emulator: Emulator, azure: Azure, deploy: Deploy) -> None:
    deploy(BLUE)
    emulator.slow(1.0)
    path, change = f"{BASE}/onlineEndpoints/{ENDPOINT}", {"tags": {"team": "one"}}
    assert emulator.ask("PATCH", path, change).is_success
    assert emulator.ask("PATCH", path, change).json()["error"]["code"] == "AnotherOperationInProgress"
    Split(azure, ENDPOINT, RECORD).set({"aaaaaaaaaaaa": 100}, 1, None)
    assert _split_of(azure) == {BLUE: 100}


@pytest.mark.parametrize(("fault", "said"), [("no-capacity", "OutOfCapacity"), ("quota", "OutOfQuota")])
def test_no_machine_is_a_failure_with_a_reason(
    emulator: Emulator, azure: Azure, deploy: Deploy, fault: str, said: str
) -> None:
    emulator.fault(fault)
    body = {"location": REGION, "properties": {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2"}}
    with pytest.raises(MlinfraError, match=said if fault == "no-capacity" else "Not enough quota"):
        azure.put(f"onlineEndpoints/{ENDPOINT}/deployments/{BLUE}", body)
    azure.put(f"onlineEndpoints/{ENDPOINT}/deployments/{BLUE}", body)


# The adapter's resources.


def test_the_first_release_gets_everything_and_then_whoever_shifts(azure: Azure, deploy: Deploy) -> None:
    deploy(BLUE)
    inputs = {
        **WHERE,
        "endpointName": ENDPOINT,
        "account": ACCOUNT,
        "container": MODELS,
        "record": RECORD.path,
        "weights": {"aaaaaaaaaaaa": 100},
        "generation": 0,
    }
    traffic, split = TrafficSplit(Path()), Split(azure, ENDPOINT, RECORD)
    id_, outputs = traffic.create(inputs)
    assert outputs["url"].endswith(f"/inference/{ENDPOINT}/score")
    assert _split_of(azure) == {BLUE: 100}
    deploy(GREEN)
    split.set({"aaaaaaaaaaaa": 90, "bbbbbbbbbbbb": 10}, 2, {"phase": "rolling"})
    traffic.update(id_, inputs, {**inputs, "weights": {"bbbbbbbbbbbb": 100}})
    assert _split_of(azure) == {BLUE: 90, GREEN: 10}
    with pytest.raises(Refused, match="not newer than 2"):
        split.set({"aaaaaaaaaaaa": 100}, 2, None)
    found = traffic.read(id_, inputs)
    assert found is not None
    assert found.inputs["weights"] == {"aaaaaaaaaaaa": 90, "bbbbbbbbbbbb": 10}
    assert found.inputs["generation"] == 2
    traffic.delete(id_, inputs)
    assert _split_of(azure) == {}
    assert read_blob(RECORD) is None


@pytest.mark.parametrize("fault", ["throttle", "lost-before", "lost-after"])
def test_a_shift_survives_what_goes_wrong_on_the_way(
    emulator: Emulator, azure: Azure, deploy: Deploy, fault: str
) -> None:
    deploy(BLUE)
    emulator.fault(fault, 2)
    Split(azure, ENDPOINT, RECORD).set({"aaaaaaaaaaaa": 100}, 1, None)
    assert _split_of(azure) == {BLUE: 100}


def test_an_endpoint_changed_by_hand_is_seen(emulator: Emulator, azure: Azure) -> None:
    endpoint = OnlineEndpoint(Path())
    found = endpoint.read(ENDPOINT, ENDPOINT_INPUTS)
    assert found is not None
    assert found.inputs == ENDPOINT_INPUTS
    change = {"properties": {"publicNetworkAccess": "Enabled"}}
    emulator.ask("PATCH", f"{BASE}/onlineEndpoints/{ENDPOINT}", change)
    emulator.settled(f"{BASE}/onlineEndpoints/{ENDPOINT}")
    found = endpoint.read(ENDPOINT, ENDPOINT_INPUTS)
    assert found is not None
    assert found.inputs["properties"]["publicNetworkAccess"] == "Enabled"
    endpoint.delete(ENDPOINT, ENDPOINT_INPUTS)
    assert endpoint.read(ENDPOINT, ENDPOINT_INPUTS) is None


def test_versions_of_a_feature_set_stay_and_may_come_back(emulator: Emulator, azure: Azure) -> None:
    _put(emulator, f"{BASE}/featuresets/weather", {"properties": {"description": "weather"}})
    one = {**WHERE, "name": "weather", "version": "1", "properties": {"entities": ["azureml:city:1"]}}
    two = {**one, "version": "2", "properties": {"entities": ["azureml:city:2"]}}
    features = FeaturesetVersion(Path())
    features.create(one)
    features.update("weather", one, two)
    features.update("weather", two, one)
    features.delete("weather", one)
    assert {item["name"] for item in azure.list("featuresets/weather/versions")} == {"1", "2"}
    found = features.read("weather", two)
    assert found is not None
    assert found.inputs == two


# Who asks an endpoint, and what is measured.


def test_requests_follow_the_split_and_the_header(emulator: Emulator, azure: Azure, deploy: Deploy) -> None:
    for name in (BLUE, GREEN):
        deploy(name)
    assert _ask(azure).status_code == 404
    _traffic(emulator, {BLUE: 90, GREEN: 10})
    answered = [_ask(azure).headers["azureml-model-deployment"] for _ in range(20)]
    assert answered.count(GREEN) == 2
    chosen = _ask(azure, **{"azureml-model-deployment": GREEN})
    assert chosen.headers["azureml-model-deployment"] == GREEN
    assert httpx.post(chosen.request.url, json={}, trust_env=False).status_code == 401
    now = datetime.now(UTC)
    measured = samples.samples(
        azure, ENDPOINT, {"one": BLUE, "two": GREEN}, now - timedelta(minutes=5), now + timedelta(minutes=1)
    )
    assert isinstance(measured, Samples)
    assert {name: item.requests for name, item in measured.releases.items()} == {"one": 18, "two": 3}
    assert all(item.errors == 0 and "p95_ms" in item.percentiles_ms for item in measured.releases.values())


# Jobs.


URI = "azureml://datastores/models/paths"


@pytest.fixture
def image(emulator: Emulator, azure: Azure) -> str:
    """The id of an image, in a workspace that has a datastore."""
    store = {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": MODELS}
    credentials = {"credentials": {"credentialsType": "None"}}
    _put(emulator, f"{BASE}/datastores/models", {"properties": {**store, **credentials}})
    image = f"{BASE}/environments/training/versions/1"
    _put(emulator, image, {"properties": {"image": "lab.azurecr.io/training", "osType": "Linux"}})
    return image


def test_labels_are_kept_and_counted(emulator: Emulator, azure: Azure, tmp_path: Path) -> None:
    environment = Environment.model_validate(
        {"name": "prod", "target": "azureml", "stacks": ["flights"], **emulator.place}
    )
    service = AzureMLService(environment, tmp_path)
    assert service.add_labels("flights", {"one": 1.0, "two": 0.0}) == 2
    assert service.add_labels("flights", {"two": 1.0, "three": 0.0}) == 1


def test_a_job_really_runs_between_folders_of_the_store(emulator: Emulator, azure: Azure, image: str) -> None:
    write_blob(Place(ACCOUNT, MODELS, "given/rows.txt"), b"rows", anyhow=True)
    body = {
        "jobType": "Command",
        "command": "cat ${{inputs.rows}}/rows.txt | tr a-z A-Z > ${{outputs.run}}/made.txt && echo $GREETING",
        "environmentId": image,
        "environmentVariables": {"GREETING": "hello"},
        "inputs": {"rows": {"jobInputType": "uri_folder", "uri": f"{URI}/given"}},
        "outputs": {"run": {"jobOutputType": "uri_folder", "uri": f"{URI}/made"}},
    }
    azure.put("jobs/first", {"properties": body})
    status = "Running"
    while status == "Running":
        status = (azure.get("jobs/first") or {})["properties"]["status"]
    assert status == "Completed"
    made = read_blob(Place(ACCOUNT, MODELS, "made/made.txt"))
    assert made is not None
    assert made[0] == b"ROWS"
    with pytest.raises(MlinfraError, match="already exists"):
        azure.put("jobs/first", {"properties": body})
    assert json.dumps(emulator.ask("GET", "/lab/things").json()).count("jobs") == 0


def test_what_has_the_same_name_is_told_apart(emulator: Emulator, azure: Azure) -> None:
    logs = f"{group_id()}/providers/Microsoft.OperationalInsights/workspaces/{WORKSPACE}"
    _put(emulator, logs, {"location": REGION, "properties": {}})
    there = emulator.ask("GET", "/lab/things").json()
    assert len([line for line in there if line.endswith(f" {WORKSPACE}")]) == 2
    assert len(there) == len(set(there))
