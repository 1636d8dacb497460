"""DriftMonitor: the drift job of the serving image as a CronJob, and an alert when a run fails.

A run that finds drift fails, and stays to be looked at; its report lies in the endpoint's claim.
"""

from __future__ import annotations

import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.releases import Release
from mlinfra_providers.kubernetes.around import account, name_in_state
from mlinfra_providers.kubernetes.cron import cron
from mlinfra_providers.kubernetes.endpoint import CAPTURE, claim_name
from mlinfra_providers.kubernetes.labelled import COMPONENT, CRON_LIMIT, name
from mlinfra_providers.kubernetes.naming import labels, metadata, options, told
from mlinfra_providers.kubernetes.network import ARTIFACTS, holding, part_policy
from mlinfra_providers.kubernetes.pods import (
    SCRATCH,
    bring,
    container_security,
    empty,
    mount,
    pod_security,
    resources,
    scratch,
)
from mlinfra_providers.kubernetes.watching import MONITORING_API, rule

NEED = Compute(cpus=1, memory_gib=4)
BASELINE, REPORTS = "/mlinfra/baseline", "/mlinfra/reports"
RUN_SECONDS = 1800
KEPT_RUNS = 3


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the identity; when a release serves, the job on its schedule, and who is told of drift."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    release: Release | None = links.of(monitor.endpoint)["release"]
    owner = account(part, links, "drift")
    called = name(monitor, "drift", limit=CRON_LIMIT)
    selected = {COMPONENT: called}
    part_policy(part, links, name_in_state(part, "drift"), selected, to=[holding(ARTIFACTS)])
    if release is None:
        return links.giving(part)
    job = k8s.batch.v1.CronJob(
        monitor.name,
        metadata=metadata(part, links, called),
        spec=k8s.batch.v1.CronJobSpecArgs(
            schedule=cron(monitor.every) or "",
            time_zone="Etc/UTC",
            concurrency_policy="Forbid",
            starting_deadline_seconds=RUN_SECONDS,
            successful_jobs_history_limit=KEPT_RUNS,
            failed_jobs_history_limit=KEPT_RUNS,
            job_template=k8s.batch.v1.JobTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels(links.environment, part), **selected}),
                spec=k8s.batch.v1.JobSpecArgs(
                    active_deadline_seconds=RUN_SECONDS,
                    backoff_limit=0,
                    template=k8s.core.v1.PodTemplateSpecArgs(
                        metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels(links.environment, part), **selected}),
                        spec=_pod(part, links, release, owner),
                    ),
                ),
            ),
        ),
        opts=options(links, depends_on=[links.of(monitor.endpoint)["resource"]]),
    )
    _tell(part, links, called)
    return links.giving(part, resource=job)


def _pod(part: ResolvedPart, links: Links, release: Release, owner: str) -> k8s.core.v1.PodSpecArgs:
    monitor, images = part.part, links.environment.images
    assert isinstance(monitor, DriftMonitor)
    assert images is not None
    claimed = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name(monitor.endpoint))
    thresholds = {column: check.spec() for column, check in monitor.thresholds.items()}
    options_of_job = {
        "endpoint": links.of(monitor.endpoint)["name"],
        "baseline": BASELINE,
        "capture": CAPTURE,
        "release": release.short,
        "thresholds": told(thresholds),
        "window": monitor.every,
        "output": REPORTS,
        "on-drift": monitor.on_drift,
    }
    return k8s.core.v1.PodSpecArgs(
        restart_policy="Never",
        service_account_name=owner,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security(),
        init_containers=[bring(links, images.serving, "baseline", release.identity.baseline, BASELINE)],
        containers=[
            k8s.core.v1.ContainerArgs(
                name="drift",
                image=images.serving,
                command=["python", "-m", "mlinfra_serving.drift.scheduled"],
                args=[f"--{key}={value}" for key, value in options_of_job.items()],
                resources=resources(NEED),
                security_context=container_security(),
                volume_mounts=[
                    mount("baseline", BASELINE, read_only=True),
                    mount("data", CAPTURE, inside="capture", read_only=True),
                    mount("data", REPORTS, inside=f"reports/{name(monitor)}"),
                    scratch(),
                ],
            )
        ],
        volumes=[
            empty("baseline", 2),
            empty(SCRATCH, 2),
            k8s.core.v1.VolumeArgs(name="data", persistent_volume_claim=claimed),
        ],
    )


def _tell(part: ResolvedPart, links: Links, called: str) -> None:
    """Register who is told of a run that failed: it found drift, or could not look for it (kube-state-metrics)."""
    series = f'kube_job_status_failed{{namespace="{links.around.namespace}",job_name=~"{called}-[0-9]+"}}'
    k8s.apiextensions.CustomResource(
        name_in_state(part, "drift"),
        api_version=MONITORING_API,
        kind="PrometheusRule",
        metadata=metadata(part, links, called),
        spec={
            "groups": [{"name": f"mlinfra.{called}", "rules": [rule(part, "MlinfraDrift", f"max({series}) > 0", "1m")]}]
        },
        opts=options(links),
    )
