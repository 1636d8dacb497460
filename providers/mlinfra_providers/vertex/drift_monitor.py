"""DriftMonitor: a custom job of the serving image that Cloud Scheduler starts, with mlinfra's own measures.

https://cloud.google.com/scheduler/docs/http-target-auth: a call of a Google API, under the monitor's own account, which
may create custom jobs and nothing else in the project.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp.monitoring import AlertPolicyAlertStrategyArgs as Strategy
from pulumi_gcp.monitoring import AlertPolicyAlertStrategyNotificationRateLimitArgs as RateLimit
from pulumi_gcp.monitoring import AlertPolicyConditionArgs as Condition
from pulumi_gcp.monitoring import AlertPolicyConditionConditionMatchedLogArgs as MatchedLog

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.releases import Release
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.machines import machine, machine_spec
from mlinfra_providers.vertex.naming import (
    ROLE_LIMIT,
    account_email,
    location,
    name,
    options,
    physical_name,
)
from mlinfra_providers.vertex.native_monitor import declare_native
from mlinfra_providers.vertex.roles import account, member
from mlinfra_providers.vertex.schedules import cron
from mlinfra_providers.vertex.storage import capture_table, data_uri, dataset_id, mounted, tree_uri
from mlinfra_providers.vertex.training_job import custom_job

NEED = Compute(cpus=2, memory_gib=8)
RUN_SECONDS = 1800
DRIFTED = "mlinfra: drift"
"""What the job writes to its log when a column is over its threshold."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the account, the schedule and the alarm; the last two when a release serves."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    environment, endpoint = links.environment, links.of(monitor.endpoint)
    release = endpoint["release"]
    reports = data_uri(environment, "monitors", physical_name(monitor))
    baselines = [tree_uri(environment, release.identity.baseline)] if release else []
    granted = account(part, links, "monitor", reads=baselines, writes=[reports])
    granted += _grants(part, links, granted[0])
    if release is None:
        return links.giving(part)
    called = name(environment.name, monitor)
    job = custom_job(
        part,
        links,
        called,
        purpose="monitor",
        container=_container(monitor, links, release, reports, called),
        machine=machine_spec(machine(NEED)),
        limit=RUN_SECONDS,
        output=reports,
    )
    schedule = gcp.cloudscheduler.Job(
        monitor.name,
        name=called,
        project=environment.account,
        region=environment.region,
        description=f"mlinfra: {part.stack}",
        schedule=cron(monitor.every),
        time_zone="Etc/UTC",
        attempt_deadline="180s",
        retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=3),
        http_target=gcp.cloudscheduler.JobHttpTargetArgs(
            http_method="POST",
            uri=f"https://{environment.region}-aiplatform.googleapis.com/v1/{location(environment)}/customJobs",
            headers={"Content-Type": "application/json"},
            body=base64.b64encode(json.dumps(job, sort_keys=True).encode()).decode(),
            oauth_token=gcp.cloudscheduler.JobHttpTargetOauthTokenArgs(
                service_account_email=account_email(environment, monitor, "monitor"),
                scope="https://www.googleapis.com/auth/cloud-platform",
            ),
        ),
        opts=options(links, depends_on=[*granted, *links.around.made, endpoint["resource"]]),
    )
    channels = _channels(part, links, called)
    _alarm(part, links, called, channels)
    if monitor.native:
        declare_native(part, links, called, channels)
    return links.giving(part, resource=schedule)


def _container(monitor: DriftMonitor, links: Links, release: Release, reports: str, called: str) -> dict[str, Any]:
    images = links.environment.images
    assert images is not None
    settings = {
        "MLINFRA_DRIFT_MONITOR": called,
        "MLINFRA_DRIFT_RELEASE": release.short,
        "MLINFRA_DRIFT_ENDPOINT": links.of(monitor.endpoint)["name"],
        "MLINFRA_DRIFT_CAPTURED": f"bq://{capture_table(links.environment, monitor.endpoint)}",
        "MLINFRA_DRIFT_BASELINE": mounted(tree_uri(links.environment, release.identity.baseline)),
        "MLINFRA_DRIFT_OUTPUT": mounted(reports),
        "MLINFRA_DRIFT_WINDOW": monitor.every,
        "MLINFRA_DRIFT_ON_DRIFT": monitor.on_drift,
        "MLINFRA_DRIFT_THRESHOLDS": json.dumps(
            {column: check.spec() for column, check in sorted(monitor.thresholds.items())}, sort_keys=True
        ),
    }
    return {
        "imageUri": images.serving,
        "command": ["python", "-m", "mlinfra_serving.drift.vertex"],
        "env": [{"name": key, "value": value} for key, value in settings.items()],
    }


def _grants(part: ResolvedPart, links: Links, owner: pulumi.Resource) -> list[pulumi.Resource]:
    """Let the account read what was captured, ask BigQuery, and start jobs under its own name."""
    environment = links.environment
    label, who = f"{part.part.name}-monitor", member(part, links, "monitor")
    role_id = name(environment.name, part.part, "starts", limit=ROLE_LIMIT, separator="_")
    starts = gcp.projects.IAMCustomRole(
        f"{label}-starts",
        role_id=role_id,
        project=environment.account,
        title=f"mlinfra: start jobs of {physical_name(part.part)}"[:100],
        permissions=["aiplatform.customJobs.create", "bigquery.jobs.create"],
        opts=options(links),
    )
    needed = options(links, depends_on=[owner, starts, *links.around.made])
    return [
        gcp.projects.IAMMember(
            f"{label}-starts",
            project=environment.account or "",
            role=f"projects/{environment.account}/roles/{role_id}",
            member=who,
            opts=needed,
        ),
        gcp.bigquery.DatasetIamMember(
            f"{label}-reads",
            project=environment.account,
            dataset_id=dataset_id(environment, "capture"),
            role="roles/bigquery.dataViewer",
            member=who,
            opts=needed,
        ),
        gcp.serviceaccount.IAMMember(
            f"{label}-acts",
            service_account_id=(
                f"projects/{environment.account}/serviceAccounts/{account_email(environment, part.part, 'monitor')}"
            ),
            role="roles/iam.serviceAccountUser",
            member=who,
            opts=needed,
        ),
    ]


def _channels(part: ResolvedPart, links: Links, called: str) -> list[pulumi.Input[str]]:
    """Return who is told of drift: with `webhook`, the environment's URL, too."""
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    if monitor.on_drift != "webhook":
        return [links.around.channel]
    hook = gcp.monitoring.NotificationChannel(
        f"{monitor.name}-webhook",
        project=environment.account,
        display_name=called,
        type="webhook_tokenauth",
        labels={"url": environment.webhook or ""},
        user_labels=as_labels(tags_of(environment, part)),
        opts=options(links),
    )
    return [links.around.channel, hook.name]


def _alarm(part: ResolvedPart, links: Links, called: str, channels: list[pulumi.Input[str]]) -> None:
    """Register the alarm: the job has written that it found drift."""
    monitor, environment = part.part, links.environment
    gcp.monitoring.AlertPolicy(
        f"{monitor.name}-drift",
        project=environment.account,
        display_name=name(environment.name, monitor, "drift", limit=512),
        combiner="OR",
        severity="WARNING",
        conditions=[
            Condition(
                display_name="a column is over its threshold",
                condition_matched_log=MatchedLog(
                    filter=f'resource.type="ml_job" AND labels."compute.googleapis.com/resource_name":* '
                    f'AND "{DRIFTED}" AND "{called}"'
                ),
            )
        ],
        alert_strategy=Strategy(notification_rate_limit=RateLimit(period="3600s"), auto_close="86400s"),
        notification_channels=channels,
        user_labels=as_labels(tags_of(environment, part)),
        opts=options(links),
    )
