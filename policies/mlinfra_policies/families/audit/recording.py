"""Whether the requests and responses of production endpoints are recorded."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies.production import production_only

_BOTH = {"Input", "Output"}
_COLLECTIONS = ("model_inputs", "model_outputs")


@decides("AUD-01", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
@production_only
def endpoints_of_sagemaker_are_recorded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    capture = at(resource.inputs, "dataCaptureConfig")
    [switch], [sampling] = every(capture, "enableCapture"), every(capture, "initialSamplingPercentage")
    modes = every(capture, "captureOptions[].captureMode")
    known = {str(mode.value) for mode in modes}
    covered = _BOTH if "InputAndOutput" in known else _BOTH & known
    yield from _on(switch)
    yield from _not_zero(sampling)
    if covered != _BOTH and any(mode.unknown for mode in modes):
        yield unknown(f"{capture.path}.captureOptions", "which directions are recorded is known only after an up")
    elif covered != _BOTH:
        found = f"only {' and '.join(covered)} is recorded" if covered else "no direction is recorded"
        yield violation(f"{capture.path}.captureOptions", f"{found}; Input and Output are wanted")


@decides("AUD-01", "gcp:vertex/aiEndpoint:AiEndpoint")
@production_only
def endpoints_of_vertex_are_recorded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    logging = at(resource.inputs, "predictRequestResponseLoggingConfig")
    yield from _on(every(logging, "enabled")[0])
    yield from _not_zero(every(logging, "samplingRate")[0])


@decides("AUD-01", "azure-native:machinelearningservices:OnlineDeployment")
@production_only
def deployments_of_azure_are_recorded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for name in _COLLECTIONS:
        collection = at(resource.inputs, f"properties.dataCollector.collections.{name}")
        [mode], [sampling] = every(collection, "dataCollectionMode"), every(collection, "samplingRate")
        if mode.hidden:
            yield unknown(mode.path)
        elif mode.value != "Enabled":
            found = "is not collected" if collection.absent else f"has the mode {mode.value or 'Disabled'}"
            yield violation(mode.path, f"{name} {found}; Enabled is wanted")
        yield from _not_zero(sampling)


@decides("AUD-01", "kubernetes:serving.kserve.io/*:InferenceService")
@production_only
def inference_services_are_recorded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    logger = at(resource.inputs, "spec.predictor.logger")
    [mode] = every(logger, "mode")
    if logger.absent:
        yield violation(logger.path, "requests and responses are not logged", remedy="logger: {mode: all}")
    elif mode.hidden:
        yield unknown(mode.path)
    elif not mode.absent and mode.value != "all":
        yield violation(mode.path, f"the logger records {mode.value} only; all is wanted", remedy="mode: all")


def _on(switch: Value) -> Iterator[Answer]:
    """Yield whether a switch is on; absent, it is off."""
    if switch.hidden:
        yield unknown(switch.path)
    elif not is_true(switch.value):
        yield violation(switch.path, "requests and responses are not recorded", remedy=f"{switch.path}: true")


def _not_zero(sampling: Value) -> Iterator[Answer]:
    if sampling.hidden:
        yield unknown(sampling.path)
    elif number(sampling.value) == 0:
        yield violation(sampling.path, "no request is sampled")
