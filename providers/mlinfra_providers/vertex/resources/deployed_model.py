"""DeployedModel: a release on an endpoint, under an id of our own choice, so that deploying it twice finds it done.

It never writes the split: a new one has no share until Traffic gives it one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import LONGEST_SECONDS, clients, explained, finished, found, gone_is_fine, wait
from mlinfra_providers.vertex.split import hand_over

_SCALE = ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs")


class DeployedModel(Handler):
    """Replicas and autoscaling change in place (MutateDeployedModel). All else is in the id, and another id is another
    one: it is made beside, gets the share of the one before, and that one goes.
    """

    outputs: ClassVar[tuple[str, ...]] = ("deployedId", "serviceAttachment")
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"project", "location", "region", "environment", "endpoint", "deployedModelId", "release", "serviceAccount"}
    )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Deploy it, or find it deployed. One that a killed run has begun is waited for: it ends, or is begun again.

        Raises:
            MlinfraError: it is not there in time, or Google refused.
        """
        from google.api_core.exceptions import Conflict

        api = clients(inputs).endpoints
        patience = time.monotonic() + LONGEST_SECONDS
        with explained(f"deploying release {inputs['release']}"):
            while (there := _find(api, inputs)) is None:
                if time.monotonic() > patience:
                    raise MlinfraError(
                        f"release {inputs['release']} is not deployed to {endpoint_name(inputs)}",
                        remedy="mlinfra up tries again; the endpoint's log says more",
                    )
                try:
                    finished(api.deploy_model(request=request(inputs)))
                except Conflict:  # AlreadyExists, which is a plain 409 over REST
                    wait()
        return inputs["deployedModelId"], _outputs(there)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the machines, bounds and version that really serve; gone when it is not deployed."""
        with explained(f"reading {endpoint_name(inputs)}"):
            there = _find(clients(inputs).endpoints, inputs)
        if there is None:
            return None
        seen = {"release": there.display_name, "serviceAccount": there.service_account}
        seen["model"] = inputs["model"] if _same_model(there, inputs) else there.model
        version = {"modelVersionId": there.model_version_id}
        return Found({**inputs, **seen, **version, "dedicatedResources": _resources(there, inputs)}, _outputs(there))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change bounds and autoscaling; put the version back that belongs here, if another one was deployed by hand.

        Raises:
            MlinfraError: Google refused.
        """
        api = clients(new).endpoints
        with explained(f"changing release {new['release']}"):
            there = _find(api, new)
            if not _same_model(there, new) or there.model_version_id != new["modelVersionId"]:
                _put_back(api, new)
            finished(api.mutate_deployed_model(request=mutation(new)))
            return _outputs(_find(api, new))

    def delete(self, id_: str, inputs: Properties) -> None:
        """Undeploy it, or find it gone.

        Raises:
            MlinfraError: it has a share of the requests.
        """
        api = clients(inputs).endpoints
        with explained(f"undeploying release {inputs['release']}"), gone_is_fine():
            there = found(api.get_endpoint, name=endpoint_name(inputs))
            if there is None or _find(api, inputs) is None:
                return
            if share := there.traffic_split.get(inputs["deployedModelId"], 0):
                raise MlinfraError(
                    f"release {inputs['release']} serves {share} % of {endpoint_name(inputs)}",
                    remedy=f"name it as previous in environments/{inputs['environment']}.lock.yaml, or shift first",
                )
            finished(api.undeploy_model(request=_undeployment(inputs, inputs["deployedModelId"])))


def _same_model(there: Any, inputs: Properties) -> bool:
    """Say whether it is the declared model: Google's answers have the project's number in place of its id."""
    return str(there.model).rpartition("/models/")[2] == str(inputs["model"]).rpartition("/models/")[2]


def _put_back(api: Any, inputs: Properties) -> None:
    """Deploy the declared version under its id, where another one has it: one that stands in takes its requests."""
    from mlinfra_providers.vertex.naming import number

    standing_in = number(inputs["deployedModelId"], "stands in")
    for wrong, right in ((inputs["deployedModelId"], standing_in), (standing_in, inputs["deployedModelId"])):
        if _find(api, {**inputs, "deployedModelId": right}) is None:
            finished(api.deploy_model(request=request({**inputs, "deployedModelId": right})))
        hand_over(api, endpoint_name(inputs), wrong, right)
        finished(api.undeploy_model(request=_undeployment(inputs, wrong)))


def endpoint_name(inputs: Properties) -> str:
    """Return the whole resource name of the endpoint."""
    return f"projects/{inputs['project']}/locations/{inputs['location']}/endpoints/{inputs['endpoint']}"


def request(inputs: Properties) -> Any:
    """Return the request that deploys it. It names no split: so the endpoint's own stays."""
    from google.cloud import aiplatform_v1

    model = aiplatform_v1.DeployedModel(
        id=inputs["deployedModelId"],
        model=f"{inputs['model']}@{inputs['modelVersionId']}",
        display_name=inputs["release"],
        service_account=inputs["serviceAccount"],
        enable_access_logging=True,
        dedicated_resources=_dedicated(inputs["dedicatedResources"]),
    )
    return aiplatform_v1.DeployModelRequest(endpoint=endpoint_name(inputs), deployed_model=model)


def _undeployment(inputs: Properties, id_: str) -> Any:
    from google.cloud.aiplatform_v1 import UndeployModelRequest

    return UndeployModelRequest(endpoint=endpoint_name(inputs), deployed_model_id=id_)


def mutation(inputs: Properties) -> Any:
    """Return the request that changes bounds and autoscaling."""
    from google.cloud import aiplatform_v1

    scale = {key: value for key, value in inputs["dedicatedResources"].items() if key in _SCALE}
    model = aiplatform_v1.DeployedModel(id=inputs["deployedModelId"], dedicated_resources=_dedicated(scale))
    fields = ("min_replica_count", "max_replica_count", "autoscaling_metric_specs")
    return aiplatform_v1.MutateDeployedModelRequest(
        endpoint=endpoint_name(inputs),
        deployed_model=model,
        update_mask={"paths": [f"dedicated_resources.{field}" for field in fields]},
    )


def _dedicated(declared: Mapping[str, Any]) -> Any:
    from google.cloud.aiplatform_v1 import DedicatedResources
    from google.protobuf import json_format

    made = DedicatedResources()
    json_format.ParseDict(dict(declared), DedicatedResources.pb(made))
    return made


def _resources(there: Any, inputs: Properties) -> dict[str, Any]:
    """Return the machines and bounds as they are declared; what is not declared and has no value stays away."""
    seen = there.dedicated_resources
    spec = {**inputs["dedicatedResources"]["machineSpec"], "machineType": seen.machine_spec.machine_type}
    resources: dict[str, Any] = {
        "machineSpec": spec,
        "minReplicaCount": seen.min_replica_count,
        "maxReplicaCount": seen.max_replica_count,
    }
    metrics = [{"metricName": item.metric_name, "target": item.target} for item in seen.autoscaling_metric_specs]
    return {**resources, "autoscalingMetricSpecs": metrics} if metrics else resources


def _find(api: Any, inputs: Properties) -> Any:
    there = found(api.get_endpoint, name=endpoint_name(inputs))
    deployed = there.deployed_models if there is not None else ()
    return next((item for item in deployed if item.id == inputs["deployedModelId"]), None)


def _outputs(there: Any) -> Properties:
    return {"deployedId": there.id, "serviceAttachment": there.private_endpoints.service_attachment}
