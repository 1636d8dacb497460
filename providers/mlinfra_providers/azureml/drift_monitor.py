"""DriftMonitor: a schedule that starts a command job of the serving image, on what servers brought to the store.

https://learn.microsoft.com/azure/machine-learning/how-to-schedule-pipeline-job. Azure ML's own monitors lack most of
the measures (REST models: NumericalDataDriftMetric), and write none that a gate could read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import managedidentity
from pulumi_azure_native import monitor as alerts

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.releases import Release
from mlinfra_providers.azureml.machines import machine
from mlinfra_providers.azureml.naming import identity_id, name, options, where
from mlinfra_providers.azureml.places import Place, captured, datastore, reports, tree
from mlinfra_providers.azureml.roles import identity
from mlinfra_providers.azureml.schedules import START, iso, recurrence
from mlinfra_providers.azureml.training_job import cluster_id, make_cluster
from mlinfra_providers.azureml.workspace import environment_id
from mlinfra_providers.remote.shipped import shipped_url
from mlinfra_providers.tags import tags_of

NEED = Compute(cpus=2, memory_gib=8)
RUN_SECONDS = 1800
DRIFTED = "mlinfra: drift"
"""What the job writes to its log when a column is over its threshold."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register identity and cluster; and, when a release serves, the schedule and the alarm."""
    monitor = part.part
    assert isinstance(monitor, DriftMonitor)
    environment, endpoint = links.environment, links.of(monitor.endpoint)
    release: Release | None = endpoint["release"]
    found = reports(environment, monitor)
    baselines = [tree(environment, release.identity.baseline)] if release else []
    read = [captured(environment, monitor.endpoint), *baselines]
    owner, granted = identity(part, links, "monitor", reads=read, writes=[found])
    cluster = make_cluster(part, links, "monitor", machine(NEED), granted, spot=False)
    if release is None:
        return links.giving(part)
    schedule = _schedule(part, links, release, found, owner, [cluster, endpoint["resource"]])
    _alarm(part, links)
    return links.giving(part, resource=schedule)


def _schedule(
    part: ResolvedPart,
    links: Links,
    release: Release,
    written: Place,
    owner: managedidentity.UserAssignedIdentity,
    depends_on: list[pulumi.Resource],
) -> ml.Schedule:
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    called, found = name(environment.name, monitor), recurrence(monitor.every)
    frequency, interval = found or ("Hour", 1)
    told = _settings(monitor, links, release)
    return ml.Schedule(
        monitor.name,
        name=called,
        properties=ml.SchedulePropertiesArgs(
            display_name=called,
            description=f"mlinfra: {monitor.key} of {part.stack}",
            is_enabled=True,
            trigger=ml.RecurrenceTriggerArgs(
                trigger_type="Recurrence", frequency=frequency, interval=interval, start_time=START, time_zone="UTC"
            ),
            action=ml.JobScheduleActionArgs(
                action_type="CreateJob",
                job_definition=ml.CommandJobArgs(
                    job_type="Command",
                    display_name=called,
                    experiment_name=called,
                    command=_command(told),
                    compute_id=cluster_id(environment, monitor, "monitor"),
                    environment_id=environment_id(environment, "serving"),
                    environment_variables={
                        # the store is asked under the job's identity, as the server asks it
                        "AZURE_CLIENT_ID": owner.client_id,
                        "AZURE_STORAGE_ANON": "false",
                        **{_variable(key): value for key, value in told.items()},
                    },
                    identity=ml.ManagedIdentityArgs(
                        identity_type="Managed", resource_id=identity_id(environment, monitor, "monitor")
                    ),
                    inputs={
                        "baseline": ml.UriFolderJobInputArgs(
                            job_input_type="uri_folder",
                            uri=datastore(environment, tree(environment, release.identity.baseline)),
                            mode="ReadOnlyMount",
                        )
                    },
                    outputs={
                        "reports": ml.UriFolderJobOutputArgs(
                            job_output_type="uri_folder", uri=datastore(environment, written), mode="ReadWriteMount"
                        )
                    },
                    limits=ml.CommandJobLimitsArgs(job_limits_type="Command", timeout=iso(RUN_SECONDS)),
                    resources=ml.JobResourceConfigurationArgs(instance_count=1),
                    tags=tags_of(environment, part),
                ),
            ),
            tags=tags_of(environment, part),
        ),
        opts=options(links, depends_on=[*depends_on, *links.around.made]),
        **where(links),
    )


def _settings(monitor: DriftMonitor, links: Links, release: Release) -> dict[str, str]:
    thresholds = {column: check.spec() for column, check in monitor.thresholds.items()}
    return {
        "release": release.short,
        "endpoint": links.of(monitor.endpoint)["name"],
        "capture": shipped_url(links.environment, monitor.endpoint),
        "window": monitor.every,
        # the alarm on a failed run posts to the webhook
        "on-drift": monitor.on_drift.replace("webhook", "log"),
        "thresholds": json.dumps(thresholds, sort_keys=True),
    }


def _command(told: Mapping[str, str]) -> str:
    """Return the command. What was captured is no input: a folder that is not there yet cannot be mounted."""
    options = {
        "baseline": "${{inputs.baseline}}",
        "output": "${{outputs.reports}}",
        **{key: f'"${_variable(key)}"' for key in told},
    }
    return " ".join(["python -m mlinfra_serving.drift.scheduled", *(f"--{key}={it}" for key, it in options.items())])


def _variable(option: str) -> str:
    return f"MLINFRA_DRIFT_{option.upper().replace('-', '_')}"


def _alarm(part: ResolvedPart, links: Links) -> None:
    """Register the alarm: a run of the job has failed, because it found drift or could not look for it.

    With `webhook` the environment's URL is told, too. The workspace's diagnostic setting brings the lines
    (https://learn.microsoft.com/azure/azure-monitor/reference/tables/amlcomputejobevent).
    """
    monitor, environment = part.part, links.environment
    assert isinstance(monitor, DriftMonitor)
    group, tags = environment.resource_group or "", tags_of(environment, part)
    told: list[pulumi.Input[str]] = [links.around.alarms]
    if monitor.on_drift == "webhook":
        hook = alerts.ActionGroup(
            f"{monitor.name}-webhook",
            action_group_name=name(environment.name, monitor, "webhook", limit=255),
            group_short_name="drift",
            resource_group_name=group,
            location="global",
            enabled=True,
            webhook_receivers=[
                alerts.WebhookReceiverArgs(
                    name="webhook", service_uri=environment.webhook or "", use_common_alert_schema=True
                )
            ],
            tags=tags,
            opts=options(links),
        )
        told.append(hook.id)
    called = name(environment.name, monitor, "drift", limit=255)
    experiment = name(environment.name, monitor)
    alerts.ScheduledQueryRule(
        f"{monitor.name}-drift",
        rule_name=called,
        resource_group_name=group,
        location=environment.region,
        kind="LogAlert",
        display_name=called,
        description=f"mlinfra: {monitor.key} of {part.stack} found drift",
        enabled=True,
        severity=2,
        scopes=[links.around.logs],
        evaluation_frequency="PT15M",
        window_size="PT15M",
        skip_query_validation=True,
        criteria=alerts.ScheduledQueryRuleCriteriaArgs(
            all_of=[
                alerts.ConditionArgs(
                    query=(f'AmlComputeJobEvent | where ExperimentName == "{experiment}" and EventType == "JobFailed"'),
                    time_aggregation="Count",
                    operator="GreaterThan",
                    threshold=0,
                    failing_periods=alerts.ConditionFailingPeriodsArgs(
                        min_failing_periods_to_alert=1, number_of_evaluation_periods=1
                    ),
                )
            ]
        ),
        actions=alerts.ActionsArgs(action_groups=told),
        tags=tags,
        opts=options(links),
    )
