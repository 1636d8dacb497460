"""Training and tuning jobs of SageMaker: their volumes, their outputs, and what their instances send each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import if_on_volumes, listed, without_key

_JOB = "aws:sagemaker/trainingJob:TrainingJob"
_TUNING = "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob"


@decides("ENC-05", _JOB, _TUNING)
def volumes_and_outputs_of_training(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every job has a key for its volumes and one for its output."""
    for job in _jobs(resource):
        cluster = _cluster(job)
        groups = [*every(cluster, "instanceGroups[].instanceType"), *every(cluster, "instanceConfigs[].instanceType")]
        machines = groups or [at(cluster, "instanceType")]
        yield from if_on_volumes(machines, without_key(at(cluster, "volumeKmsKeyId"), resource, inspection))
        yield from without_key(at(job, "outputDataConfig.kmsKeyId"), resource, inspection)


@decides("ENC-06", _JOB, _TUNING)
def traffic_of_training(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Instance groups work together; of several instance configurations a tuning job takes the first one to be had."""
    for job in _jobs(resource):
        cluster = _cluster(job)
        switch = at(job, "enableInterContainerTrafficEncryption")
        for configured in every(cluster, "instanceConfigs[].instanceCount"):
            yield from plain_traffic(switch, [configured])
        groups = every(cluster, "instanceGroups[].instanceCount")
        yield from plain_traffic(switch, groups or [at(cluster, "instanceCount")])


def plain_traffic(switch: Value, counts: Sequence[Value]) -> Iterator[Answer]:
    """Yield that `switch` does not encrypt what two or more instances send each other.

    `counts` are numbers of instances that work together; where nothing is said, it is one.
    """
    if is_true(switch.value):
        return
    if sum(number(count.value) or 0 for count in counts) >= 2:
        if switch.hidden:
            yield unknown(switch.path)
        else:
            found = "two or more instances send each other data in the clear"
            yield violation(switch.path, found, remedy=f"{switch.path}: true")
    else:
        yield from (unknown(count.path) for count in counts if count.hidden)


def _jobs(resource: Resource) -> list[Value]:
    """Return what describes a job: the resource itself, or the definitions of a tuning job."""
    if resource.type == _JOB:
        return [Value("", resource.inputs)]
    return [
        *listed(at(resource.inputs, "trainingJobDefinition")),
        *listed(at(resource.inputs, "trainingJobDefinitions")),
    ]


def _cluster(job: Value) -> Value:
    tuning = at(job, "hyperParameterTuningResourceConfig")
    return at(job, "resourceConfig") if tuning.absent else tuning
