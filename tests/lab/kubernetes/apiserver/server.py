"""A running Kubernetes API server in a folder of its own: stores, defaults and validates; no controller runs.

Without controllers pods do not start, nothing is garbage collected, and a namespace is never finalized.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.free_port import free_port
from tests.lab.kubernetes.client import Answered, Cluster

TOKEN = "a-token-of-the-lab"
START_SECONDS = 300.0
DEFINITIONS = Path(__file__).parents[1] / "crds"
"""The real definitions of the operators; SOURCES.txt says from where."""


@dataclass(frozen=True)
class Server:
    """A running one; `environment` is what programs and tools need to talk to it."""

    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "127.0.0.1"}

    @property
    def cluster(self) -> Cluster:
        return Cluster.of(self.kubeconfig)

    def define(self, *names: str) -> None:
        """Add custom resource definitions by the names of their files, `serving.kserve.io_inferenceservices`."""
        cluster = self.cluster
        for name in names:
            text = (DEFINITIONS / f"{name}.yaml").read_bytes()
            group, _, plural = name.partition("_")
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}"
            cluster.send(
                "PATCH",
                path,
                text,
                kind="application/apply-patch+yaml",
                fieldManager="lab",
            )
        for name in names:
            group, _, plural = name.partition("_")
            cluster.wait_for(f"/apis/{group}", f"{plural}.{group}", START_SECONDS)


def _key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextmanager
def running(binaries: Path) -> Iterator[Server]:
    """Start etcd and the server in a new folder; stop them and remove the folder at the end."""
    work = Path(tempfile.mkdtemp(prefix="mlinfra-lab-"))
    clients, peers, port = free_port(), free_port(), free_port()
    store, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    _key(work / "accounts.pem")
    (work / "tokens.csv").write_text(f'{TOKEN},lab,lab,"system:masters"\n')
    commands = {
        "etcd": [
            "--data-dir", work / "etcd", "--listen-client-urls", store, "--advertise-client-urls", store,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync", "--log-level", "error", "--max-request-bytes", "8388608",
        ],
        "kube-apiserver": [
            "--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", port,
            "--cert-dir", work / "certificates", "--token-auth-file", work / "tokens.csv",
            "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
            "--service-account-issuer", f"https://127.0.0.1:{port}",
            "--service-account-key-file", work / "accounts.pem",
            "--service-account-signing-key-file", work / "accounts.pem",
            "--disable-admission-plugins", "ServiceAccount", "--advertise-address", "127.0.0.1",
        ],
    }  # fmt: skip
    processes = []
    try:
        for name, options in commands.items():
            with (work / f"{name}.log").open("wb") as log:
                command = [str(binaries / name), *map(str, options)]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=work))
        server = Server(_kubeconfig(work, port))
        _wait(server, processes, work)
        yield server
    finally:
        # not asked: it would wait ten seconds for watches that nobody holds
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(work, ignore_errors=True)


def _kubeconfig(work: Path, port: int) -> Path:
    path = work / "kubeconfig"
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(work / "certificates" / "apiserver.crt"),
    }
    described = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": TOKEN}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    path.write_text(json.dumps(described, indent=1))
    path.chmod(0o600)
    return path


def _wait(server: Server, processes: list[subprocess.Popen[bytes]], work: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        for process in processes:
            assert process.poll() is None, _said(work)
        try:
            if server.cluster.get("/readyz") is not None:
                return
        except (Answered, httpx.HTTPError, OSError):
            assert time.monotonic() < end, f"the API server did not start: {_said(work)}"
            time.sleep(0.1)


def _said(work: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(work.glob("*.log")))
