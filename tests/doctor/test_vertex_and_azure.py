"""What doctor tells of a project and of a subscription, by answers as their APIs give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mlinfra.adapters import Instance
from mlinfra_providers.azureml import asking as azure_asking
from mlinfra_providers.azureml import doctor as azure
from mlinfra_providers.azureml import permissions as azure_permissions
from mlinfra_providers.vertex import asking as google_asking
from mlinfra_providers.vertex import doctor as google
from mlinfra_providers.vertex import permissions as google_permissions
from tests.bootstrap.environments import environment
from tests.doctor.parts import MOST, parts

Findings = dict[str, tuple[bool | None, str]]
Answers = Mapping[str, tuple[int, Any]]
N1, GPU, DS = Instance("n1-standard-4", 4, 15), Instance("g2-standard-4", 4, 16, 1), Instance("Standard_DS2_v2", 2, 7)


def _bucketed(region: str, limit: int) -> list[dict[str, Any]]:
    return [{"effectiveLimit": "4"}, {"effectiveLimit": str(limit), "dimensions": {"region": region}}]


def _google(limits: Mapping[str, int], allowed: list[str] | None = None) -> Answers:
    every = [one for each in google_permissions.needed(environment("vertex")).values() for one in each]
    metrics = [
        {
            "metric": f"aiplatform.googleapis.com/{name}",
            "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": _bucketed("europe-west4", limit)}],
        }
        for name, limit in limits.items()
    ]
    return {
        "v3/projects/acme-ml-prod:testIamPermissions": (200, {"permissions": every if allowed is None else allowed}),
        "v3/projects/acme-ml-prod": (200, {"name": "projects/42", "projectId": "acme-ml-prod"}),
        "/keyRings/": (200, {"permissions": list(google_permissions.KEY)}),
        "locations/europe-west4": (200, {"name": "europe-west4"}),
        "b/acme-state/iam": (200, {"permissions": list(google_permissions.STATE)}),
        "b/acme-models/iam": (404, {}),
        "consumerQuotaMetrics": (200, {"metrics": metrics}),
    }


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], None]:
    """Let both clouds answer by the first piece that is in the address; else that it may not be asked."""

    def say(answers: Answers) -> None:
        def send(self: object, *asked: Any) -> tuple[int, Any]:
            address = next(str(item) for item in asked if "/" in str(item))
            found = (told for piece, told in answers.items() if piece in address)
            return next(found, (403, {"error": {"message": "Permission denied"}}))

        monkeypatch.setattr(google_asking.Asking, "send", send)
        monkeypatch.setattr(google_asking.Asking, "whose", lambda self: "ci@acme")
        monkeypatch.setattr(azure_asking.Asking, "send", send)

    return say


def _told_google(machine: Instance = N1, **more: Any) -> Findings:
    found = google.examine(environment("vertex"), parts(machine, **more))
    return {subject: (good, detail) for subject, good, detail, _ in found}


def test_google_tells_what_is_there_and_what_is_not(answer: Callable[[Answers], None]) -> None:
    answer(_google({"custom_model_serving_cpus": 2 * MOST * 4, "custom_model_training_cpus": 4}))
    told = _told_google()
    assert told["credentials"] == (True, "ci@acme sees the project acme-ml-prod (42)")
    assert told["state"] == (True, "acme-state may be read and written")
    assert told["artifacts"] == (False, "there is no bucket acme-models")
    assert told["key"][0] is True
    assert told["quota: custom_model_serving_cpus"][0] is True
    assert {good for subject, (good, _) in told.items() if subject.startswith("permissions")} == {True}


def test_google_counts_two_fleets_by_family_and_accelerator(answer: Callable[[Answers], None]) -> None:
    answer(_google({"custom_model_serving_g2_cpus": 1000, "custom_model_serving_nvidia_l4_gpus": 2 * MOST - 1}))
    told = _told_google(GPU)
    assert told["quota: custom_model_serving_g2_cpus"][0] is True
    assert told["quota: custom_model_serving_nvidia_l4_gpus"][0] is False
    assert told["quota: custom_model_training_g2_cpus"][0] is None, "it tells none of this name"
    spot = _told_google(GPU, spot=True)
    assert "quota: custom_model_training_preemptible_g2_cpus" in spot


def test_what_google_does_not_tell_is_unknown(answer: Callable[[Answers], None]) -> None:
    answer({"v3/projects/acme-ml-prod:": (403, {}), "v3/projects/acme-ml-prod": (200, {"name": "projects/42"})})
    told = _told_google()
    assert {good for subject, (good, _) in told.items() if subject != "credentials"} == {None}
    assert "these credentials may not ask" in told["state"][1]


def test_a_permission_that_google_does_not_give_is_named(answer: Callable[[Answers], None]) -> None:
    answer(_google({}, allowed=["aiplatform.models.upload"]))
    told = _told_google()
    assert told["permissions: models"][0] is False
    assert "aiplatform.models.delete" in told["permissions: models"][1]
    assert "aiplatform.models.upload" not in told["permissions: models"][1]


def _azure(limit: int, granted: list[dict[str, Any]] | None = None) -> Answers:
    everything = [{"actions": ["*"], "notActions": [], "dataActions": ["Microsoft.Storage/*"], "notDataActions": []}]
    return {
        "/permissions": (200, {"value": everything if granted is None else granted}),
        "/vmSizes": (200, {"value": [{"name": "Standard_DS2_v2", "family": "standardDSv2Family", "vCPUs": 2}]}),
        "/usages": (200, {"value": [{"name": {"value": "standardDSv2Family"}, "limit": limit, "currentValue": 1}]}),
        "/vaults/": (404, {}),
        "/containers/": (200, {}),
        "/resourceGroups/": (200, {}),
        "/locations": (200, {"value": [{"name": "westeurope"}]}),
        "/subscriptions/": (200, {"tenantId": "acme"}),
    }


def _told_azure() -> Findings:
    found = azure.examine(environment("azureml"), parts(DS))
    return {subject: (good, detail) for subject, good, detail, _ in found}


def test_azure_tells_what_is_there_and_keeps_a_fifth_for_upgrades(answer: Callable[[Answers], None]) -> None:
    """Three machines are four with what is kept; two fleets of two processors each, and the job's two."""
    answer(_azure(2 * 4 * 2 + 2))
    told = _told_azure()
    assert told["quota: standardDSv2Family"][0] is True
    assert told["key"] == (False, "there is no acme-ml/state")
    assert told["state: blobs"] == (True, "may be read and written")
    assert {good for subject, (good, _) in told.items() if subject.startswith("permissions")} == {True}
    answer(_azure(2 * 4 * 2 + 1))
    assert _told_azure()["quota: standardDSv2Family"][0] is False


def test_azure_reads_what_is_taken_out_of_a_role(answer: Callable[[Answers], None]) -> None:
    contributor = {
        "actions": ["*"],
        "notActions": ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"],
    }
    answer(_azure(100, [contributor]))
    told = _told_azure()
    assert told["permissions: endpoints"][0] is True
    assert told["permissions: identities of the parts"] == (
        False,
        "not allowed: Microsoft.Authorization/roleAssignments/write, Microsoft.Authorization/roleAssignments/delete",
    )
    assert told["state: blobs"][0] is False, "a role on the account gives no rights to its blobs"


def test_what_azure_does_not_tell_is_unknown(answer: Callable[[Answers], None]) -> None:
    answer(
        {"/subscriptions/11111111-2222-3333-4444-555555555555/": (403, {}), "/subscriptions/": (200, {"tenantId": "a"})}
    )
    told = _told_azure()
    assert {good for subject, (good, _) in told.items() if subject != "credentials"} == {None}


def test_every_action_is_one_of_a_provider() -> None:
    for actions in azure_permissions.needed(environment("azureml")).values():
        for action in actions:
            assert action.startswith("Microsoft.")
            assert action.rpartition("/")[2] in ("read", "write", "delete", "action")
