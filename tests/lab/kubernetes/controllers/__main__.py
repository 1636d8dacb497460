"""The controllers of the lab's cluster as one process: `python -m tests.lab.kubernetes.controllers KUBECONFIG FOLDER`.

It prints the ports at which it answers as one line of JSON, and ends with a signal, or with its parent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

import uvicorn

from tests.lab.kubernetes.client import Cluster
from tests.lab.kubernetes.controllers import keeping, operators, workloads
from tests.lab.kubernetes.controllers.feast import Feast
from tests.lab.kubernetes.controllers.front import Faults, Front
from tests.lab.kubernetes.controllers.gateway import Gateway
from tests.lab.kubernetes.controllers.kubelet import Kubelet
from tests.lab.kubernetes.controllers.prometheus import Prometheus
from tests.lab.kubernetes.controllers.world import World

PAUSE_SECONDS = 0.25
"""The longest time between two looks at everything."""
PORTS = ("api", "gateway", "prometheus", "feast", "lab")
CONTROLLERS = (
    keeping.namespaces,
    keeping.garbage,
    keeping.claims,
    keeping.quotas,
    operators.inference_services,
    operators.train_jobs,
    operators.gateways,
    workloads.cron_jobs,
    workloads.jobs,
    workloads.deployments,
)


def work(world: World, kubelet: Kubelet, feast: Feast, faults: Faults, ended: threading.Event) -> None:
    """Look at everything after each change, until the end."""
    parent = os.getppid()
    while not ended.is_set():
        world.changed.wait(PAUSE_SECONDS)
        world.changed.clear()
        for turn in (
            *CONTROLLERS,
            feast.databases,
            feast.stores,
            lambda known: keeping.fill(known, faults.left["quota"] > 0),
            lambda _: kubelet.turn(),
        ):
            try:
                turn(world)
            except Exception:  # noqa: BLE001  one controller that fails must not stop the others
                traceback.print_exc()
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.02)


def main() -> None:
    """Serve until a signal."""
    cluster, folder = Cluster.of(Path(sys.argv[1])), Path(sys.argv[2])
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    world, faults, ended = World(cluster), Faults(), threading.Event()
    kubelet, feast = Kubelet(world, folder), Feast(world)
    world.watch()
    prometheus = Prometheus(world, kubelet)
    first = {namespace["metadata"]["uid"] for namespace in world.all("namespaces")}

    def empty() -> None:
        for namespace in world.all("namespaces"):
            if namespace["metadata"]["uid"] not in first and namespace["metadata"]["name"] not in KEPT:
                world.delete("namespaces", namespace)

    front = Front(cluster, Gateway(world, kubelet), prometheus, feast, kubelet, faults, empty)
    sockets = []
    for name in PORTS:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        sockets.append(listening)
        front.ports[name] = int(listening.getsockname()[1])
    feast.address = f"127.0.0.1:{front.ports['feast']}"
    threading.Thread(target=work, args=(world, kubelet, feast, faults, ended), daemon=True).start()
    sys.stdout.write(json.dumps(front.ports) + "\n")
    sys.stdout.flush()
    server = uvicorn.Server(
        uvicorn.Config(front, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    try:
        asyncio.run(server.serve(sockets=sockets))
    finally:
        ended.set()
        kubelet.close()
        os._exit(0)


KEPT = ("kserve",)
"""Namespaces that are there before anybody comes."""

if __name__ == "__main__":
    main()
