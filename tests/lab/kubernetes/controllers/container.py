"""One container as a process."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.kubernetes.controllers.workloads import stamp
from tests.lab.kubernetes.controllers.world import Object, World

ENTRY_POINT = ["python", "-P", "-m", "mlinfra_serving"]
"""Of serving/Dockerfile."""
OWN = ("KUBECONFIG", "PROMETHEUS_URL", "PULUMI_", "MLINFRA_")
"""What of the lab's own environment a container does not see."""
DRAIN = "MLINFRA_SERVING_DRAIN_SECONDS"


class Waiting(Exception):
    """A container cannot be started yet; `reason` as the kubelet calls it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Container:
    """A container of a pod: its process, which is started anew after it has ended if somebody wants that."""

    def __init__(self, world: World, pod: Object, container: Object, folder: Path, shared: Path, address: str) -> None:
        self._world = world
        self._pod = pod
        self._spec = container
        self._folder = folder
        self._shared = shared
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{container['name']}.log"
        self._log.touch()
        self._ending = False
        self.waits: Waiting | None = None
        self.restarts = -1
        self.last: int | None = None
        """The exit code of the run before."""
        self.started = self.finished = stamp()
        self.ended = 0.0
        self.start()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or say what it waits for."""
        if self._process is not None:
            self.last = self._process.returncode
        try:
            command, variables = self._command()
        except Waiting as waits:
            self.waits = waits
            return
        self.waits = None
        self.restarts += 1
        self.started = stamp()
        self.ended = 0.0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip

    def turn(self) -> int | None:
        """Return the exit code once it has ended; look again for what it waits for."""
        if self.waits and self._ending:
            return 0
        if self.waits:
            self.start()
            return None
        assert self._process is not None
        code = self._process.poll()
        if code is not None and not self.ended:
            self.ended, self.finished = time.monotonic(), stamp()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that it started."""
        self._ending = True
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def log(self) -> bytes:
        return self._log.read_bytes()

    def last_words(self) -> str:
        return self.log()[-600:].decode(errors="replace").strip()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        spec = self._spec
        entry = spec.get("command") or (ENTRY_POINT if "mlinfra-serving" in spec["image"] else None)
        if entry is None or entry[0] != "python":
            raise Waiting("ErrImagePull", f"the lab has no {' '.join(entry or [spec['image']])}")
        command = [self._here(part) for part in (*entry, *(spec.get("args") or ()))]
        command[0] = sys.executable
        variables = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
        variables |= {"TMPDIR": str(self._volume("scratch", "")), "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= self._from_secrets()
        for item in spec.get("env") or ():
            variables[item["name"]] = self._here(self._value(item))
        if DRAIN in variables:
            variables[DRAIN] = "1"  # the lab's gateway knows at once who goes
        return command, variables

    def _from_secrets(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in self._spec.get("envFrom") or ():
            reference = source.get("secretRef")
            if reference:
                found |= self._secret(reference["name"], optional=reference.get("optional", False))
        return found

    def _value(self, item: Object) -> str:
        if "valueFrom" not in item:
            return str(item.get("value", ""))
        if "secretKeyRef" in item["valueFrom"]:
            reference = item["valueFrom"]["secretKeyRef"]
            return self._secret(reference["name"])[reference["key"]]
        return str(_at(self._pod, item["valueFrom"]["fieldRef"]["fieldPath"]))

    def _secret(self, name: str, *, optional: bool = False) -> dict[str, str]:
        found = self._world.get("secrets", self._pod["metadata"]["namespace"], name)
        if found is None and not optional:
            raise Waiting("CreateContainerConfigError", f'secret "{name}" not found')
        data = (found or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _here(self, text: str) -> str:
        """Return a text with the pod's paths and address as they are on this machine."""
        for mounted in sorted(self._spec.get("volumeMounts") or (), key=lambda item: -len(item["mountPath"])):
            path = mounted["mountPath"]
            folder = self._volume(mounted["name"], mounted.get("subPath", ""))
            if path != "/tmp":
                text = re.sub(rf"(?<![\w/.-]){re.escape(path)}(?=$|[/:,;\"\s])", lambda _, at=folder: str(at), text)  # type: ignore[misc]
        return self._address if text == "0.0.0.0" else text

    def _volume(self, name: str, inside: str) -> Path:
        volumes: list[Object] = self._pod["spec"].get("volumes") or []
        volume: Object = next((item for item in volumes if item["name"] == name), {})
        if "secret" in volume:
            return self._mounted(volume["secret"])
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim:
            folder = self._shared / str(self._pod["metadata"]["namespace"]) / str(claim) / inside
        else:
            folder = self._folder / "volumes" / name / inside
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _mounted(self, source: Object) -> Path:
        """Return the folder with a Secret's files; all of them, or those that are named."""
        values = self._secret(source["secretName"], optional=source.get("optional", False))
        folder = self._folder / "secrets" / str(source["secretName"])
        folder.mkdir(parents=True, exist_ok=True)
        for item in source.get("items") or [{"key": key, "path": key} for key in values]:
            if item["key"] not in values:
                raise Waiting("CreateContainerConfigError", f"references non-existent secret key: {item['key']}")
            (folder / item["path"]).write_text(values[item["key"]])
        return folder


def _at(pod: Object, path: str) -> object:
    found: object = pod
    for step in path.split("."):
        found = found[step] if isinstance(found, dict) else None
    return found
