"""Offline: the plan of the example environment, what the rules say, what is private, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Verdict
from mlinfra.policy.ruleset import ruleset
from mlinfra.policy.settings import Settings
from mlinfra.problems import Problems
from mlinfra.resources import Resource, Resources
from mlinfra.testing.judge import Judge
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene
from mlinfra_providers.kubernetes.adapter import Kubernetes
from mlinfra_providers.kubernetes.cron import cron
from tests.reference import Reference, protected

SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"


def of(resources: Resources, token: str) -> list[Resource]:
    return [resource for resource in resources.declared() if resource.type == token]


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, {"namespace": "flights"}], ids=["made", "existing"])
def test_no_rule_is_violated(
    reference: Reference, example: Environment, released: int, changes: dict[str, Any]
) -> None:
    """But for what the example agrees to, and says why."""
    agreed = {(item.rule, item.part) for item in example.policies.exceptions}
    found = check(Inspection(reference(released, **changes), Settings()), ruleset())
    wrong = [item for item in found if item.answer.verdict is Verdict.VIOLATION]
    assert [str(item) for item in wrong if (item.rule.id, item.part) not in agreed] == []
    if released:
        assert {(item.rule.id, item.part) for item in wrong} == agreed


def test_what_holds_data_is_protected(reference: Reference) -> None:
    assert protected(reference(2)) == {
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:feast.dev/v1:FeatureStore",
    }


def test_an_existing_namespace_keeps_its_owners_bounds(reference: Reference) -> None:
    types = {resource.type for resource in reference(2, namespace="flights").declared()}
    assert not types & {f"kubernetes:core/v1:{kind}" for kind in ("LimitRange", "Namespace", "ResourceQuota")}


def test_every_release_serves_under_one_name_and_checks_its_artifact(reference: Reference) -> None:
    found: dict[str, list[Mapping[str, str]]] = {}
    for service in of(reference(2), SERVICE):
        assert service.inputs["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
        predictor = service.inputs["spec"]["predictor"]
        (server,), (step,) = predictor["containers"], predictor["initContainers"]
        settings = {item["name"].removeprefix("MLINFRA_SERVING_"): item["value"] for item in server["env"]}
        assert step["args"][step["args"].index("--digest") + 1] == settings["MODEL_DIGEST"]
        found.setdefault(service.inputs["metadata"]["labels"]["mlinfra-endpoint"], []).append(settings)
    assert sorted(found) == ["diabetes-progression", "flight-delay"]
    for endpoint, releases in found.items():
        assert [item["NAME"] for item in releases] == [endpoint, endpoint]
        assert len({item["MODEL_DIGEST"] for item in releases}) == 2


def test_what_is_captured_goes_to_the_store_of_the_environment(reference: Reference, example: Environment) -> None:
    for service in of(reference(1), SERVICE):
        (server,) = service.inputs["spec"]["predictor"]["containers"]
        settings = {item["name"].removeprefix("MLINFRA_SERVING_"): item["value"] for item in server["env"]}
        endpoint = service.inputs["metadata"]["labels"]["mlinfra-endpoint"]
        assert settings["CAPTURE_STORE"] == f"{example.artifacts}/captured/prod/{endpoint}"
        assert [item["secretRef"]["name"] for item in server["envFrom"]] == ["mlinfra-artifacts"]


def test_only_the_route_has_weights(reference: Reference) -> None:
    for resource in reference(2).declared():
        assert ("weights" in resource.inputs) is (resource.type == "mlinfra:kubernetes:Traffic")
        assert "canary" not in str(resource.inputs.get("spec", ""))


def test_the_quota_has_room_for_two_fleets(reference: Reference, example: Environment) -> None:
    wider = {**example.override, "endpoints.flight-delay.scale": {"min": 2, "max": 6, "target_rps": 50}}
    rooms = []
    for override in (example.override, wider):
        (quota,) = of(reference(1, override=override), "kubernetes:core/v1:ResourceQuota")
        rooms.append(int(quota.inputs["spec"]["hard"]["requests.cpu"]))
    assert rooms[1] - rooms[0] == 4, "two fleets of two replicas more, with one CPU each"


def test_a_column_that_goes_is_a_loss(reference: Reference) -> None:
    token = "kubernetes:core/v1:ConfigMap"
    before = of(reference(0), token)[0].inputs
    text = before["data"]["features.py"]
    first = next(line for line in text.splitlines() if line.strip().startswith("Field("))
    fewer = {"data": {"features.py": text.replace(first + "\n", "")}}
    assert "would lose" in (Kubernetes().loses(token, before, fewer) or "")
    assert Kubernetes().loses(token, fewer, before) is None


def test_changed_definitions_are_other_pods_which_apply_them(reference: Reference) -> None:
    stores = of(reference(0), "kubernetes:feast.dev/v1:FeatureStore")
    told = {store.inputs["spec"]["services"]["podAnnotations"]["mlinfra/definitions"] for store in stores}
    assert len(told) == len(stores) == 2
    for store in stores:
        spec = store.inputs["spec"]
        (mounted,) = spec["services"]["offlineStore"]["server"]["volumeMounts"]
        assert mounted["mountPath"] == f"/feast-data/{spec['feastProject']}/feature_repo/features.py"
    (namespace,) = of(reference(0), "kubernetes:core/v1:Namespace")
    assert namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


@pytest.mark.parametrize(
    ("every", "schedule"),
    [("5m", "*/5 * * * *"), ("1h", "0 */1 * * *"), ("6h", "0 */6 * * *"), ("1d", "0 0 * * *")],
)
def test_an_interval_is_a_schedule(every: str, schedule: str) -> None:
    assert cron(every) == schedule


@pytest.mark.parametrize("every", ["7m", "45m", "90s", "5h", "36h", "2d"])
def test_what_a_schedule_does_not_keep_is_refused(every: str) -> None:
    assert cron(every) is None
    observed = Judge(Kubernetes()).observe(Scene(replace(SMALL[KINDS[4]], every=every)))  # type: ignore[call-arg]
    assert not isinstance(observed, Resources)
    assert "a CronJob keeps minutes that divide an hour" in str(Problems(observed))


def test_a_need_that_fits_on_no_node_is_refused() -> None:
    assert Kubernetes().instance(Compute(cpus=192, memory_gib=8)) is None
    found = Kubernetes().instance(Compute(cpus=2, memory_gib=8))
    assert found is not None
    assert found.name == "4-cpus-16-gib"


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"context": None}, "context", "needs the context"),
        ({"images": None}, "images", "none is named"),
        ({"namespace": "default"}, "namespace", "shared by all"),
        ({"namespace": "kube-system"}, "namespace", "shared by all"),
        ({"namespace": "Flights"}, "namespace", "lower-case"),
        ({"artifacts": "file:///tmp/x"}, "artifacts", "cannot be read by pods"),
        ({"state": "file:///tmp/x"}, "state", "on this machine"),
        ({"tags": {"cost center": "x"}}, "tags", "no key of one"),
        ({"region": "eu-west-1"}, "region", "has no use for this"),
        ({"bucket": "acme"}, "bucket", "has no use for this"),
    ],
)
def test_a_place_that_is_wrong_is_refused(changes: dict[str, Any], field: str, said: str, example: Environment) -> None:
    environment = Environment.model_validate({**example.model_dump(), "name": "prod", **changes})
    found = {path: (reason, way_out) for path, reason, way_out in Kubernetes().refuse_environment(environment)}
    assert said in found[field][0]
    assert found[field][1]
    assert set(found) == {field}
