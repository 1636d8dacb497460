"""What the identity that runs `mlinfra up` needs in its project: `bootstrap` grants it to CI, `doctor` asks for it.

Permissions by method: https://cloud.google.com/iam/docs/permissions-reference. They are of the project, for names of
resources narrow few of them; `bootstrap` gives those of buckets and keys on these alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlinfra.environment import Environment

STATE = ("storage.buckets.get", "storage.objects.create", "storage.objects.delete", "storage.objects.get",
         "storage.objects.list")  # fmt: skip
MODELS = ("storage.buckets.get", "storage.objects.create", "storage.objects.get", "storage.objects.list")
READING = ("storage.buckets.get", "storage.objects.get", "storage.objects.list")
KEY = ("cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeyVersions.useToEncrypt")


def needed(environment: Environment) -> Mapping[str, Sequence[str]]:
    """Return the permissions in the project, by what they are for."""
    made: dict[str, Sequence[str]] = {
        "models": _crud("aiplatform.models", "upload"),
        "endpoints": (*_crud("aiplatform.endpoints", "create"), "aiplatform.endpoints.deploy",
                      "aiplatform.endpoints.undeploy", "aiplatform.endpoints.predict", "aiplatform.operations.list"),
        "training": ("aiplatform.customJobs.create", "aiplatform.customJobs.get", "aiplatform.customJobs.list",
                     "aiplatform.customJobs.cancel"),
        "features": (*_crud("aiplatform.featureGroups", "create"), *_crud("aiplatform.features", "create"),
                     *_crud("aiplatform.featureOnlineStores", "create"), *_crud("aiplatform.featureViews", "create"),
                     "aiplatform.featureViews.sync", "aiplatform.featureViewSyncs.list"),
        "data": (*_crud("bigquery.datasets", "create"), *_crud("bigquery.tables", "create"),
                 *_crud("storage.buckets", "create"), "storage.buckets.getIamPolicy", "storage.buckets.setIamPolicy"),
        "identities of the parts": (
            *_crud("iam.serviceAccounts", "create"), "iam.serviceAccounts.actAs", "iam.serviceAccounts.getIamPolicy",
            "iam.serviceAccounts.setIamPolicy", *_crud("iam.roles", "create"),
            "resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy",
            "resourcemanager.projects.setIamPolicy", "serviceusage.services.get", "serviceusage.services.use"),
        "drift": (*_crud("cloudscheduler.jobs", "create"),
                  *_crud("aiplatform.modelDeploymentMonitoringJobs", "create")),
        "rows and captured requests": ("bigquery.jobs.create", "bigquery.tables.getData", "bigquery.tables.updateData"),
        "alarms": (*_crud("monitoring.alertPolicies", "create"), *_crud("monitoring.dashboards", "create"),
                   *_crud("monitoring.notificationChannels", "create"), "monitoring.timeSeries.list",
                   *_crud("pubsub.topics", "create"), "pubsub.topics.getIamPolicy", "pubsub.topics.setIamPolicy"),
        "logs": ("logging.buckets.get", "logging.buckets.update", "logging.logEntries.list",
                 *_crud("logging.sinks", "create")),
        "network": (*_some("compute.addresses", "create delete get use"), "compute.globalOperations.get",
                    *_some("compute.forwardingRules", "create delete get"), "compute.regionOperations.get",
                    *_some("compute.networkAttachments", "create delete get"), "compute.networks.get",
                    "compute.subnetworks.get", "compute.subnetworks.use"),
    }  # fmt: skip
    if environment.network is None:
        made["a network that is made"] = (
            *_some("compute.networks", "create delete updatePolicy"), *_some("compute.subnetworks", "create delete"),
            *_some("compute.firewalls", "create delete get"), *_some("compute.routes", "create delete get"),
        )  # fmt: skip
    if environment.encryption is None:
        made["a key that is made"] = (
            *_some("cloudkms.keyRings", "create get"), *_some("cloudkms.cryptoKeys", "create get update"),
            "cloudkms.cryptoKeys.getIamPolicy", "cloudkms.cryptoKeys.setIamPolicy",
        )  # fmt: skip
    return made


def _crud(what: str, making: str) -> list[str]:
    return _some(what, f"{making} delete get list update")


def _some(what: str, verbs: str) -> list[str]:
    return [f"{what}.{verb}" for verb in verbs.split()]
