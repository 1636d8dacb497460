"""The running side of the local target: what is asked and done outside the engine."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlinfra.adapters import Ingested, ResolvedPart, Run, ServedRelease, Serving
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.files import read_json
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra.rollout.record import Phase, RolloutRecord
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.local import samples, training_runs
from mlinfra_providers.local.ingest import ingest
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.ports import HOST
from mlinfra_providers.local.resources.drift_schedule import baseline_folder, job_command
from mlinfra_providers.local.resources.server import ready_path
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Observed, Traffic, Upstream
from mlinfra_providers.local.unrecorded import end_unrecorded

ARTIFACT_HEADER = "x-mlinfra-artifact"
DRIFT_SECONDS = 600
_JOB_FAILED = 2
_ALL = 100


class LocalService:
    """Asks Envoy, the supervisor and the files on disk."""

    def __init__(self, environment: Environment, repository: Path) -> None:
        self._environment = environment
        self._layout = Layout(repository, environment.name)

    def observe(self, endpoint: str) -> Serving:
        """Return the split that Envoy has in force, and the state of each release's server."""
        router = Router(self._layout, endpoint)
        observed = router.observe()
        states = Supervisor(self._layout).failures() if observed.running else {}
        return Serving(
            endpoint=endpoint,
            url=f"http://{HOST}:{router.port}" if observed.running else None,
            releases=[
                self._served(endpoint, release, upstream, observed, states)
                for release, upstream in sorted(observed.upstreams.items())
            ],
            generation=observed.generation,
            rollout=_record(router.traffic()),
        )

    def _served(
        self, endpoint: str, release: str, upstream: Upstream, observed: Observed, failures: Mapping[str, str]
    ) -> ServedRelease:
        failure = next(
            (text for name, text in failures.items() if name.startswith(f"server/{endpoint}/{release}-")), None
        )
        health = _ask(upstream.port, endpoint)
        return ServedRelease(
            release=release,
            weight=observed.weights.get(release, 0),
            healthy=health is not None and upstream.healthy,
            artifact=health,
            replicas=0 if health is None else 1,
            address=f"{HOST}:{upstream.port}",
            last_failure=failure,
        )

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Rename one file: no request that is sent after this returns sees the old split.

        A release that is being rolled out stands in for nobody: it never answers more than its share.

        Raises:
            Refused: the generation is not newer.
            MlinfraError: a release has no server, or Envoy does not run.
        """
        router = Router(self._layout, endpoint)
        known = router.traffic() or Traffic(0)
        missing = sorted(set(weights) - set(known.upstreams))
        if missing:
            raise MlinfraError(f"{endpoint}: no server for {', '.join(missing)}", remedy="mlinfra up deploys it beside")
        kept = rollout or _record(known)
        trial, proved = _trial(kept), known.serving if rollout is None else _proved(rollout)
        router.apply(
            Traffic(
                generation,
                dict(weights),
                known.upstreams,
                mirror=dict(mirror or {}),
                standby=(proved & frozenset(known.upstreams)) - frozenset(weights),
                release=known.release,
                trial=trial if weights.get(trial or "", 0) < _ALL else None,
                rollout=kept.to_json() if kept else None,
            )
        )
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what Envoy and capture have of an endpoint's releases in a window."""
        return samples.samples(self._layout, part, since, until)

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep what was true in the end, by request id; return how many were not known before."""
        return samples.add_labels(self._layout, endpoint, labels)

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Start the supervisor again after a reboot (every process starts with it); end what no state knows of."""
        ended = [f"ended {name}: a run was killed while it made it" for name in end_unrecorded(self._layout, recorded)]
        supervisor = Supervisor(self._layout)
        if not self._layout.supervisor_wanted.exists() or supervisor.running():
            return ended
        supervisor.ensure()
        return [*ended, f"the processes of {self._environment.name} were not running: started again"]

    def empty(self, recorded: Resources) -> None:
        """Do nothing: folders go with what is in them."""

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """End every process, and say what stays on disk; with `destroy_data` nothing does."""
        Supervisor(self._layout).stop()
        if destroy_data:
            shutil.rmtree(self._layout.folder, ignore_errors=True)
            return []
        kept = {
            "feature stores": self._layout.features,
            "registered models": self._layout.registry,
            "training runs": self._layout.runs,
            "captured requests": self._layout.endpoints,
            "drift reports": self._layout.monitors,
        }
        return [f"{what}: {folder}" for what, folder in kept.items() if folder.exists()]

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run a job, or adopt the finished run with the same inputs."""
        return training_runs.train(self._layout, self._environment, part, again=again, say=say)

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Read a feature store's source again, where its rows are old; its resource wrote them the first time."""
        return ingest(self._layout, self._environment, part)

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Return the log files of a part, oldest first."""
        name = physical_name(part.part)
        if isinstance(part.part, Endpoint):
            found = [self._layout.log(f"router/{name}"), *self._layout.logs.glob(f"server/{name}/*.log")]
        elif isinstance(part.part, DriftMonitor):
            found = [self._layout.log(f"drift/{name}")]
        elif isinstance(part.part, TrainingJob):
            found = training_runs.logs(self._layout, name)
        else:
            found = []
        return sorted((path for path in found if path.exists()), key=lambda path: path.stat().st_mtime)

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Run the drift job on one window now; returns what it wrote.

        Raises:
            MlinfraError: nothing is deployed yet, or the job failed.
        """
        name = physical_name(part.part)
        folder = self._layout.monitor(name)
        schedule = read_json(folder / "schedule.json")
        if schedule is None or not schedule.get("baseline"):
            raise MlinfraError(
                f"{name}: there is no release to compare with yet", remedy=f"mlinfra up {self._environment.name}"
            )
        command = job_command(self._layout, schedule, baseline_folder(self._layout, schedule), ["--window", window])
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DRIFT_SECONDS)
        if done.returncode == _JOB_FAILED or done.returncode < 0:
            told = done.stderr[done.stderr.rfind("error: ") :].removeprefix("error: ").strip()
            message, _, remedy = (told or "the drift job failed").partition("→")
            raise MlinfraError(f"{name}: {message.strip()}", remedy=remedy.strip())
        result: dict[str, Any] = json.loads((folder / "latest.json").read_text())
        return result


def _record(traffic: Traffic | None) -> RolloutRecord | None:
    return RolloutRecord.model_validate(traffic.rollout) if traffic and traffic.rollout else None


def _trial(rollout: RolloutRecord | None) -> str | None:
    return rollout.release if rollout and rollout.phase in (Phase.SHADOW, Phase.STEP) else None


def _proved(rollout: RolloutRecord) -> frozenset[str]:
    """Return the release that stands in without having a weight: the one before, never one that failed."""
    failed = {failure.release for failure in rollout.failures}
    return frozenset({rollout.previous} if rollout.previous else ()) - failed


def _ask(port: int, endpoint: str) -> str | None:
    """Return the artifact that a server says it has loaded, or None when it does not answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)  # a proxy of this machine's is not asked
    try:
        connection.request("GET", ready_path(endpoint))
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer.headers.get(ARTIFACT_HEADER, "") if answer.status == http.client.OK else None
