"""What captured requests tell, wherever a target keeps them: quality and drift for gates, drift on demand."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from mlinfra.adapters import ResolvedPart, Serving
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.check import LABELLED
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.digests import short
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.releases import parse_release
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.remote.labels import Labels
from mlinfra_providers.remote.needs import CAPTURED, need

DRIFT_ROWS = 50_000
"""Rows that a gate's drift is measured on, evenly spaced: more would tell no more."""


class Captured(Protocol):
    """Where a target keeps what was asked and answered."""

    def bring(
        self, endpoint: Endpoint, release: str, since: datetime | None, until: datetime | None, folder: Path
    ) -> None:
        """Write what a release (its first 12 digits) answered from `since` to `until` (None: no limit) as the server
        captures it: `folder/<release>/date=YYYY-MM-DD/<any name>.parquet` with request_id, time, release, mirrored, the
        inputs and prediction. Files that are there already stay; more than the window is fine. Nothing is fine.

        Raises:
            MlinfraError: the target refuses, or was not reached.
        """
        ...


def measured(
    found: Samples | NoData,
    environment: Environment,
    repository: Path,
    part: ResolvedPart,
    captured: Captured,
    labels: Labels,
) -> Samples | NoData:
    """Return what a target measured of an endpoint's releases, and what their captured requests tell of them.

    They are brought only when a gate of the endpoint asks for quality or drift.
    """
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    asked = {gate.metric for gate in endpoint.rollout.gates}
    quality, drift = not asked.isdisjoint(LABELLED), "drifted_columns" in asked
    if isinstance(found, NoData) or not (quality or drift):
        return found
    need("a gate of quality or drift", *CAPTURED)
    from mlinfra_providers.local.captured import captured as rows_of

    layout, name = Layout(repository, environment.name), physical_name(endpoint)
    known = labels.table() if quality else None
    more: dict[str, ReleaseSamples] = {}
    for release, samples in found.releases.items():
        captured.bring(endpoint, release, found.start, found.end, layout.capture(name))
        rows = rows_of(layout, name, release, found.start, found.end, inputs=drift)
        if quality:
            samples = _labelled(samples, rows, known)
        if drift:
            samples = replace(samples, drifted_columns=_drifted(environment, layout, part, release, rows))
        more[release] = samples
    return replace(found, releases=more)


def drift(
    environment: Environment, repository: Path, part: ResolvedPart, window: str, captured: Captured, serving: Serving
) -> Mapping[str, Any]:
    """Measure a monitor's window here and now, on what the target captured; return the job's result.

    Reports are written where the local target writes them. `serving` is what the monitor's endpoint serves.

    Raises:
        MlinfraError: nothing serves, its baseline is in no store, or the captured requests cannot be brought.
    """
    need("measuring drift", *CAPTURED)
    from mlinfra_serving.drift.actions import parse_on_drift
    from mlinfra_serving.drift.capture import parse_window
    from mlinfra_serving.drift.job import Job, run
    from mlinfra_serving.drift.result import parse_thresholds

    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    release = max((item for item in serving.releases if item.weight), key=lambda item: item.weight, default=None)
    if release is None:
        raise MlinfraError(
            f"{monitor.name}: there is no release to compare with yet", remedy=f"mlinfra up {environment.name}"
        )
    layout, now = Layout(repository, environment.name), datetime.now(UTC)
    limits = parse_window(window, now)
    baseline = _baseline(environment, layout, part.stack, release.release)
    if baseline is None:
        raise MlinfraError(
            f"{monitor.name}: the release {release.release} is not in {environment.artifacts}",
            remedy="promote it again, or train it again: mlinfra train --retrain",
        )
    endpoint = physical_name(monitor.endpoint)
    capture = layout.capture(endpoint)
    captured.bring(monitor.endpoint, release.release, limits.start, limits.end, capture)
    output = layout.monitor(physical_name(monitor))
    with contextlib.redirect_stdout(io.StringIO()):  # its table is for who reads a job's log
        job = Job(
            endpoint=endpoint,
            baseline=baseline,
            capture=capture,
            release=release.release,
            thresholds=parse_thresholds({column: check.spec() for column, check in monitor.thresholds.items()}),
            window=window,
            output=output,
            on_drift=parse_on_drift(
                f"webhook:{environment.webhook}" if monitor.on_drift == "webhook" else monitor.on_drift
            ),
        )
        run(job, now)
    result: dict[str, Any] = json.loads((output / "latest.json").read_text())
    return result


def _labelled(samples: ReleaseSamples, rows: Any, labels: Any) -> ReleaseSamples:
    from mlinfra_providers.local.captured import labelled

    if labels is None:
        return replace(samples, labelled_of=rows.num_rows)
    predictions, true, possible = labelled(rows, labels)
    return replace(samples, predictions=predictions, labels=true, labelled_of=possible)


def _drifted(environment: Environment, layout: Layout, part: ResolvedPart, release: str, rows: Any) -> int | None:
    """Return how many columns are over their threshold, or None: no monitor, no baseline, or too few rows."""
    from mlinfra_providers.local.captured import frame_of
    from mlinfra_serving.drift import compare, parse_thresholds, read_baseline

    baseline = _baseline(environment, layout, part.stack, release)
    verdicts: list[str] = []
    for monitor in part.monitors if baseline is not None else ():
        assert isinstance(monitor, DriftMonitor)
        assert baseline is not None
        thresholds = parse_thresholds({column: check.spec() for column, check in monitor.thresholds.items()})
        try:
            result = compare(read_baseline(baseline), frame_of(rows, DRIFT_ROWS), thresholds)
        except MlinfraError:
            verdicts.append("no data")  # the drift job itself says what is wrong with its baseline
            continue
        verdicts += [column.verdict for column in result.columns if column.verdict is not None]
    drifted = verdicts.count("drift")
    return drifted if drifted or (verdicts and "no data" not in verdicts) else None


def _baseline(environment: Environment, layout: Layout, stack: str, release: str) -> Path | None:
    """Return the folder with the baseline of a release, fetched once; None where no store knows the release."""
    store = ArtifactStore(environment.artifacts or "")
    digest = next((found for found in store.releases(stack) if short(found) == release), None)
    if digest is None:
        return None
    baseline = parse_release(store.release(stack, digest), f"{store.url}/releases/{stack}").identity.baseline
    return store.get_tree(baseline, layout.folder / "baselines" / short(baseline))
