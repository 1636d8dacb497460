"""Endpoints of SageMaker: the volumes of their instances, and what they record."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import if_on_volumes, if_said, without_key

_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


@decides("ENC-01", _CONFIGURATION)
def volumes_of_an_endpoint(configuration: Resource, inspection: Inspection) -> Iterator[Answer]:
    """One key protects the volumes of all variants, unless no variant has one."""
    inputs = configuration.inputs
    variants = [*every(inputs, "productionVariants[]"), *every(inputs, "shadowProductionVariants[]")]
    machines = [_machine(variant) for variant in variants] or [at(inputs, "productionVariants")]
    yield from if_on_volumes(machines, without_key(at(inputs, "kmsKeyArn"), configuration, inspection))


@decides("ENC-02", _CONFIGURATION)
def recorded_by_an_endpoint(configuration: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Captured requests and asynchronous answers have a key each."""
    capture = at(configuration.inputs, "dataCaptureConfig")
    missing = without_key(at(capture, "kmsKeyId"), configuration, inspection)
    yield from if_said(at(capture, "enableCapture"), "true", missing)
    answers = at(configuration.inputs, "asyncInferenceConfig")
    if not answers.absent:
        yield from without_key(at(answers, "outputConfig.kmsKeyId"), configuration, inspection)


def _machine(variant: Value) -> Value:
    serverless = at(variant, "serverlessConfig")
    return at(variant, "instanceType") if serverless.absent else serverless
