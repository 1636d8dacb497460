"""A small SageMaker in memory: what the handlers call, with the behaviours that they must know.

Weights go back to InitialVariantWeight on an update without RetainAllVariantProperties, nothing is taken while an
update runs, and a variant that is registered for scaling keeps its machine (UpdateEndpoint's documentation).
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

from botocore.exceptions import ClientError

from tests.sagemaker import botocore_model

ACCOUNT = "111122223333"


def refused(message: str, code: str = "ValidationException") -> ClientError:
    """Return an error as AWS answers it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Cloud:
    """One region of one account. `busy` polls pass until a change is done; the next one goes back if told to."""

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.configurations: dict[str, list[dict[str, Any]]] = {}
        self.objects: dict[str, bytes] = {}
        self.packages: list[dict[str, Any]] = []
        self.models: dict[str, str] = {}
        self.groups: dict[str, dict[str, str]] = {}
        self.targets: dict[str, dict[str, int]] = {}
        self.policies: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.goes_back: str | None = None
        self.fails: str | None = None
        self.polls = 2

    def client(self, service: str) -> Any:
        """Return what stands for a client."""
        return _Client(self, {"application-autoscaling": "scaling"}.get(service, service))

    def names(self) -> list[str]:
        """Return which operations were called that change something."""
        return [name for name, _ in self.calls if not name.startswith(("describe", "get", "list"))]

    def weights(self, endpoint: str) -> dict[str, float]:
        """Return the weights in force, in percent."""
        weights = {name: item["CurrentWeight"] for name, item in self.endpoints[endpoint]["variants"].items()}
        return {name: 100 * weight / sum(weights.values()) for name, weight in weights.items()}

    # sagemaker

    def sagemaker_create_endpoint(self, EndpointName: str, EndpointConfigName: str, Tags: Any) -> Any:  # noqa: N803
        if EndpointName in self.endpoints:
            raise refused(f'Cannot create already existing endpoint "{EndpointName}".')
        self.endpoints[EndpointName] = {"tags": {item["Key"]: item["Value"] for item in Tags}, "busy": self.polls}
        self._deploy(EndpointName, EndpointConfigName, retain=False)

    def sagemaker_describe_endpoint(self, EndpointName: str) -> Any:  # noqa: N803
        if EndpointName not in self.endpoints:
            raise refused(f'Could not find endpoint "{EndpointName}".')
        found = self.endpoints[EndpointName]
        busy = found["busy"] > 0
        found["busy"] -= busy
        if not busy and found.get("next"):
            found.update(found.pop("next"))
        failed = not busy and self.fails is not None
        return {
            "EndpointName": EndpointName,
            "EndpointArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/{EndpointName}",
            "EndpointConfigName": found["configuration"],
            "EndpointStatus": "Updating" if busy else "Failed" if failed else "InService",
            "ProductionVariants": [{"VariantName": name, **item} for name, item in found["variants"].items()],
            **({"FailureReason": self.fails or found["reason"]} if failed or found.get("reason") else {}),
        }

    def sagemaker_update_endpoint(
        self,
        EndpointName: str,  # noqa: N803
        EndpointConfigName: str,  # noqa: N803
        RetainAllVariantProperties: bool,  # noqa: N803
        DeploymentConfig: Any = None,  # noqa: N803
    ) -> Any:
        self._must_be_idle(EndpointName)
        before = {item["VariantName"]: item for item in self.configurations[self._of(EndpointName)["configuration"]]}
        after = {item["VariantName"]: item for item in self.configurations[EndpointConfigName]}
        for variant, item in before.items():
            changed = variant not in after or after[variant]["InstanceType"] != item["InstanceType"]
            if DeploymentConfig and set(before) != set(after):
                raise refused("must have the same variant name as the old endpoint configuration")
            if changed and f"endpoint/{EndpointName}/variant/{variant}" in self.targets:
                raise refused(f"variant {variant} is registered as a scalable target")
        self._of(EndpointName)["busy"] = self.polls
        if self.goes_back is not None:
            self._of(EndpointName)["reason"], self.goes_back = self.goes_back, None
            return
        self._deploy(EndpointName, EndpointConfigName, retain=RetainAllVariantProperties)

    def sagemaker_update_endpoint_weights_and_capacities(
        self,
        EndpointName: str,  # noqa: N803
        DesiredWeightsAndCapacities: Any,  # noqa: N803
    ) -> Any:
        self._must_be_idle(EndpointName)
        for item in DesiredWeightsAndCapacities:
            there = self._of(EndpointName)["variants"][item["VariantName"]]
            there["CurrentWeight"] = item.get("DesiredWeight", there["CurrentWeight"])
            count = item.get("DesiredInstanceCount", there["CurrentInstanceCount"])
            there["CurrentInstanceCount"] = there["DesiredInstanceCount"] = count
        self._of(EndpointName)["busy"] = self.polls

    def sagemaker_delete_endpoint(self, EndpointName: str) -> Any:  # noqa: N803
        if EndpointName not in self.endpoints:
            raise refused(f'Could not find endpoint "{EndpointName}".')
        del self.endpoints[EndpointName]

    def sagemaker_describe_endpoint_config(self, EndpointConfigName: str) -> Any:  # noqa: N803
        return {"ProductionVariants": self.configurations[EndpointConfigName]}

    def sagemaker_describe_model(self, ModelName: str) -> Any:  # noqa: N803
        return {"PrimaryContainer": {"ModelPackageName": self.models[ModelName]}}

    def sagemaker_list_tags(self, ResourceArn: str) -> Any:  # noqa: N803
        tags = self._of(ResourceArn.rpartition("/")[2])["tags"]
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def sagemaker_add_tags(self, ResourceArn: str, Tags: Any) -> Any:  # noqa: N803
        self._of(ResourceArn.rpartition("/")[2])["tags"].update({item["Key"]: item["Value"] for item in Tags})

    def sagemaker_delete_tags(self, ResourceArn: str, TagKeys: Any) -> Any:  # noqa: N803
        for key in TagKeys:
            del self._of(ResourceArn.rpartition("/")[2])["tags"][key]

    def sagemaker_create_model_package(self, **given: Any) -> Any:
        assert botocore_model.problems("sagemaker", "CreateModelPackage", given) == []
        number = len(self.packages) + 1
        arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{given['ModelPackageGroupName']}/{number}"
        self.packages.append({**given, "ModelPackageArn": arn})
        return {"ModelPackageArn": arn}

    def sagemaker_update_model_package(self, ModelPackageArn: str, ModelApprovalStatus: str) -> Any:  # noqa: N803
        self._package(ModelPackageArn)["ModelApprovalStatus"] = ModelApprovalStatus

    def sagemaker_describe_model_package(self, ModelPackageName: str) -> Any:  # noqa: N803
        return self._package(ModelPackageName)

    def sagemaker_list_model_packages(self, ModelPackageGroupName: str, **_: Any) -> Any:  # noqa: N803
        found = [item for item in self.packages if item["ModelPackageGroupName"] == ModelPackageGroupName]
        return {"ModelPackageSummaryList": list(reversed(found))}

    def sagemaker_describe_feature_group(self, FeatureGroupName: str) -> Any:  # noqa: N803
        if FeatureGroupName not in self.groups:
            raise refused(f"{FeatureGroupName} not found", "ResourceNotFound")
        columns = self.groups[FeatureGroupName].items()
        return {"FeatureDefinitions": [{"FeatureName": name, "FeatureType": kind} for name, kind in columns]}

    def sagemaker_update_feature_group(self, FeatureGroupName: str, FeatureAdditions: Any) -> Any:  # noqa: N803
        for item in FeatureAdditions:
            self.groups[FeatureGroupName][item["FeatureName"]] = item["FeatureType"]

    # s3

    def s3_get_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803
        if Key not in self.objects:
            raise refused("The specified key does not exist.", "NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Key]), "ETag": _etag(self.objects[Key])}

    def s3_put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str, **condition: Any) -> Any:  # noqa: N803
        there = self.objects.get(Key)
        matches = there is not None and _etag(there) == condition.get("IfMatch")
        if not matches and not ("IfNoneMatch" in condition and there is None):
            raise refused("At least one of the pre-conditions you specified did not hold", "PreconditionFailed")
        self.objects[Key] = Body

    def s3_delete_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803
        self.objects.pop(Key, None)

    # application-autoscaling

    def scaling_describe_scalable_targets(self, ResourceIds: Any, **_: Any) -> Any:  # noqa: N803
        return {"ScalableTargets": [self.targets[each] for each in ResourceIds if each in self.targets]}

    def scaling_describe_scaling_policies(self, ResourceId: str, **_: Any) -> Any:  # noqa: N803
        return {"ScalingPolicies": self.policies.get(ResourceId, [])}

    def scaling_deregister_scalable_target(self, ResourceId: str, **_: Any) -> Any:  # noqa: N803
        del self.targets[ResourceId]
        self.policies.pop(ResourceId, None)

    def scaling_register_scalable_target(self, ResourceId: str, MinCapacity: int, MaxCapacity: int, **_: Any) -> Any:  # noqa: N803
        self.targets[ResourceId] = {"MinCapacity": MinCapacity, "MaxCapacity": MaxCapacity}

    def scaling_put_scaling_policy(self, ResourceId: str, **policy: Any) -> Any:  # noqa: N803
        self.policies.setdefault(ResourceId, []).append(
            {key: value for key, value in policy.items() if key not in ("ServiceNamespace", "ScalableDimension")}
        )

    def _of(self, endpoint: str) -> dict[str, Any]:
        return self.endpoints[endpoint]

    def _package(self, arn: str) -> dict[str, Any]:
        for item in self.packages:
            if item["ModelPackageArn"] == arn:
                return item
        raise refused(f"ModelPackage {arn} does not exist.")

    def _must_be_idle(self, endpoint: str) -> None:
        if self._of(endpoint)["busy"]:
            raise refused(f"Cannot update in-progress endpoint {endpoint}")

    def _deploy(self, endpoint: str, configuration: str, *, retain: bool) -> None:
        there = self._of(endpoint).get("variants", {})
        variants = {}
        for item in self.configurations[configuration]:
            kept = there.get(item["VariantName"], {}) if retain else {}
            count = kept.get("CurrentInstanceCount", item["InitialInstanceCount"])
            variants[item["VariantName"]] = {
                "CurrentWeight": kept.get("CurrentWeight", item["InitialVariantWeight"]),
                "CurrentInstanceCount": count,
                "DesiredInstanceCount": count,
            }
        made = {"configuration": configuration, "variants": variants, "reason": None}
        if "configuration" in self._of(endpoint):
            self._of(endpoint)["next"] = made
        else:
            self._of(endpoint).update(made)


class _Client:
    def __init__(self, cloud: Cloud, service: str) -> None:
        self._cloud = cloud
        self._service = service

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._cloud, f"{self._service}_{name}")

        def call(**given: Any) -> Any:
            self._cloud.calls.append((name, given))
            return operation(**given)

        return call

    def get_paginator(self, name: str) -> Any:
        """Return something with `paginate`, of one page."""
        client = self

        class Pages:
            def paginate(self, **given: Any) -> list[Any]:
                return [getattr(client, name)(**given)]

        return Pages()


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
