"""Endpoints as SageMaker has them: a status that takes time, one change at a time, weights, rollbacks.

Sources, in docs.aws.amazon.com/sagemaker/latest/APIReference unless said otherwise:
- CreateEndpoint: status `Creating`, then `InService`; a name that is taken is refused ("Cannot create already
  existing endpoint", github.com/aws/sagemaker-python-sdk/issues/101).
- UpdateEndpoint: sets `Updating`, then `InService`; without `RetainAllVariantProperties` the instance counts and
  weights are those of the new configuration; its default is false.
- UpdateEndpointWeightsAndCapacities: sets `Updating`, then `InService`; changes nothing but weights and capacities.
- DescribeEndpoint: `RollingBack` goes back to the old configuration, then `InService`; `FailureReason` says why;
  `PendingDeploymentSummary` is what is being deployed; a failed creation is `Failed` and can only be deleted.
- ProductionVariant: `InitialVariantWeight` is 1.0 unless given; a share is the weight divided by the sum of weights.
- DeleteEndpointConfig: of a configuration in use it succeeds ("must not" is a demand on the caller); what is
  then updated answers "Could not find endpoint configuration" (hashicorp/terraform-provider-aws #40048, #48997).
- docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html: an instance type of a variant with a scaling
  policy cannot be changed, and such a variant cannot be removed, before the policy is deregistered.
- docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html: of a deployment with guardrails the
  new configuration has the same variant names as the old one; here another is refused.
- serverless-endpoints.html of the same guide: serverless excludes data capture, several variants and a VPC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.lab.aws.server.faults import Faults
from tests.lab.aws.server.fleet import UNHEALTHY, Fleet
from tests.lab.aws.server.store import ACCOUNT, Entity, InUse, Invalid, LimitExceeded, Parameters, Store, Thing

ENDPOINT = Entity("Endpoint", "EndpointName", "endpoint", listed="Endpoints")
CONFIGURATION = Entity(
    "EndpointConfig", "EndpointConfigName", "endpoint-config", called="endpoint configuration", listed="EndpointConfigs"
)
MODEL = Entity("Model", "ModelName", "model", listed="Models")

NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)
ALARMED = "One or more configured alarms have breached while updating the endpoint to the new configuration."

Scaled = Callable[[str, str], bool]
"""Says whether a variant of an endpoint is registered with Application Auto Scaling."""
Containers = Callable[[str], Parameters]
"""Returns the container of a model, with what its package says of it."""


def checked_configuration(store: Store, parameters: Parameters) -> None:
    """Refuse what CreateEndpointConfig refuses. Raises Invalid."""
    listed = [*parameters.get("ProductionVariants", []), *parameters.get("ShadowProductionVariants", [])]
    names = [variant["VariantName"] for variant in listed]
    if len(set(names)) != len(names):
        raise Invalid(f"Variant names must be unique: {', '.join(names)}")
    serverless = [variant for variant in listed if "ServerlessConfig" in variant]
    capture = parameters.get("DataCaptureConfig", {}).get("EnableCapture")
    if serverless and len(listed) > 1:
        raise Invalid("Only one production variant is supported for serverless endpoints.")
    if serverless and capture:
        raise Invalid("Data capture is not supported for serverless endpoints.")
    for variant in listed:
        if "ModelName" in variant:
            store.get(MODEL, variant["ModelName"])
        if "ServerlessConfig" not in variant and "ModelName" in variant and "InstanceType" not in variant:
            raise Invalid(f"InstanceType is required for variant {variant['VariantName']}.")


def _variants(configuration: Thing) -> list[Parameters]:
    """Return the state of the variants of a configuration that begins to serve."""
    made = []
    for variant in configuration.parameters["ProductionVariants"]:
        weight = variant.get("InitialVariantWeight", 1.0)
        state: Parameters = {"VariantName": variant["VariantName"], "CurrentWeight": weight, "DesiredWeight": weight}
        if "InitialInstanceCount" in variant:
            state |= dict.fromkeys(("CurrentInstanceCount", "DesiredInstanceCount"), variant["InitialInstanceCount"])
        if "ServerlessConfig" in variant:
            state["CurrentServerlessConfig"] = state["DesiredServerlessConfig"] = variant["ServerlessConfig"]
        made.append(state)
    return made


class Endpoints:
    """The life of endpoints in one region's store."""

    def __init__(self, store: Store, faults: Faults, scaled: Scaled, fleet: Fleet, containers: Containers) -> None:
        self._store = store
        self._faults = faults
        self._scaled = scaled
        self._fleet = fleet
        self._containers = containers

    def create(self, parameters: Parameters) -> Parameters:
        configuration = self._store.get(CONFIGURATION, parameters["EndpointConfigName"])
        self._quota("CreateEndpoint", configuration)
        thing = self._store.create(ENDPOINT, parameters)
        thing.status, thing.due = "Creating", self._store.clock.due()
        thing.more["ProductionVariants"] = _variants(configuration)
        thing.more["DataCaptureConfig"] = _capture(configuration)
        if self._faults.take("no-capacity"):
            thing.then, thing.more["_reason"] = "Failed", NO_CAPACITY
        else:
            thing.then = "InService"
            self._deploy(thing, configuration)
        return {"EndpointArn": thing.arn}

    def _deploy(self, thing: Thing, configuration: Thing) -> None:
        """Start what the configuration needs; the endpoint waits until it answers, or fails with it."""
        variants = configuration.parameters["ProductionVariants"]
        models = {variant["VariantName"]: variant["ModelName"] for variant in variants if "ModelName" in variant}
        for model in models.values():
            self._fleet.start(model, self._containers(model))

        def ready() -> bool:
            states = {variant: self._fleet.state(model) for variant, model in models.items()}
            failed = [variant for variant, state in states.items() if state == "failed"]
            if failed and "_next" in thing.more:
                thing.more["_next"] |= {"back": True, "reason": UNHEALTHY.format(failed[0])}
            elif failed:
                thing.then, thing.more["_reason"] = "Failed", UNHEALTHY.format(failed[0])
            return bool(failed) or set(states.values()) <= {"healthy"}

        thing.ready = ready
        # while an update runs, the old fleet answers
        thing.more.get("_next", thing.more)["_models"] = models

    def get(self, name: str) -> Thing:
        """Return an endpoint as it is now."""
        thing = self._store.get(ENDPOINT, name)
        if not thing.then:
            self._arrive(thing)
        return thing

    def describe(self, parameters: Parameters) -> Parameters:
        thing = self.get(parameters["EndpointName"])
        told = self._store.described(ENDPOINT, thing)
        told["ProductionVariants"] = [
            variant | self._image(thing.more.get("_models", {}).get(variant["VariantName"]))
            for variant in told["ProductionVariants"]
        ]
        if thing.status == "Updating" and "_next" in thing.more:
            ahead = thing.more["_next"]
            told["PendingDeploymentSummary"] = {
                "EndpointConfigName": ahead["EndpointConfigName"],
                "ProductionVariants": [
                    {"VariantName": variant["VariantName"], "DesiredWeight": variant["DesiredWeight"]}
                    for variant in ahead["variants"]
                ],
            }
        return told

    def _image(self, model: str | None) -> Parameters:
        """Return what runs for a variant (DeployedImages of ProductionVariantSummary)."""
        if model is None or self._store.find(MODEL, model) is None:
            return {}
        image = self._containers(model).get("Image")
        return {"DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image}]} if image else {}

    def update(self, parameters: Parameters) -> Parameters:
        thing = self._idle(parameters["EndpointName"])
        configuration = self._store.get(CONFIGURATION, parameters["EndpointConfigName"])
        # the one that serves is read for the comparison with the new one: deleted, it is missed here
        serving = self._store.get(CONFIGURATION, thing.parameters["EndpointConfigName"])
        self._registered(parameters["EndpointName"], serving, configuration)
        self._quota("UpdateEndpoint", configuration)
        variants = _variants(configuration)
        _guarded(parameters, thing.more["ProductionVariants"], variants)
        if parameters.get("RetainAllVariantProperties"):
            left_out = {item["VariantPropertyType"] for item in parameters.get("ExcludeRetainedVariantProperties", [])}
            _retain(thing.more["ProductionVariants"], variants, left_out)
        ahead = {"EndpointConfigName": parameters["EndpointConfigName"], "variants": variants, "reason": None}
        ahead["deployment"] = parameters.get("DeploymentConfig")
        ahead["capture"] = _capture(configuration)
        ahead["back"] = False
        if self._faults.take("no-capacity"):
            ahead["back"], ahead["reason"] = True, NO_CAPACITY
        elif self._faults.take("rollback-with-reason"):
            ahead["back"], ahead["reason"] = True, ALARMED
        elif self._faults.take("silent-rollback"):
            ahead["back"] = True
        self._begin(thing, ahead)
        if not ahead["back"]:
            self._deploy(thing, configuration)
        return {"EndpointArn": thing.arn}

    def weigh(self, parameters: Parameters) -> Parameters:
        """UpdateEndpointWeightsAndCapacities."""
        thing = self._idle(parameters["EndpointName"])
        variants = [dict(variant) for variant in thing.more["ProductionVariants"]]
        known = {variant["VariantName"]: variant for variant in variants}
        for wanted in parameters["DesiredWeightsAndCapacities"]:
            name = wanted["VariantName"]
            if name not in known:
                raise Invalid(
                    f'The variant name(s) "{name}" is/are not present within endpoint configuration '
                    f'"{thing.parameters["EndpointConfigName"]}".'
                )
            if "DesiredWeight" in wanted:
                known[name]["DesiredWeight"] = known[name]["CurrentWeight"] = wanted["DesiredWeight"]
            if "DesiredInstanceCount" in wanted:
                count = wanted["DesiredInstanceCount"]
                known[name] |= dict.fromkeys(("DesiredInstanceCount", "CurrentInstanceCount"), count)
        name = thing.parameters["EndpointConfigName"]
        self._begin(thing, {"EndpointConfigName": name, "variants": variants, "reason": None, "back": False})
        return {"EndpointArn": thing.arn}

    def delete(self, parameters: Parameters) -> Parameters:
        thing = self.get(parameters["EndpointName"])
        if thing.status in ("Creating", "Updating", "RollingBack"):
            raise Invalid(f'Cannot delete in-progress endpoint "{thing.arn}".')
        thing.status, thing.then, thing.due = "Deleting", "Gone", self._store.clock.due()
        thing.more["_models"] = {}
        self._retire()
        return {}

    def chosen(self, name: str, wanted: str = "") -> tuple[str, str]:
        """Return the variant that answers the next request, and its model; shares follow the weights exactly.

        SageMaker draws lots; taking turns by weight (as nginx does) makes shares that can be counted.

        Raises:
            Invalid: nothing answers, or there is no such variant.
        """
        thing = self.get(name) if self._store.find(ENDPOINT, name) else None
        if thing is None or thing.status not in ("InService", "Updating", "RollingBack"):
            raise Invalid(f"Endpoint {name} of account {ACCOUNT} not found.")
        shares = {item["VariantName"]: item["CurrentWeight"] for item in thing.more["ProductionVariants"]}
        if wanted and wanted not in shares:
            raise Invalid(f"Variant {wanted} not found for Request")
        turns: dict[str, float] = thing.more.setdefault("_turns", {})
        for variant in list(turns):
            if variant not in shares:
                del turns[variant]
        for variant, weight in shares.items():
            turns[variant] = turns.get(variant, 0.0) + weight
        variant = wanted or max(shares, key=lambda item: turns[item])
        if not wanted:
            turns[variant] -= sum(shares.values())
        return variant, thing.more["_models"].get(variant, "")

    def _retire(self) -> None:
        """Stop what no endpoint serves any more."""
        things = list(self._store.all(ENDPOINT))
        wanted = [more for thing in things for more in (thing.more, thing.more.get("_next", {}))]
        self._fleet.keep({model for more in wanted for model in more.get("_models", {}).values()})

    def _idle(self, name: str) -> Thing:
        thing = self.get(name)
        if thing.status != "InService":
            raise Invalid(f'Cannot update in-progress endpoint "{thing.arn}".')
        return thing

    def _begin(self, thing: Thing, ahead: Parameters) -> None:
        thing.status, thing.then, thing.due = "Updating", "InService", self._store.clock.due()
        thing.more["_next"] = ahead
        thing.more.pop("FailureReason", None)
        thing.modified = time.time()

    def _arrive(self, thing: Thing) -> None:
        """What was under way has ended: the new configuration serves, or the old one again."""
        reason = thing.more.pop("_reason", None)
        if reason:
            thing.more["FailureReason"] = reason
        ahead = thing.more.pop("_next", None)
        if ahead is None:
            return
        if ahead["back"] and not ahead.get("returning"):
            thing.status, thing.then, thing.due = "RollingBack", "InService", self._store.clock.due()
            thing.more["_next"] = {**ahead, "returning": True}
            return
        if ahead["back"]:
            self._retire()
            if ahead["reason"]:
                thing.more["FailureReason"] = ahead["reason"]
            return
        thing.parameters["EndpointConfigName"] = ahead["EndpointConfigName"]
        thing.more["ProductionVariants"] = ahead["variants"]
        thing.more["_models"] = ahead.get("_models", thing.more["_models"])
        self._retire()
        if "capture" in ahead:
            thing.more["DataCaptureConfig"] = ahead["capture"]
            thing.more["LastDeploymentConfig"] = ahead["deployment"]

    def _registered(self, endpoint: str, serving: Thing, wanted: Thing) -> None:
        """Refuse another instance type, or the removal, of a variant that is scaled."""
        new = {variant["VariantName"]: variant for variant in wanted.parameters["ProductionVariants"]}
        for variant in serving.parameters["ProductionVariants"]:
            name = variant["VariantName"]
            if not self._scaled(endpoint, name):
                continue
            if name not in new or new[name].get("InstanceType") != variant.get("InstanceType"):
                verb = "remove" if name not in new else "change the instance type of"
                raise Invalid(
                    f"Cannot {verb} variant {name}: it is registered with Application Auto Scaling. "
                    "Deregister the scalable target first."
                )

    def _quota(self, name: str, configuration: Thing) -> None:
        if self._faults.take("quota"):
            kind = configuration.parameters["ProductionVariants"][0].get("InstanceType", "serverless")
            raise LimitExceeded(
                f"An error occurred when calling the {name} operation: The account-level service limit "
                f"'{kind} for endpoint usage' is 0 Instances, with current utilization of 0 Instances and a request "
                "delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota."
            )


def _guarded(parameters: Parameters, serving: list[Parameters], ahead: list[Parameters]) -> None:
    """Refuse a guarded deployment to other variants."""
    names = [{variant["VariantName"] for variant in variants} for variants in (serving, ahead)]
    if "DeploymentConfig" in parameters and names[0] != names[1]:
        raise Invalid("The new endpoint configuration must have the same variant names as the old one.")


def _capture(configuration: Thing) -> Parameters | None:
    declared: dict[str, Any] | None = configuration.parameters.get("DataCaptureConfig")
    if not declared or not declared.get("EnableCapture"):
        return None
    return {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": declared["InitialSamplingPercentage"],
        "DestinationS3Uri": declared["DestinationS3Uri"],
        "KmsKeyId": declared.get("KmsKeyId", ""),
    }


def _retain(serving: list[Parameters], ahead: list[Parameters], left_out: set[str]) -> None:
    """Keep weights and counts of the variants that stay."""
    kept = {variant["VariantName"]: variant for variant in serving}
    for variant in ahead:
        old = kept.get(variant["VariantName"], {})
        for name in ("DesiredWeight", "DesiredInstanceCount"):
            if name in old and name not in left_out:
                variant[name] = variant[name.replace("Desired", "Current")] = old[name]


def remove_group_in_use(versions: int, name: str) -> None:
    """Refuse to delete a model package group that has versions (DeleteModelPackageGroup: ConflictException)."""
    if versions:
        raise InUse(f"Model package group {name} has {versions} model package(s); delete them first.")
