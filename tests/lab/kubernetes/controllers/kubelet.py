"""The scheduler and one node: pods run as processes of this machine.

An image is not pulled: its files are this repository's, and `python` is the interpreter of the tests; a container
without a command runs the entry point of serving/Dockerfile. Each pod has an address of its own (127.x.y.z) and
listens there on the ports that it declares. Volumes are folders, and mount paths in variables and arguments are
rewritten to them. What is asked of Secrets must be there, or the container waits (CreateContainerConfigError).

Sources, at kubernetes.io/docs/concepts: workloads/pods/init-containers (one after another, each must succeed),
workloads/pods/pod-lifecycle (phases, conditions, restartPolicy, back-off, termination: SIGTERM, and SIGKILL after the
grace period; a pod that goes is not ready at once), scheduling-eviction (PodScheduled: Unschedulable, and the event
FailedScheduling). https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md: the event
NotTriggerScaleUp of a pod for which there will be no node.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.lab.kubernetes.controllers.container import Container, Waiting
from tests.lab.kubernetes.controllers.workloads import stamp
from tests.lab.kubernetes.controllers.world import Object, World, condition, conditions, going

NODE = "lab"
UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
NO_NODE = "pod didn't trigger scale-up: 1 max node group size reached"
BACK_OFF_SECONDS = 3.0
"""Real ones are ten seconds and more."""
GRACE_SECONDS = 5.0
"""The most that the lab waits for a process that was asked to end."""
_NET = random.randint(2, 250)
"""Labs that run at the same time have addresses of their own, most of the time."""


class Pod:
    """What runs of one pod."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-pod-"))
        self.containers: dict[str, Container] = {}
        self.asked_to_end = 0.0
        self.ready_since: str | None = None


class Kubelet:
    """Runs the pods of the cluster. `no_room`: how many more pods find no node."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._pods: dict[str, Pod] = {}
        self._left_out: set[str] = set()
        self._addresses = iter(range(2, 250 * 250))
        self._ready: dict[str, bool] = {}
        self.no_room = 0
        self._ending = threading.Event()
        threading.Thread(target=self._probe, daemon=True).start()

    def addresses(self, namespace: str, chosen: dict[str, str]) -> list[tuple[str, Object]]:
        """Return the address of each ready pod with some labels, and the pod."""
        found = []
        for pod in self._world.all("pods", namespace):
            runs = self._pods.get(pod["metadata"]["uid"])
            if runs is None or going(pod) or not self._ready.get(pod["metadata"]["uid"]):
                continue
            if chosen.items() <= pod["metadata"].get("labels", {}).items():
                found.append((runs.address, pod))
        return found

    def log(self, namespace: str, name: str, container: str) -> bytes | None:
        """Return what a container has written, or None where there is no such pod."""
        pod = self._world.get("pods", namespace, name)
        runs = self._pods.get(pod["metadata"]["uid"]) if pod else None
        if pod is None or runs is None:
            return None
        called = container or pod["spec"]["containers"][0]["name"]
        return runs.containers[called].log() if called in runs.containers else b""

    def heal(self) -> None:
        """Let every pod find a node."""
        self.no_room = 0
        self._left_out.clear()

    def turn(self) -> None:
        """Bring every pod a step on."""
        known = {pod["metadata"]["uid"]: pod for pod in self._world.all("pods")}
        for uid, pod in known.items():
            if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") and not going(pod):
                continue
            if uid not in self._pods and not going(pod) and not self._placed(pod):
                continue
            self._one(uid, pod)
        for uid in [uid for uid in self._pods if uid not in known]:
            self._forget(uid)

    def close(self) -> None:
        """Kill everything."""
        self._ending.set()
        for uid in list(self._pods):
            self._forget(uid)

    def _placed(self, pod: Object) -> bool:
        """Find a node for a pod; say whether there is one."""
        uid = pod["metadata"]["uid"]
        if self.no_room > 0 and uid not in self._left_out and _serves(pod):
            self.no_room -= 1
            self._left_out.add(uid)
            self._tell(pod, "FailedScheduling", UNSCHEDULABLE)
            self._tell(pod, "NotTriggerScaleUp", NO_NODE)
        if uid in self._left_out:
            listed = [condition("PodScheduled", False, "Unschedulable", UNSCHEDULABLE)]
            status = {"phase": "Pending", "conditions": conditions(pod, listed, stamp())}
            self._world.patch("pods", pod, {"status": status}, "/status")
            return False
        if "nodeName" not in pod["spec"]:
            metadata = pod["metadata"]
            at = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
            about = {"name": metadata["name"], "namespace": metadata["namespace"]}
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            self._world.cluster.send(
                "POST", at, {"apiVersion": "v1", "kind": "Binding", "metadata": about, "target": target}
            )
        number = next(self._addresses)
        self._pods[uid] = Pod(f"127.{_NET}.{number // 250}.{number % 250 + 1}")
        return True

    def _tell(self, pod: Object, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        namespace = metadata["namespace"]
        about = {"kind": "Pod", "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"]}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", **about},
            "reason": reason,
            "message": message,
            "type": "Warning",
            "firstTimestamp": stamp(),
            "lastTimestamp": stamp(),
            "source": {"component": "lab"},
        }
        self._world.cluster.send("POST", f"/api/v1/namespaces/{namespace}/events", event)

    def _one(self, uid: str, pod: Object) -> None:
        runs = self._pods.get(uid)
        if going(pod):
            if runs is None or self._ended(runs):
                self._world.delete("pods", pod, grace=0)
                self._forget(uid)
            return
        assert runs is not None
        spec = pod["spec"]
        begun: dict[str, list[Object]] = {"initContainerStatuses": [], "containerStatuses": []}
        initialized = True
        for kind, listed in (
            ("initContainerStatuses", spec.get("initContainers") or ()),
            ("containerStatuses", spec["containers"]),
        ):
            for container in listed:
                status = self._container(runs, pod, container, initialized)
                begun[kind].append(status)
                if kind == "initContainerStatuses":
                    initialized = initialized and status["state"].get("terminated", {}).get("exitCode") == 0
        self._status(uid, pod, runs, begun, initialized)

    def _container(self, runs: Pod, pod: Object, container: Object, may: bool) -> Object:
        """Start a container when its time has come; return its status."""
        name, restarts = container["name"], pod["spec"].get("restartPolicy", "Always")
        init = container in (pod["spec"].get("initContainers") or ())
        run = runs.containers.get(name)
        if run is None and may:
            run = runs.containers[name] = Container(
                self._world, pod, container, runs.folder, self._folder, runs.address
            )
            self._world.changed.set()
        if run is None:
            return _status_of(container, {"waiting": {"reason": "PodInitializing"}}, 0, ready=False)
        code = run.turn()
        again = (restarts == "Always" and not (init and code == 0)) or (restarts == "OnFailure" and code != 0)
        if code is not None and again and time.monotonic() - run.ended > BACK_OFF_SECONDS:
            run.start()
            code = None
        if isinstance(run.waits, Waiting):
            told: Object = {"waiting": {"reason": run.waits.reason, "message": str(run.waits)}}
        elif code is None:
            told = {"running": {"startedAt": run.started}}
        elif again:
            told = {
                "waiting": {"reason": "CrashLoopBackOff", "message": f"back-off restarting failed container {name}"}
            }
        else:
            told = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", **_times(run)}}
        status = _status_of(container, told, run.restarts, ready=code is None and not run.waits)
        if run.last is not None:
            ended = {"exitCode": run.last, "reason": "Error", **_times(run)}
            if container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
                ended["message"] = run.last_words()
            status["lastState"] = {"terminated": ended}
        return status

    def _status(self, uid: str, pod: Object, runs: Pod, begun: dict[str, list[Object]], initialized: bool) -> None:
        main = begun["containerStatuses"]
        codes = [item["state"].get("terminated", {}).get("exitCode") for item in main]
        stuck = pod["spec"].get("restartPolicy") == "Never" and any(
            item["state"].get("terminated", {}).get("exitCode", 0) != 0 for item in begun["initContainerStatuses"]
        )
        begins = any("waiting" in item["state"] and "lastState" not in item for item in main)
        phase = "Pending" if not initialized or begins else "Running"
        if stuck or (all(code is not None for code in codes) and any(codes)):
            phase = "Failed"
        elif all(code == 0 for code in codes):
            phase = "Succeeded"
        ready = phase == "Running" and self._ready.get(uid, False)
        for item in main:
            item["ready"] = item["ready"] and ready
        listed = [
            condition("PodScheduled", True),
            condition("Initialized", initialized, "" if initialized else "ContainersNotInitialized"),
            condition("ContainersReady", ready, "" if ready else "ContainersNotReady"),
            condition("Ready", ready, "" if ready else "ContainersNotReady"),
        ]
        status = {
            "phase": phase,
            "podIP": runs.address,
            "startTime": pod.get("status", {}).get("startTime") or stamp(),
            "conditions": conditions(pod, listed, stamp()),
            **begun,
        }
        self._world.patch("pods", pod, {"status": status}, "/status")

    def _probe(self) -> None:
        """Ask every pod that says how whether it is ready."""
        with httpx.Client(timeout=2, trust_env=False) as client:
            while not self._ending.wait(0.3):
                for pod in self._world.all("pods"):
                    runs = self._pods.get(pod["metadata"]["uid"])
                    if runs is None:
                        continue
                    ready = all(_answers(client, runs, item) for item in pod["spec"]["containers"])
                    if self._ready.get(pod["metadata"]["uid"]) != ready:
                        self._ready[pod["metadata"]["uid"]] = ready
                        self._world.changed.set()

    def _ended(self, runs: Pod) -> bool:
        now = time.monotonic()
        if not runs.asked_to_end:
            runs.asked_to_end = now
            for container in runs.containers.values():
                container.signal(signal.SIGTERM)
        if now - runs.asked_to_end > GRACE_SECONDS:
            for container in runs.containers.values():
                container.signal(signal.SIGKILL)
        return all(container.turn() is not None for container in runs.containers.values())

    def _forget(self, uid: str) -> None:
        runs = self._pods.pop(uid, None)
        self._ready.pop(uid, None)
        if runs is not None:
            for container in runs.containers.values():
                container.signal(signal.SIGKILL)
            shutil.rmtree(runs.folder, ignore_errors=True)


def _serves(pod: Object) -> bool:
    return "serving.kserve.io/inferenceservice" in pod["metadata"].get("labels", {})


def _answers(client: httpx.Client, runs: Pod, container: Object) -> bool:
    run = runs.containers.get(container["name"])
    if run is None or not run.runs or runs.asked_to_end:
        return False
    probe = container.get("readinessProbe", {}).get("httpGet")
    if probe is None:
        return True
    headers = {item["name"]: item["value"] for item in probe.get("httpHeaders") or ()}
    try:
        return client.get(f"http://{runs.address}:{probe['port']}{probe['path']}", headers=headers).is_success
    except httpx.HTTPError:
        return False


def _status_of(container: Object, state: Object, restarts: int, *, ready: bool) -> Object:
    image = container["image"]
    return {
        "name": container["name"],
        "image": image,
        "imageID": image,
        "restartCount": restarts,
        "ready": ready,
        "started": ready,
        "state": state,
    }


def _times(run: Container) -> Object:
    return {"startedAt": run.started, "finishedAt": run.finished}
