"""Monitoring jobs of SageMaker: their volumes, their outputs, and what their instances send each other."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import if_on_volumes, said_of, without_key
from mlinfra_policies.families.encryption.training import plain_traffic

_DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"
_SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"


@decides("ENC-07", _DEFINITION)
def job_of_a_definition(definition: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A job definition says all about its job."""
    job = Value("", definition.inputs)
    yield from _job(job, "jobResources", "dataQualityJobOutputConfig", definition, inspection)


@decides("ENC-07", _SCHEDULE)
def job_of_a_schedule(schedule: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A schedule describes its job, or names a definition that does."""
    name = at(schedule.inputs, "monitoringScheduleConfig.monitoringJobDefinitionName")
    if name.absent:
        job = at(schedule.inputs, "monitoringScheduleConfig.monitoringJobDefinition")
        yield from _job(job, "monitoringResources", "monitoringOutputConfig", schedule, inspection)
        return
    definitions = inspection.referred(schedule, name, "name", _DEFINITION)
    if not definitions:
        yield unknown(name.path, "the job definition is not part of the plan")
    for definition in definitions:
        for answer in job_of_a_definition(definition, inspection):
            yield said_of(definition, name, answer)


def _job(job: Value, resources: str, output: str, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    cluster = at(job, f"{resources}.clusterConfig")
    missing = without_key(at(cluster, "volumeKmsKeyId"), resource, inspection)
    yield from if_on_volumes([at(cluster, "instanceType")], missing)
    yield from without_key(at(job, f"{output}.kmsKeyId"), resource, inspection)
    switch = at(job, "networkConfig.enableInterContainerTrafficEncryption")
    yield from plain_traffic(switch, [at(cluster, "instanceCount")])
