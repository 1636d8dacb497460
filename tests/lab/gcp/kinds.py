"""The types of pulumi-gcp that the lab has: their ids, what cannot be changed in place, and what Google adds.

Ids and `fixed` are those of the Terraform provider that pulumi-gcp is made of (`ForceNew` in its schemas, "import" in
its documentation: https://registry.terraform.io/providers/hashicorp/google/latest/docs, one page a type).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlinfra.digests import digest_json
from tests.lab.arguments import Arguments, arguments
from tests.lab.cloud import Refused
from tests.lab.gcp.names import NUMBER
from tests.lab.wire import Properties

_COMPUTE = "https://www.googleapis.com/compute/v1"


@dataclass(frozen=True)
class Kind:
    """One type. `id` is made of inputs; `{_}` in it stands for digits that Google chooses.

    `outputs` are made of inputs and of `{id}`, `{_}` and `{number}`, the project's; where the id names another thing
    that must be there first, `inside` is its type and how its id is made.
    """

    token: str
    id: str
    fixed: frozenset[str] = frozenset()
    outputs: Mapping[str, str] = field(default_factory=dict)
    inside: tuple[str, str] | None = None

    @property
    def arguments(self) -> Arguments:
        """Return what the SDK says of the inputs. Raises Refused."""
        known = arguments("pulumi_gcp", self.token)
        if known is None:
            raise Refused(f"pulumi_gcp has no {self.token!r}")
        return known

    def named(self, inputs: Properties, chosen: str) -> str:
        """Return the id of a thing."""
        return _filled(self.id, inputs, chosen)

    def told(self, inputs: Properties, id_: str) -> Properties:
        """Return all outputs."""
        chosen = _digits(id_)
        made: dict[str, Any] = {
            name: _filled(text, {**inputs, "id": id_}, chosen) for name, text in self.outputs.items()
        }
        labels = inputs.get("labels")
        if isinstance(labels, dict):
            made |= {"effectiveLabels": labels, "pulumiLabels": labels}
        return {**inputs, **made}


def _filled(text: str, inputs: Properties, chosen: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        given: Any = {"_": chosen, "number": NUMBER}.get(name, inputs.get(name, ""))
        return digest_json(given)[-12:] if isinstance(given, dict) else str(given)

    return re.sub(r"\{(\w+)\}", value, text)


def _digits(id_: str) -> str:
    last = id_.rpartition("/")[2]
    return last if last.isdigit() else str(2 + sum(id_.encode()) % 250)


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


_NAMED = _of("name", "project")
_PLACED = _NAMED | {"region"}
_MEMBER = _of("member", "role", "condition")
_VERTEX = "projects/{project}/locations/{region}"
_COMPUTED = {"selfLink": f"{_COMPUTE}/{{id}}"}
_ADDRESS = "{accountId}@{project}.iam.gserviceaccount.com"
_AGENT = "service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
_DATASET = ("gcp:bigquery/dataset:Dataset", "projects/{project}/datasets/{datasetId}")
_POOL = "projects/{project}/locations/global/workloadIdentityPools/{workloadIdentityPoolId}"
_BUCKET = ("gcp:storage/bucket:Bucket", "{bucket}")

_LISTED = (
    Kind("gcp:projects/serviceIdentity:ServiceIdentity", "projects/{project}/services/{service}",
         _of("project", "service"), {"email": _AGENT, "member": f"serviceAccount:{_AGENT}"}),
    Kind("gcp:kms/keyRing:KeyRing", "projects/{project}/locations/{location}/keyRings/{name}",
         _NAMED | {"location"}),
    Kind("gcp:kms/cryptoKey:CryptoKey", "{keyRing}/cryptoKeys/{name}",
         _of("destroyScheduledDuration", "importOnly", "keyRing", "name", "purpose"),
         inside=("gcp:kms/keyRing:KeyRing", "{keyRing}")),
    Kind("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "{cryptoKeyId}/{role}/{member}",
         _MEMBER | {"cryptoKeyId"}, {"etag": "BwX"}, ("gcp:kms/cryptoKey:CryptoKey", "{cryptoKeyId}")),
    Kind("gcp:storage/bucket:Bucket", "{name}", _NAMED | {"location", "customPlacementConfig"},
         {"selfLink": "https://www.googleapis.com/storage/v1/b/{name}", "url": "gs://{name}",
          "projectNumber": "{number}"}),
    Kind("gcp:storage/bucketIAMMember:BucketIAMMember", "b/{bucket}/{role}/{member}/{condition}",
         _MEMBER | {"bucket"}, {"etag": "CAE="}),
    Kind("gcp:bigquery/dataset:Dataset", _DATASET[1], _of("datasetId", "location", "project"),
         {"selfLink": "https://bigquery.googleapis.com/bigquery/v2/{id}", "etag": "E"}),
    Kind("gcp:bigquery/datasetIamMember:DatasetIamMember",
         "projects/{project}/datasets/{datasetId}/{role}/{member}", _MEMBER | {"datasetId", "project"},
         {"etag": "E"}, _DATASET),
    Kind("gcp:bigquery/table:Table", "projects/{project}/datasets/{datasetId}/tables/{tableId}",
         _of("datasetId", "encryptionConfiguration", "project", "tableId"), {"etag": "E"}, _DATASET),
    Kind("gcp:pubsub/topic:Topic", "projects/{project}/topics/{name}", _NAMED),
    Kind("gcp:pubsub/topicIAMMember:TopicIAMMember", "projects/{project}/topics/{topic}/{role}/{member}",
         _MEMBER | {"topic", "project"}, {"etag": "E"},
         ("gcp:pubsub/topic:Topic", "projects/{project}/topics/{topic}")),
    Kind("gcp:monitoring/notificationChannel:NotificationChannel", "projects/{project}/notificationChannels/{_}",
         _of("project"), {"name": "{id}"}),
    Kind("gcp:monitoring/alertPolicy:AlertPolicy", "projects/{project}/alertPolicies/{_}", _of("project"),
         {"name": "{id}"}),
    Kind("gcp:monitoring/dashboard:Dashboard", "projects/{number}/dashboards/{_}", _of("project")),
    Kind("gcp:logging/projectBucketConfig:ProjectBucketConfig",
         "projects/{project}/locations/{location}/buckets/{bucketId}", _of("bucketId", "location", "project"),
         {"name": "{id}", "lifecycleState": "ACTIVE"}),
    Kind("gcp:logging/projectSink:ProjectSink", "projects/{project}/sinks/{name}",
         _NAMED | {"uniqueWriterIdentity"},
         {"writerIdentity": "serviceAccount:service-{number}@gcp-sa-logging.iam.gserviceaccount.com"}),
    Kind("gcp:compute/network:Network", "projects/{project}/global/networks/{name}",
         _NAMED | {"autoCreateSubnetworks", "description"}, {**_COMPUTED, "networkId": "{_}"}),
    Kind("gcp:compute/subnetwork:Subnetwork", "projects/{project}/regions/{region}/subnetworks/{name}",
         _PLACED | {"network", "description"}, {**_COMPUTED, "gatewayAddress": "10.64.0.1"},
         ("gcp:compute/network:Network", "{network}")),
    Kind("gcp:compute/firewall:Firewall", "projects/{project}/global/firewalls/{name}",
         _NAMED | {"direction", "network"}, _COMPUTED, ("gcp:compute/network:Network", "{network}")),
    Kind("gcp:compute/networkAttachment:NetworkAttachment",
         "projects/{project}/regions/{region}/networkAttachments/{name}",
         _PLACED | {"connectionPreference", "description"}, {**_COMPUTED, "kind": "compute#networkAttachment"}),
    Kind("gcp:compute/address:Address", "projects/{project}/regions/{region}/addresses/{name}",
         _PLACED | {"address", "addressType", "description", "subnetwork"}, {**_COMPUTED, "address": "10.64.0.{_}"}),
    Kind("gcp:compute/forwardingRule:ForwardingRule", "projects/{project}/regions/{region}/forwardingRules/{name}",
         _PLACED | {"ipAddress", "loadBalancingScheme", "network", "subnetwork", "description"},
         {**_COMPUTED, "pscConnectionStatus": "ACCEPTED"}),
    Kind("gcp:projects/iAMCustomRole:IAMCustomRole", "projects/{project}/roles/{roleId}", _of("project", "roleId"),
         {"name": "{id}"}),
    Kind("gcp:projects/iAMMember:IAMMember", "{project}/{role}/{member}", _MEMBER | {"project"}, {"etag": "E"}),
    Kind("gcp:serviceaccount/account:Account", f"projects/{{project}}/serviceAccounts/{_ADDRESS}",
         _of("accountId", "project"),
         {"email": _ADDRESS, "member": f"serviceAccount:{_ADDRESS}", "name": "{id}", "uniqueId": "1{_}"}),
    Kind("gcp:serviceaccount/iAMMember:IAMMember", "{serviceAccountId}/{role}/{member}",
         _MEMBER | {"serviceAccountId"}, {"etag": "E"},
         ("gcp:serviceaccount/account:Account", "{serviceAccountId}")),
    Kind("gcp:iam/workloadIdentityPool:WorkloadIdentityPool", _POOL, _of("project", "workloadIdentityPoolId"),
         {"name": "projects/{number}/locations/global/workloadIdentityPools/{workloadIdentityPoolId}",
          "state": "ACTIVE"}),
    Kind("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
         f"{_POOL}/providers/{{workloadIdentityPoolProviderId}}",
         _of("project", "workloadIdentityPoolId", "workloadIdentityPoolProviderId"), {"state": "ACTIVE"},
         ("gcp:iam/workloadIdentityPool:WorkloadIdentityPool", _POOL)),
    Kind("gcp:artifactregistry/repository:Repository",
         "projects/{project}/locations/{location}/repositories/{repositoryId}",
         _of("format", "kmsKeyName", "location", "project", "repositoryId"), {"name": "{repositoryId}"}),
    Kind("gcp:cloudscheduler/job:Job", "projects/{project}/locations/{region}/jobs/{name}", _PLACED,
         {"state": "ENABLED"}),
    Kind("gcp:billing/budget:Budget", "billingAccounts/{billingAccount}/budgets/{_}", _of("billingAccount"),
         {"name": "{id}"}),
    Kind("gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore", f"{_VERTEX}/featureOnlineStores/{{name}}",
         _PLACED | {"encryptionSpec"}, {"state": "STABLE", "etag": "E"}),
    Kind("gcp:vertex/aiFeatureGroup:AiFeatureGroup", f"{_VERTEX}/featureGroups/{{name}}", _PLACED, {"etag": "E"}),
    Kind("gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature",
         f"{_VERTEX}/featureGroups/{{featureGroup}}/features/{{name}}", _PLACED | {"featureGroup"}, {},
         ("gcp:vertex/aiFeatureGroup:AiFeatureGroup", f"{_VERTEX}/featureGroups/{{featureGroup}}")),
    Kind("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview",
         f"{_VERTEX}/featureOnlineStores/{{featureOnlineStore}}/featureViews/{{name}}",
         _PLACED | {"featureOnlineStore"}, {},
         ("gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
          f"{_VERTEX}/featureOnlineStores/{{featureOnlineStore}}")),
    Kind("gcp:vertex/aiEndpoint:AiEndpoint", "projects/{project}/locations/{location}/endpoints/{name}",
         _PLACED | {"location", "encryptionSpec", "network", "privateServiceConnectConfig",
                    "dedicatedEndpointEnabled"}),
)  # fmt: skip
KINDS = {kind.token: kind for kind in _LISTED}
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
EMPTY_FIRST = {
    "gcp:bigquery/dataset:Dataset": ("gcp:bigquery/table:Table", "{id}/tables/"),
    "gcp:vertex/aiFeatureGroup:AiFeatureGroup": ("gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature", "{id}/"),
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": (
        "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview", "{id}/",
    ),
}  # fmt: skip
"""What is refused while something is in it, unless the resource says otherwise."""
