"""Server: one release of an endpoint as a supervised process of the serving package."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import ClassVar

from mlinfra.artifacts import check_tree
from mlinfra.digests import digest_json, short
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import HOST, Ports
from mlinfra_providers.local.programs import Program
from mlinfra_providers.local.resources.local_handler import LocalHandler
from mlinfra_providers.local.supervisor import Supervisor, answers

READY_SECONDS = 90.0
STOP_SECONDS = 40
_KIBIBYTES_OF_A_GIBIBYTE = 1 << 20


class Server(LocalHandler):
    """The id names the content, so that a changed server comes up beside the old one before that one goes."""

    outputs: ClassVar[tuple[str, ...]] = ("port",)
    immutable: ClassVar[frozenset[str]] = frozenset(
        {
            "environment", "endpoint", "release", "artifact", "runtime", "cpus", "memoryGib", "gpus",
            "capturePercent", "artifacts",
        }
    )  # fmt: skip

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Fetch the model, start the process, and wait until it is ready."""
        layout, name = self.layout(inputs), program_name(inputs)
        model = self._model(layout, inputs)
        supervisor, port = Supervisor(layout), Ports(layout).get(name)
        supervisor.ensure()
        try:
            supervisor.set_program(_program(layout, name, model, port, inputs))
            supervisor.wait_ready(ready_url(inputs["endpoint"], port), READY_SECONDS, name)
        except MlinfraError:
            # what the state does not know of must not go on trying
            supervisor.remove_program(name)
            Ports(layout).release(name)
            raise
        return name, {"port": port}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Gone is what the supervisor does not run, and what it starts in vain because the model was changed."""
        layout = self.layout(inputs)
        state, port = Supervisor(layout).status().get(id_), Ports(layout).kept().get(id_)
        if state is None or not (state.running or state.state == "BACKOFF"):
            return None
        ready = port is not None and answers(ready_url(inputs["endpoint"], port))
        if not ready and not _is_whole(_model_folder(layout, inputs), inputs["artifact"]):
            return None
        return Found(inputs, {"port": port})

    def delete(self, id_: str, inputs: Properties) -> None:
        """End the process after what is in flight, and give its port back."""
        layout = self.layout(inputs)
        supervisor = Supervisor(layout)
        supervisor.remove_program(id_)
        Ports(layout).release(id_)
        prefix = f"server/{inputs['endpoint']}/{inputs['release']}-"
        if not any(name.startswith(prefix) for name in supervisor.status()):
            shutil.rmtree(_model_folder(layout, inputs), ignore_errors=True)

    def _model(self, layout: Layout, inputs: Properties) -> Path:
        folder, store = _model_folder(layout, inputs), self.artifacts(inputs)
        try:
            return store.get_tree(inputs["artifact"], folder)
        except Refused:
            if not folder.exists():
                raise
            shutil.rmtree(folder)  # a copy that was changed; the store's own is checked as it comes
            return store.get_tree(inputs["artifact"], folder)


def program_name(inputs: Properties) -> str:
    """Return the supervisor's name of a server: endpoint, release, and what else makes it what it is."""
    kind = short(digest_json({key: inputs.get(key) for key in sorted(Server.immutable)}))[:6]
    return f"server/{inputs['endpoint']}/{inputs['release']}-{kind}"


def ready_url(endpoint: str, port: int) -> str:
    """Return the address that answers 200 when the model is loaded and has predicted once."""
    return f"http://{HOST}:{port}{ready_path(endpoint)}"


def ready_path(endpoint: str) -> str:
    """Return what `ready_url` asks of the server."""
    return f"/v2/models/{endpoint}/ready"


def _model_folder(layout: Layout, inputs: Properties) -> Path:
    return layout.endpoint(inputs["endpoint"]) / "models" / str(inputs["release"])


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        check_tree(folder, digest)
    except MlinfraError:
        return False
    return True


def _program(layout: Layout, name: str, model: Path, port: int, inputs: Properties) -> Program:
    command = [
        sys.executable, "-m", "mlinfra_serving",
        "--name", inputs["endpoint"],
        "--runtime", inputs["runtime"],
        "--model-dir", str(model),
        "--model-digest", inputs["artifact"],
        "--release", inputs["release"],
        "--host", HOST,
        "--port", str(port),
    ]  # fmt: skip
    if inputs["capturePercent"]:
        folder = layout.capture(inputs["endpoint"])
        command += ["--capture-dir", str(folder), "--capture-percent", str(inputs["capturePercent"])]
    kibibytes = int(inputs["memoryGib"] * _KIBIBYTES_OF_A_GIBIBYTE)
    return Program(
        name=name,
        # data, not address space: libraries reserve far more addresses than they use memory
        command=("/bin/sh", "-c", 'ulimit -d "$0" && exec "$@"', str(kibibytes), *command),
        directory=layout.repository,
        log=layout.log(name),
        environment={"OMP_NUM_THREADS": str(inputs["cpus"]), "PYTHONUNBUFFERED": "1"},
        stop_seconds=STOP_SECONDS,
    )
