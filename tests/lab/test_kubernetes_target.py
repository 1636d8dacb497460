"""The lab's cluster does what its operators would: it serves, splits, trains, refuses, counts, and tidies up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from mlinfra.artifacts import ArtifactStore
from tests.lab.kubernetes.target import ARTIFACTS, KubernetesTarget, running
from tests.lab.target import Fault, Unanswered

pytestmark = pytest.mark.local

ENVIRONMENT, ENDPOINT, SPACE = "prod", "flights", "prod-mlinfra"
SECONDS = 240.0
BODY = json.dumps({"inputs": [{"name": "hours", "datatype": "FP64", "shape": [1], "data": [3.0]}]}).encode()
IMAGE = "registry.example.com/mlinfra-serving@sha256:" + "1" * 64
SERVING = f"/apis/serving.kserve.io/v1beta1/namespaces/{SPACE}/inferenceservices"
TRAINING = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{SPACE}"
ROUTE = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes/{ENDPOINT}"
SCRIPT = (
    "import json, os, pathlib; json.dump(1, open(pathlib.Path(os.environ['MLINFRA_OUTPUT']) / 'x', 'w')); print('ran')"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[KubernetesTarget]:
    with running() as target:
        yield target


@pytest.fixture
def platform(cluster: KubernetesTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    cluster.empty()
    yield Platform(cluster, tmp_path)
    cluster.heal()


class Platform:
    """A namespace with releases of one endpoint."""

    def __init__(self, target: KubernetesTarget, folder: Path) -> None:
        self.target = target
        self.cluster = target.cluster
        self._folder = folder
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        self.cluster.apply(f"/api/v1/namespaces/{SPACE}", body)

    def release(self, name: str, slope: float, digest: str = "", captured: str = "", called: str = "") -> None:
        """Let a model that multiplies be served; what it is asked is captured, where there is a URL for that."""
        from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

        from mlinfra_serving.artifacts import write_model

        frame = pd.DataFrame({"hours": [0.0, 1.0, 2.0]})
        write_model(LinearRegression().fit(frame, frame["hours"] * slope), frame, self._folder / name)
        store = ArtifactStore(f"s3://{ARTIFACTS}/models")
        found = store.put_tree(self._folder / name)
        tree = f"{store.url}/trees/{found.removeprefix('sha256:')}"
        model = [{"name": "model", "mountPath": "/mlinfra/model"}]
        bring = ["--from", tree, "--digest", digest or found, "--to", "/mlinfra/model"]
        settings = {
            "NAME": ENDPOINT, "RUNTIME": "sklearn", "MODEL_DIR": "/mlinfra/model", "MODEL_DIGEST": found,
            "RELEASE": name, "HOST": "0.0.0.0", "PORT": "8080", "DRAIN_SECONDS": "0",
        }  # fmt: skip
        if captured:
            settings |= {"CAPTURE_DIR": "/mlinfra/capture", "CAPTURE_STORE": captured}
        env = [{"name": f"MLINFRA_SERVING_{key}", "value": value} for key, value in settings.items()]
        command = ["python", "-m", "mlinfra_serving.bring"]
        probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}}
        init = {"name": "bring", "image": IMAGE, "command": command, "args": bring, "volumeMounts": model}
        init["terminationMessagePolicy"] = "FallbackToLogsOnError"
        server = {
            "name": "kserve-container",
            "image": IMAGE,
            "env": env,
            "volumeMounts": [*model, {"name": "capture", "mountPath": "/mlinfra/capture"}],
            "readinessProbe": probe,
        }
        labels = {"mlinfra-endpoint": ENDPOINT, "mlinfra-release": name}
        predictor = {
            "minReplicas": 1,
            "maxReplicas": 2,
            "labels": labels,
            "volumes": [{"name": "model", "emptyDir": {}}, {"name": "capture", "emptyDir": {}}],
        }
        predictor |= {"initContainers": [init], "containers": [server]}
        body = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "spec": {"predictor": predictor}}
        about = {"name": called or name, "namespace": SPACE, "labels": labels}
        self.cluster.apply(f"{SERVING}/{called or name}", {**body, "metadata": about})

    def route(self, **weights: int) -> None:
        backends = [
            {"kind": "Service", "name": f"{name}-predictor", "port": 80, "weight": weight}
            for name, weight in weights.items()
        ]
        rewrite = {
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
        }
        matches = [{"path": {"type": "PathPrefix", "value": f"/{SPACE}/{ENDPOINT}"}}]
        parent = {"name": "kserve-ingress-gateway", "namespace": "kserve"}
        spec = {"parentRefs": [parent], "rules": [{"matches": matches, "filters": [rewrite], "backendRefs": backends}]}
        body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": spec}
        known = {name: f"{name}-predictor" for name in weights}
        about = {"name": ENDPOINT, "namespace": SPACE, "annotations": {"mlinfra/backends": json.dumps(known)}}
        self.cluster.apply(ROUTE, {**body, "metadata": about})

    def ready(self, name: str) -> dict[str, Any] | None:
        found = self.cluster.get(f"{SERVING}/{name}")
        listed = found.get("status", {}).get("conditions") or ()
        return found if any(item["type"] == "Ready" and item["status"] == "True" for item in listed) else None

    def ask(self, times: int) -> list[tuple[str, float]]:
        answers = [self.target.ask(ENVIRONMENT, ENDPOINT, BODY) for _ in range(times)]
        return [(answer.release, round(answer.prediction, 3)) for answer in answers]

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
        return found


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def test_releases_serve_are_split_and_changed_by_hand(platform: Platform) -> None:
    with pytest.raises(Unanswered, match="404"):
        platform.ask(1)
    platform.release("first", 2)
    platform.release("second", 10)
    platform.route(first=3, second=1)
    service = until(lambda: platform.ready("first"), "the first release")
    until(lambda: platform.ready("second"), "the second release")
    assert service["status"]["url"] == f"http://first-predictor.{SPACE}.svc.cluster.local"
    assert sorted(platform.ask(8)) == [("first", 6.0)] * 6 + [("second", 30.0)] * 2
    answered = platform.target.answered()
    assert (answered[f"{SPACE}/flights/first-predictor"], answered[f"{SPACE}/flights/second-predictor"]) == (6, 2)
    platform.target.shift_by_hand(ENVIRONMENT, ENDPOINT, {"second": 100})
    until(lambda: platform.ask(4) == [("second", 30.0)] * 4, "the shift")

    asked = f'sum(increase(mlinfra_requests_total{{namespace="{SPACE}",mlinfra_release="second"}}[600s]))'
    url = f"{platform.target.environment['PROMETHEUS_URL']}/api/v1/query"

    def counted() -> float:
        told = httpx.get(url, params={"query": asked, "time": str(time.time())}, trust_env=False).json()
        return float(told["data"]["result"][0]["value"][1]) if told["data"]["result"] else 0.0

    until(lambda: counted() >= 6, "the counters of the second release")
    platform.target.scale_by_hand(ENVIRONMENT, ENDPOINT, "second", 2)
    until(lambda: len([pod for pod in platform.pods() if "second" in pod["metadata"]["name"]]) == 2, "two pods")
    assert "InferenceService first" in platform.target.there()
    assert not [line for line in platform.target.there() if line.startswith(("Pod ", "Deployment "))]
    platform.cluster.send("DELETE", f"{SERVING}/first")
    until(lambda: not [pod for pod in platform.pods() if "first" in pod["metadata"]["name"]], "the collected garbage")


def test_what_cannot_run_says_why_and_runs_when_it_can(platform: Platform) -> None:
    platform.target.fail(Fault.QUOTA)
    platform.release("first", 2)
    at = f"/apis/apps/v1/namespaces/{SPACE}/deployments/first-predictor"

    def refused() -> str:
        listed = (platform.cluster.get(at) or {}).get("status", {}).get("conditions") or ()
        return "".join(item["message"] for item in listed if item["type"] == "ReplicaFailure")

    assert "exceeded quota: lab-full" in until(refused, "the quota")
    platform.target.fail(Fault.NO_CAPACITY)
    platform.target._lab.post("/faults", json={"name": "quota", "times": 0})

    def unscheduled() -> bool:
        listed = [item for pod in platform.pods() for item in pod["status"].get("conditions") or ()]
        return any(item.get("reason") == "Unschedulable" for item in listed)

    until(unscheduled, "a pod without a node")
    assert platform.ready("first") is None
    platform.target.heal()
    until(lambda: platform.ready("first"), "the release")
    platform.release("wrong", 3, digest="sha256:" + "0" * 64)

    def stuck() -> str:
        statuses = [item for pod in platform.pods() for item in pod["status"].get("initContainerStatuses") or ()]
        return "".join(item.get("lastState", {}).get("terminated", {}).get("message", "") for item in statuses)

    assert "has the digest" in until(stuck, "the check of the digest")
    assert platform.ready("wrong") is None


def test_a_connection_is_lost_before_or_after_the_work(platform: Platform) -> None:
    from tests.lab.kubernetes.client import Answered, Cluster

    through = Cluster.of(Path(platform.target.environment["KUBECONFIG"]))
    at = f"/api/v1/namespaces/{SPACE}/configmaps"
    for fault, there in ((Fault.LOST_BEFORE, False), (Fault.LOST_AFTER, True), (Fault.THROTTLED, False)):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": str(fault), "namespace": SPACE}}
        platform.target.fail(fault)
        with pytest.raises(Answered, match=r"lost|Too many"):
            through.apply(f"{at}/{fault}", body)
        assert (platform.cluster.get(f"{at}/{fault}") is not None) == there
        through.apply(f"{at}/{fault}", body)


def test_a_train_job_runs_its_runtimes_template(platform: Platform) -> None:
    container = {
        "name": "node", "image": "training", "command": ["python", "-c", SCRIPT],
        "env": [{"name": "MLINFRA_OUTPUT", "value": "nowhere"}],
    }  # fmt: skip
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    jobs = [{"name": "node", "template": {"spec": {"backoffLimit": 0, "template": template}}}]
    runtime: dict[str, Any] = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime"}
    runtime |= {"metadata": {"name": "train"}, "spec": {"template": {"spec": {"replicatedJobs": jobs}}}}
    platform.cluster.send("POST", f"{TRAINING}/trainingruntimes", runtime)
    for name, output in (("good", str(platform._folder)), ("bad", "/nowhere")):
        reference = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "train"}
        trainer = {"env": [{"name": "MLINFRA_OUTPUT", "value": output}]}
        body = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}}
        body |= {"spec": {"runtimeRef": reference, "trainer": trainer}}
        platform.cluster.send("POST", f"{TRAINING}/trainjobs", body)

    def ended(name: str) -> str:
        found = platform.cluster.get(f"{TRAINING}/trainjobs/{name}").get("status", {}).get("conditions") or ()
        return "".join(item["type"] for item in found if item["status"] == "True")

    assert until(lambda: ended("good"), "the run") == "Complete"
    assert (platform._folder / "x").read_text() == "1"
    assert until(lambda: ended("bad"), "the failed run") == "Failed"
    (pod,) = [pod for pod in platform.pods() if pod["metadata"]["name"].startswith("bad-node-0")]
    server = json.loads(Path(platform.target.environment["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]["server"]
    log = httpx.get(f"{server}/api/v1/namespaces/{SPACE}/pods/{pod['metadata']['name']}/log", trust_env=False)
    assert "No such file" in log.text
    platform.target.empty()
    assert platform.target.there() == []
