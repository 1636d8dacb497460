"""What all parts of an environment share in its project: key, bucket, datasets, network, logs, alarms, budget.

What the environment names is taken as it is; what it does not name is made, private and encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi.output import UNKNOWN

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra.realize import Surroundings
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import as_labels, owner_of_all, tags_of
from mlinfra_providers.vertex.naming import NAME_LIMIT, online_store
from mlinfra_providers.vertex.network import Network, make_network
from mlinfra_providers.vertex.storage import KEPT_DAYS, make_bucket, make_dataset

WARNINGS = ((0.8, "CURRENT_SPEND"), (1.0, "FORECASTED_SPEND"))
"""At which share of the budget somebody is told."""
ROTATION = f"{90 * 24 * 3600}s"
MOST_NODES = 2
_DESTROYED_AFTER = f"{30 * 24 * 3600}s"
_ENCRYPTING = ("service-{}@gs-project-accounts", "bq-{}@bigquery-encryption", "service-{}@gcp-sa-pubsub")
"""The agents of Cloud Storage, BigQuery and Pub/Sub, by the project's number; each is there after the first use."""


@dataclass(frozen=True)
class Around:
    """What the parts get: `key` is the resource name of a key."""

    provider: gcp.Provider
    key: str
    network: Network
    channel: pulumi.Output[str]
    made: Sequence[pulumi.Resource]
    """What must be there before anything is written."""


def surround(parts: Sequence[ResolvedPart], links: Links) -> Links:
    """Register what the parts share."""
    environment = links.environment
    component = Surroundings(environment)
    labels = as_labels(tags_of(environment, owner=owner_of_all(parts)))
    provider = gcp.Provider(
        environment.name,
        project=environment.account,
        region=environment.region,
        opts=pulumi.ResourceOptions(parent=component),
    )
    opts = pulumi.ResourceOptions(parent=component, provider=provider)
    identity = gcp.projects.ServiceIdentity(
        f"{environment.name}-agent", project=environment.account, service="aiplatform.googleapis.com", opts=opts
    )
    key, encrypted = _key(environment, identity, labels, opts)
    ready = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=encrypted))
    made = [*encrypted, *make_bucket(environment, key, labels, ready)]
    stores = [part.part for part in parts if isinstance(part.part, FeatureStore)]
    if stores:
        made.append(make_dataset(environment, "features", key, labels, ready))
    if any(isinstance(part.part, Endpoint) and part.part.capture for part in parts):
        made.append(make_dataset(environment, "capture", key, labels, ready))
    if any(store.online for store in stores):
        made.append(_online_store(environment, key, labels, ready))
    network, joined = make_network(environment, identity.member, opts)
    channel, topic = _channel(environment, identity, key, labels, ready)
    _logs(environment, opts)
    _budget(environment, topic, labels, opts)
    around = Around(provider=provider, key=key, network=network, channel=channel, made=[*made, *joined])
    return replace(links, around=around)


def _key(
    environment: Environment,
    identity: gcp.projects.ServiceIdentity,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> tuple[str, list[pulumi.Resource]]:
    """Return the key's name, known before it is there, and what lets Google's agents use it.

    A ring is never deleted, and its name is taken for good: https://cloud.google.com/kms/docs/faq.
    """
    if environment.encryption is not None:
        return environment.encryption.key, []
    called = short_name(environment.name, "mlinfra", limit=NAME_LIMIT)
    protected = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True))
    ring = gcp.kms.KeyRing(
        f"{environment.name}-key",
        name=called,
        project=environment.account,
        location=environment.region or "",
        opts=protected,
    )
    key = gcp.kms.CryptoKey(
        f"{environment.name}-key",
        name=called,
        key_ring=ring.id,
        purpose="ENCRYPT_DECRYPT",
        rotation_period=ROTATION,
        destroy_scheduled_duration=_DESTROYED_AFTER,
        labels=labels,
        opts=protected,
    )
    members = {"vertex": identity.member} | {
        pattern.partition("@")[2]: _agent(identity, pattern) for pattern in _ENCRYPTING
    }
    users = [
        gcp.kms.CryptoKeyIAMMember(
            f"{environment.name}-{user}",
            crypto_key_id=key.id,
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=member,
            opts=opts,
        )
        for user, member in members.items()
    ]
    place = f"projects/{environment.account}/locations/{environment.region}"
    return f"{place}/keyRings/{called}/cryptoKeys/{called}", [key, *users]


def _agent(identity: gcp.projects.ServiceIdentity, pattern: str) -> pulumi.Output[str]:
    """Return an agent of a service of Google's: its address has the project's number, and so has the identity's."""

    def addressed(email: str | None) -> Any:
        found = re.search(r"service-(\d+)@", email or "")
        return f"serviceAccount:{pattern.format(found[1])}.iam.gserviceaccount.com" if found else UNKNOWN

    return identity.email.apply(addressed)


def _online_store(
    environment: Environment, key: str, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> gcp.vertex.AiFeatureOnlineStore:
    """Register the one online store, whose nodes all feature views of the environment share."""
    return gcp.vertex.AiFeatureOnlineStore(
        f"{environment.name}-features",
        name=online_store(environment.name),
        project=environment.account,
        region=environment.region,
        bigtable=gcp.vertex.AiFeatureOnlineStoreBigtableArgs(
            auto_scaling=gcp.vertex.AiFeatureOnlineStoreBigtableAutoScalingArgs(
                min_node_count=1, max_node_count=MOST_NODES, cpu_utilization_target=60
            )
        ),
        encryption_spec=gcp.vertex.AiFeatureOnlineStoreEncryptionSpecArgs(kms_key_name=key),
        force_destroy=False,
        labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )


def _channel(
    environment: Environment,
    identity: gcp.projects.ServiceIdentity,
    key: str,
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Register the topic that alarms and warnings go to; whoever wants them subscribes."""
    called = short_name(environment.name, "mlinfra-alarms", limit=255)
    topic = gcp.pubsub.Topic(
        f"{environment.name}-alarms",
        name=called,
        project=environment.account,
        kms_key_name=key,
        labels=labels,
        opts=opts,
    )
    gcp.pubsub.TopicIAMMember(
        f"{environment.name}-alarms",
        project=environment.account,
        topic=topic.name,
        role="roles/pubsub.publisher",
        member=_agent(identity, "service-{}@gcp-sa-monitoring-notification"),
        opts=opts,
    )
    channel = gcp.monitoring.NotificationChannel(
        f"{environment.name}-alarms",
        project=environment.account,
        display_name=called,
        type="pubsub",
        labels={"topic": f"projects/{environment.account}/topics/{called}"},
        user_labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[topic])),
    )
    return channel.name, topic.id


def _logs(environment: Environment, opts: pulumi.ResourceOptions) -> None:
    """Register where the lines of endpoints and jobs are kept, for as long as what was captured."""
    called = short_name(environment.name, "mlinfra", limit=100)
    bucket = gcp.logging.ProjectBucketConfig(
        f"{environment.name}-logs",
        project=environment.account or "",
        location=environment.region or "",
        bucket_id=called,
        retention_days=KEPT_DAYS,
        description=f"mlinfra: the endpoints and jobs of {environment.name}",
        opts=opts,
    )
    gcp.logging.ProjectSink(
        f"{environment.name}-logs",
        name=called,
        project=environment.account,
        destination=(
            f"logging.googleapis.com/projects/{environment.account}/locations/{environment.region}/buckets/{called}"
        ),
        filter='resource.type=("aiplatform.googleapis.com/Endpoint" OR "ml_job" OR "cloud_scheduler_job")',
        unique_writer_identity=True,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[bucket])),
    )


def _payer(project: gcp.organizations.GetProjectResult) -> Any:
    return project.billing_account or UNKNOWN


def _budget(
    environment: Environment, topic: pulumi.Output[str], labels: dict[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Register the budget that the environment names: on what carries its label, with two warnings.

    Which account pays is asked of the project, so it is not known before there are credentials.
    """
    if environment.budget is None:
        return
    asked = pulumi.InvokeOptions(parent=opts.parent, provider=opts.provider)
    project = gcp.organizations.get_project_output(project_id=environment.account, opts=asked)
    whole = int(environment.budget.monthly_usd)
    gcp.billing.Budget(
        f"{environment.name}-budget",
        billing_account=project.apply(_payer),
        display_name=short_name(environment.name, "mlinfra", limit=60),
        amount=gcp.billing.BudgetAmountArgs(
            specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                currency_code="USD", units=str(whole), nanos=round((environment.budget.monthly_usd - whole) * 10**9)
            )
        ),
        budget_filter=gcp.billing.BudgetBudgetFilterArgs(
            calendar_period="MONTH",
            projects=[f"projects/{environment.account}"],
            labels={"environment": labels["environment"]},
        ),
        threshold_rules=[
            gcp.billing.BudgetThresholdRuleArgs(threshold_percent=share, spend_basis=basis) for share, basis in WARNINGS
        ],
        all_updates_rule=gcp.billing.BudgetAllUpdatesRuleArgs(pubsub_topic=topic),
        opts=opts,
    )
