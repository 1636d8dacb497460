"""What Envoy's access log and the captured requests say of an endpoint's releases.

A release that only gets copies of requests answers nobody: neither latency nor errors are known of it, but its
predictions and its drift are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psutil

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.check import LABELLED
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.files import read_kept
from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.local.access_log import Seen, read_access_log
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.supervisor import Supervisor

DRIFT_ROWS = 50_000
"""Rows that drift is measured on, evenly spaced: more would tell no more, and take longer than a gate may."""

SATURATION_SECONDS = 0.25


def samples(layout: Layout, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
    """Return what was measured of an endpoint's releases from `since` to `until`, the end not included.

    Drift, saturation and quality take time: they are measured when a gate of the endpoint asks for them.
    """
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    name = physical_name(endpoint)
    asked = {gate.metric for gate in endpoint.rollout.gates}
    traffic = read_kept(layout.traffic(name))
    if traffic is None:
        return NoData(f"{endpoint.name} serves nothing yet")
    try:
        log = read_access_log(layout.access_log(name), traffic, since, until)
    except FileNotFoundError:
        return NoData(f"there is no access log of {endpoint.name} yet")
    releases = sorted({*traffic["upstreams"], *log.releases})
    busy = _saturations(layout, name, releases, endpoint.compute.cpus) if "saturation" in asked else {}
    quality, drift = not asked.isdisjoint(LABELLED), "drifted_columns" in asked
    labels = _labels(layout, name) if quality else None
    found = {}
    for release in releases:
        seen = log.releases.get(release, Seen())
        more: dict[str, Any] = {}
        if quality or drift:
            from mlinfra_providers.local.captured import captured

            copies = bool(traffic["mirror"].get(release)) and not traffic["weights"].get(release)
            rows = captured(layout, name, release, since, until, mirrored=copies, inputs=drift)
            more = _labelled(rows, labels) if quality else {}
            more["drifted_columns"] = _drifted(layout, name, release, rows) if drift else None
        found[release] = ReleaseSamples(
            requests=seen.requests,
            errors=seen.errors,
            latencies_ms=seen.latencies_ms,
            saturation=busy.get(release),
            **more,
        )
    return Samples(log.start, until, found)


def add_labels(layout: Layout, endpoint: str, labels: Mapping[str, float]) -> int:
    """Keep what was true in the end, by request id; return how many were not known before. The last one counts."""
    from mlinfra_providers.local import captured

    return captured.add_labels(layout, endpoint, labels)


def _labels(layout: Layout, endpoint: str) -> Any:
    from mlinfra_providers.local.captured import read_labels

    try:
        return read_labels(layout, endpoint)
    except MlinfraError:
        return None  # who adds the next ones is told; the other gates must be answered meanwhile


def _labelled(rows: Any, labels: Any) -> dict[str, Any]:
    from mlinfra_providers.local.captured import labelled

    if labels is None:
        return {"labelled_of": rows.num_rows}
    predictions, true, possible = labelled(rows, labels)
    return {"predictions": predictions, "labels": true, "labelled_of": possible}


def _drifted(layout: Layout, endpoint: str, release: str, rows: Any) -> int | None:
    """Return how many columns are over their threshold, or None: no monitor, no baseline here, or too few rows."""
    monitors = [
        (folder, schedule)
        for folder in layout.monitors.glob("*")
        if (schedule := read_kept(folder / "schedule.json")) and schedule["endpoint"] == endpoint
    ]
    verdicts: list[str] = []
    for folder, schedule in monitors:
        baseline = folder / "baselines" / release
        if not schedule["thresholds"] or not baseline.is_dir():
            continue
        from mlinfra_providers.local.captured import frame_of
        from mlinfra_serving.drift import compare, parse_thresholds, read_baseline

        try:
            result = compare(
                read_baseline(baseline), frame_of(rows, DRIFT_ROWS), parse_thresholds(schedule["thresholds"])
            )
        except MlinfraError:
            verdicts.append("no data")  # the drift job itself says what is wrong with its baseline
            continue
        verdicts += [column.verdict for column in result.columns if column.verdict is not None]
    drifted = verdicts.count("drift")
    return drifted if drifted or (verdicts and "no data" not in verdicts) else None


def _saturations(layout: Layout, endpoint: str, releases: Sequence[str], cpus: float) -> dict[str, float]:
    """Return the share of its CPUs that each release's server uses, looked at for a moment."""
    servers = _servers(layout, endpoint, releases)
    before = {release: used for release, pid in servers.items() if (used := _cpu_seconds(pid)) is not None}
    started = time.monotonic()
    time.sleep(SATURATION_SECONDS)
    found = {}
    for release, earlier in before.items():
        now = _cpu_seconds(servers[release])
        if now is not None:
            found[release] = max(now - earlier, 0.0) / (time.monotonic() - started) / cpus
    return found


def _servers(layout: Layout, endpoint: str, releases: Sequence[str]) -> dict[str, int]:
    """Return the process of each release's server; none where the supervisor does not answer."""
    try:
        states = Supervisor(layout).status()
    except MlinfraError:
        return {}
    found: dict[str, int] = {}
    for name, state in states.items():
        owner, _, server = name.rpartition("/")
        release = server.partition("-")[0]
        if owner == f"server/{endpoint}" and release in releases and state.pid is not None:
            found[release] = state.pid
    return found


def _cpu_seconds(pid: int) -> float | None:
    """Return the CPU time that a process and its children have used; None when it is gone."""
    try:
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.Error:
        return None
    return float(sum(each.user + each.system for each in times))
