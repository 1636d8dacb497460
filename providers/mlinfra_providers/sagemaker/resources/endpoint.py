"""Endpoint: SageMaker's, changed without moving a request.

The endpoint of pulumi-aws cannot say RetainAllVariantProperties, and without it each change of the configuration sets
weights and instance counts back (UpdateEndpoint's documentation). And a rollback that SageMaker makes is found by
reading back: an update may end InService with the configuration that was there before
(https://github.com/pulumi/pulumi-aws and terraform-provider-aws, issues 46663 and 48997).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra.problems import MlinfraError
from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.sagemaker.clients import clients, done_already_is_fine, explained, gone_is_fine, is_taken
from mlinfra_providers.sagemaker.endpoint_api import describe, gone, settled
from mlinfra_providers.sagemaker.resources import variant_scaling


class Endpoint(Handler):
    """Its configuration is changed in place; whoever has a share of the requests keeps it.

    `instances` are the bounds of each variant, [least, most]: a count beyond them was set by hand, and is put back.
    """

    outputs: ClassVar[tuple[str, ...]] = ("arn",)
    immutable: ClassVar[frozenset[str]] = frozenset({"account", "region", "environment", "name"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Create the endpoint, or find it created; return when it serves."""
        api = clients(inputs)("sagemaker")
        name = inputs["name"]
        found = describe(api, name)
        if found is not None and settled(api, name)["EndpointStatus"] == "Failed":
            # whoever made it was killed while it failed, and of a failed endpoint nothing else can be made
            self.delete(name, inputs)
            found = None
        if found is None:
            self._make(api, inputs)
        elif found["EndpointConfigName"] != inputs["endpointConfigName"]:
            return name, self.update(name, inputs, inputs)
        try:
            return name, {"arn": _settle(api, inputs)}
        except MlinfraError:
            if (describe(api, name) or {}).get("EndpointStatus") == "Failed":
                self.delete(name, inputs)
            raise

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the configuration that is really in force, as an input too: a rollback is seen by a refresh."""
        api = clients(inputs)("sagemaker")
        found = describe(api, id_)
        if found is None:
            return None
        with explained(f"reading the tags of {id_}"):
            tags = api.list_tags(ResourceArn=found["EndpointArn"])["Tags"]
        own = {item["Key"]: item["Value"] for item in tags if not item["Key"].startswith("aws:")}
        there = {
            "endpointConfigName": found["EndpointConfigName"],
            "tags": own,
            "instances": {**inputs["instances"], **{name: [now, now] for name, (now, _) in _beyond(found, inputs)}},
        }
        return Found({**inputs, **there}, {"arn": found["EndpointArn"]})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change configuration and tags; the split stays as it is.

        Raises:
            MlinfraError: it would take requests from a release that serves, or SageMaker went back.
        """
        api = clients(new)("sagemaker")
        self._tag(api, settled(api, id_)["EndpointArn"], old.get("tags", {}), new["tags"])
        found = describe(api, id_)
        if found is None or found["EndpointConfigName"] != new["endpointConfigName"]:
            self._change(api, id_, new)
        arn = _settle(api, new)
        self._count(api, new)
        return {"arn": arn}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Delete the endpoint, or find it gone."""
        api = clients(inputs)("sagemaker")
        with explained(f"deleting the endpoint {id_}"):
            with gone_is_fine():
                api.delete_endpoint(EndpointName=id_)
            gone(api, id_)

    def _make(self, api: Any, inputs: Properties) -> None:
        """Create the endpoint. A connection may be lost after it was: asked again, SageMaker says that it exists."""
        from botocore.exceptions import ClientError

        name = inputs["name"]
        with explained(f"creating the endpoint {name}"):
            try:
                api.create_endpoint(
                    EndpointName=name,
                    EndpointConfigName=inputs["endpointConfigName"],
                    Tags=[{"Key": key, "Value": value} for key, value in sorted(inputs["tags"].items())],
                )
            except ClientError as error:
                if not is_taken(error):
                    raise

    def _count(self, api: Any, inputs: Properties) -> None:
        """Bring back how many instances a variant has, where somebody set it beyond what is declared."""
        name = inputs["name"]
        beyond = _beyond(settled(api, name), inputs)
        if not beyond:
            return
        wanted = [{"VariantName": variant, "DesiredInstanceCount": count} for variant, (_, count) in beyond]
        with explained(f"setting the instances of {name}"), done_already_is_fine():
            api.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
        settled(api, name)

    def _change(self, api: Any, name: str, new: Properties) -> None:
        with explained(f"reading the configuration {new['endpointConfigName']}"):
            configuration = api.describe_endpoint_config(EndpointConfigName=new["endpointConfigName"])
        wanted = {item["VariantName"]: item for item in configuration["ProductionVariants"]}
        found = describe(api, name) or {}
        there = {item["VariantName"]: item for item in found.get("ProductionVariants", ())}
        serving = {variant for variant, item in there.items() if item.get("CurrentWeight")}
        leaving = sorted(serving - set(wanted))
        if leaving and new.get("bySteps"):
            raise MlinfraError(
                f"{', '.join(leaving)} serves {name} and is not declared any more",
                remedy=f"name it as previous in environments/{new['environment']}.lock.yaml, as mlinfra promote does",
            )
        scaling = clients(new)("application-autoscaling")
        # a variant that leaves, or gets another machine, must not be registered while the endpoint changes
        changed = [variant for variant, item in there.items() if _machine_differs(api, found, variant, wanted)]
        registered = variant_scaling.take(scaling, name, changed)
        try:
            with explained(f"updating the endpoint {name}"), done_already_is_fine():
                api.update_endpoint(
                    EndpointName=name,
                    EndpointConfigName=new["endpointConfigName"],
                    RetainAllVariantProperties=bool(serving & set(wanted)),
                    # a guarded deployment demands the same variants; one that comes has no share of the requests yet
                    # (docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html)
                    **({"DeploymentConfig": guard(new["deploymentConfig"])} if set(wanted) == set(there) else {}),
                )
            _settle(api, new)
        finally:
            variant_scaling.put_back(scaling, [item for item in registered if item.variant in wanted])

    def _tag(self, api: Any, arn: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        with explained(f"tagging {arn}"):
            if gone := sorted(set(old) - set(new)):
                api.delete_tags(ResourceArn=arn, TagKeys=gone)
            api.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in sorted(new.items())])


def _beyond(found: Properties, inputs: Properties) -> list[tuple[str, tuple[int, int]]]:
    """Return each variant whose instance count is not within its bounds: the count, and the nearest one within."""
    counts = {item["VariantName"]: item.get("DesiredInstanceCount") for item in found.get("ProductionVariants", ())}
    return [
        (variant, (count, int(min(max(count, least), most))))
        for variant, (least, most) in inputs["instances"].items()
        if (count := counts.get(variant)) is not None and not least <= count <= most
    ]


def guard(declared: Properties) -> dict[str, Any]:
    """Return the deployment configuration as the API writes it."""
    return {key[0].upper() + key[1:]: _upper(value) for key, value in declared.items()}


def _upper(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key[0].upper() + key[1:]: _upper(item) for key, item in value.items()}
    return [_upper(item) for item in value] if isinstance(value, list | tuple) else value


def _settle(api: Any, inputs: Properties) -> str:
    """Wait until the endpoint serves with the declared configuration; return its ARN.

    Raises:
        MlinfraError: it failed, or went back to another configuration.
    """
    found = settled(api, inputs["name"])
    failed = found.get("FailureReason") or found["EndpointStatus"]
    if found["EndpointStatus"] != "InService":
        raise MlinfraError(f"the endpoint {inputs['name']} does not serve: {failed}")
    if found["EndpointConfigName"] != inputs["endpointConfigName"]:
        raise MlinfraError(
            f"SageMaker took the endpoint {inputs['name']} back to {found['EndpointConfigName']}: {failed}",
            remedy=f"mlinfra logs {inputs['environment']}; what served before still serves",
        )
    return str(found["EndpointArn"])


def _machine_differs(api: Any, found: Properties, variant: str, wanted: Mapping[str, Any]) -> bool:
    if variant not in wanted:
        return True
    with explained(f"reading the configuration {found['EndpointConfigName']}"):
        configuration = api.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    now = {item["VariantName"]: item.get("InstanceType") for item in configuration["ProductionVariants"]}
    return bool(now.get(variant) != wanted[variant].get("InstanceType"))
