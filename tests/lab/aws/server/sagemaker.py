"""The operations of SageMaker in the lab, put in the place of moto's or beside them.

Each request is checked against botocore's model first, enums, patterns and ranges too: moto checks none of them.
Sources: docs.aws.amazon.com/sagemaker/latest/APIReference, the page of each operation.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from tests.lab.aws.server.endpoints import (
    CONFIGURATION,
    ENDPOINT,
    MODEL,
    Endpoints,
    checked_configuration,
    remove_group_in_use,
)
from tests.lab.aws.server.faults import Faults
from tests.lab.aws.server.fleet import Fleet
from tests.lab.aws.server.pipelines import PIPELINE, TRAINING, Executions
from tests.lab.aws.server.store import ACCOUNT, Clock, Entity, Invalid, Parameters, Store, Thing, judged
from tests.lab.aws.server.training import Jobs
from tests.lab.aws.shapes import service

FEATURE_GROUP = Entity(
    "FeatureGroup", "FeatureGroupName", "feature-group", status=("Creating", "Created"), modern=True,
    listed="FeatureGroupSummaries",
)  # fmt: skip
GROUP = Entity(
    "ModelPackageGroup", "ModelPackageGroupName", "model-package-group", called="ModelPackageGroup",
    status=("Pending", "Completed"), listed="ModelPackageGroupSummaryList",
)  # fmt: skip
PACKAGE = Entity(
    "ModelPackage", "ModelPackageName", "model-package", called="ModelPackage", status=("Pending", "Completed"),
    listed="ModelPackageSummaryList",
)  # fmt: skip
SCHEDULE = Entity(
    "MonitoringSchedule", "MonitoringScheduleName", "monitoring-schedule", status=("Pending", "Scheduled"),
    modern=True, listed="MonitoringScheduleSummaries",
)  # fmt: skip
PROCESSING = Entity(
    "ProcessingJob", "ProcessingJobName", "processing-job", status=("InProgress", "Completed"), modern=True,
    listed="ProcessingJobSummaries",
)  # fmt: skip
QUALITY = Entity(
    "DataQualityJobDefinition", "JobDefinitionName", "data-quality-job-definition", arn="JobDefinitionArn",
    modern=True, listed="JobDefinitionSummaries",
)  # fmt: skip
ENTITIES = (MODEL, CONFIGURATION, ENDPOINT, FEATURE_GROUP, GROUP, PACKAGE, PIPELINE, SCHEDULE, TRAINING, PROCESSING,
            QUALITY)  # fmt: skip

UPDATED = {
    "UpdatePipeline": PIPELINE,
    "UpdateMonitoringSchedule": SCHEDULE,
}
"""Updates that replace the members that the request names."""


class SageMaker:
    """One region of it."""

    def __init__(self, region: str, clock: Clock, faults: Faults) -> None:
        self.store = Store(region, clock)
        self._region = region
        self.fleet = Fleet(self._objects)
        self.jobs = Jobs(self._objects, self._put, self._tell)
        self._executions = Executions(self.store, self._train, self._stop_training)
        self.endpoints = Endpoints(self.store, faults, self._scaled, self.fleet, self._container)
        self.operations = dict(self._operations())

    def close(self) -> None:
        """Stop every process that serves or trains."""
        self.fleet.keep(set())
        self.jobs.close()

    def call(self, name: str, parameters: Parameters) -> Parameters:
        """Answer a request. Raises Invalid and its like."""
        judged(name, parameters)
        with self.store.lock:
            answer: Parameters = self.operations[name](parameters)
        return answer

    def _operations(self) -> Any:
        known = service("sagemaker").operation_names
        for entity in ENTITIES:
            for verb in ("Create", "Describe", "Delete"):
                name = f"{verb}{entity.noun}"
                if name in known:
                    yield name, getattr(self, f"_{verb.lower()}")(entity)
            if f"List{entity.noun}s" in known:
                yield f"List{entity.noun}s", self._list(entity)
        for name, entity in UPDATED.items():
            yield name, self._update(entity)
        yield "CreateEndpointConfig", self._create_configuration
        yield "CreateEndpoint", self.endpoints.create
        yield "DescribeEndpoint", self.endpoints.describe
        yield "UpdateEndpoint", self.endpoints.update
        yield "UpdateEndpointWeightsAndCapacities", self.endpoints.weigh
        yield "DeleteEndpoint", self.endpoints.delete
        yield "CreateModelPackage", self._create_package
        yield "DescribeModelPackage", self._describe_package
        yield "UpdateModelPackage", self._update_package
        yield "DeleteModelPackage", self._delete_package
        yield "DeleteModelPackageGroup", self._delete_group
        yield "UpdateFeatureGroup", self._update_feature_group
        yield "CreateTrainingJob", lambda asked: {"TrainingJobArn": self._train(asked).arn}
        yield "StopTrainingJob", self._stop(TRAINING)
        yield from self._executions.operations().items()
        yield "StopProcessingJob", self._stop(PROCESSING)
        yield "AddTags", self._add_tags
        yield "DeleteTags", self._delete_tags
        yield "ListTags", lambda asked: {"Tags": self._tags(asked["ResourceArn"])}

    def _create(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def create(parameters: Parameters) -> Parameters:
            return {entity.arn_member: self.store.create(entity, parameters).arn}

        return create

    def _describe(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def describe(parameters: Parameters) -> Parameters:
            return self.store.described(entity, self.store.get(entity, parameters[entity.name]))

        return describe

    def _delete(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def delete(parameters: Parameters) -> Parameters:
            name = parameters[entity.name]
            thing = self.store.get(entity, name)
            if entity is FEATURE_GROUP:
                thing.status, thing.then, thing.due = "Deleting", "Gone", self.store.clock.due()
            else:
                self.store.drop(entity, name)
            return {entity.arn_member: thing.arn} if entity is PIPELINE else {}

        return delete

    def _list(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def listed(parameters: Parameters) -> Parameters:
            group = parameters.get("ModelPackageGroupName")
            things = [
                thing
                for thing in self.store.all(entity)
                if not group or thing.parameters.get("ModelPackageGroupName") == group.rsplit("/", 1)[-1]
            ]
            wanted = str(parameters.get("NameContains") or parameters.get("PipelineNamePrefix") or "")
            since = float(parameters.get("CreationTimeAfter") or parameters.get("CreatedAfter") or 0)
            return {
                entity.listed: [
                    self._summary(entity, thing)
                    for thing in sorted(things, key=lambda thing: -thing.made)
                    if wanted in str(thing.parameters.get(entity.name, "")) and thing.made > since
                ]
            }

        return listed

    def _summary(self, entity: Entity, thing: Thing) -> Parameters:
        told = self.store.described(entity, self.endpoints.get(thing.arn) if entity is ENDPOINT else thing)
        return told | ({"MonitoringScheduleStatus": thing.status} if entity is SCHEDULE else {})

    def _update(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def update(parameters: Parameters) -> Parameters:
            thing = self.store.get(entity, parameters[entity.name])
            thing.parameters |= parameters
            thing.modified = time.time()
            return {entity.arn_member: thing.arn}

        return update

    def _stop(self, entity: Entity) -> Callable[[Parameters], Parameters]:
        def stop(parameters: Parameters) -> Parameters:
            thing = self.store.get(entity, parameters[entity.name])
            if thing.status != "InProgress":
                raise Invalid(f"The request was rejected because the {entity.called} is in status {thing.status}.")
            self._stop_training(thing)
            return {}

        return stop

    def _stop_training(self, thing: Thing) -> None:
        if thing.status == "InProgress":
            thing.status, thing.then, thing.due = "Stopping", "Stopped", self.store.clock.due()
            self.jobs.stop(thing)

    def _train(self, parameters: Parameters) -> Thing:
        judged("CreateTrainingJob", parameters)
        thing = self.store.create(TRAINING, parameters)
        self.jobs.start(thing)
        return thing

    def _create_configuration(self, parameters: Parameters) -> Parameters:
        checked_configuration(self.store, parameters)
        return {"EndpointConfigArn": self.store.create(CONFIGURATION, parameters).arn}

    def _create_package(self, parameters: Parameters) -> Parameters:
        """A version of a group has the next number and belongs to its name; the same ClientToken is the same version
        (CreateModelPackage)."""
        group = parameters.get("ModelPackageGroupName")
        if group is None:
            return {"ModelPackageArn": self.store.create(PACKAGE, parameters).arn}
        name = self.store.get(GROUP, group).parameters["ModelPackageGroupName"]
        token = parameters.get("ClientToken")
        for thing in self._versions(name):
            if token and thing.parameters.get("ClientToken") == token:
                return {"ModelPackageArn": thing.arn}
        number = 1 + max((thing.more["ModelPackageVersion"] for thing in self._versions(name)), default=0)
        kept = parameters | {PACKAGE.name: str(number), "ModelPackageGroupName": name}
        arn = f"arn:aws:sagemaker:{self._region}:{ACCOUNT}:model-package/{name}/{number}"
        thing = Thing({key: value for key, value in kept.items() if key != "Tags"}, arn)
        (thing.status, thing.then), thing.due = ("Pending", "Completed"), self.store.clock.due()
        thing.parameters.setdefault("ModelApprovalStatus", "PendingManualApproval")
        thing.more["ModelPackageVersion"] = number
        # versions of two groups have the same last step: the key is the whole of it
        self.store.things[(PACKAGE.noun, f"{name}/{number}".lower())] = thing
        self.store.tags[arn] = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
        return {"ModelPackageArn": arn}

    def _versions(self, group: str) -> list[Thing]:
        found = []
        for (noun, _), thing in self.store.things.items():
            if noun == PACKAGE.noun and thing.parameters.get("ModelPackageGroupName") == group:
                thing.settle()
                found.append(thing)
        return found

    def package(self, name: str) -> Thing:
        """Return a version by ARN. Raises Invalid."""
        key = (PACKAGE.noun, name.partition("model-package/")[2].lower() or name.lower())
        if key not in self.store.things:
            raise Invalid(f"ModelPackage {name} does not exist.")
        self.store.things[key].settle()
        return self.store.things[key]

    def _update_package(self, parameters: Parameters) -> Parameters:
        thing = self.package(parameters["ModelPackageArn"])
        thing.parameters |= {key: value for key, value in parameters.items() if key != "ModelPackageArn"}
        thing.modified = time.time()
        return {"ModelPackageArn": thing.arn}

    def _describe_package(self, parameters: Parameters) -> Parameters:
        thing = self.package(parameters["ModelPackageName"])
        details: Parameters = {"ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []}}
        return self.store.described(PACKAGE, thing) | details

    def _delete_package(self, parameters: Parameters) -> Parameters:
        thing = self.package(parameters["ModelPackageName"])
        del self.store.things[(PACKAGE.noun, thing.arn.partition("model-package/")[2].lower())]
        self.store.tags.pop(thing.arn, None)
        return {}

    def _delete_group(self, parameters: Parameters) -> Parameters:
        name = parameters["ModelPackageGroupName"]
        remove_group_in_use(len(self._versions(self.store.get(GROUP, name).parameters[GROUP.name])), name)
        self.store.drop(GROUP, name)
        return {}

    def _update_feature_group(self, parameters: Parameters) -> Parameters:
        """Features are added, never taken away; settings of the online store change (UpdateFeatureGroup)."""
        thing = self.store.get(FEATURE_GROUP, parameters["FeatureGroupName"])
        if thing.status != "Created":
            raise Invalid(f"FeatureGroup {parameters['FeatureGroupName']} is in status {thing.status}.")
        there = {feature["FeatureName"] for feature in thing.parameters["FeatureDefinitions"]}
        added = parameters.get("FeatureAdditions", [])
        twice = [feature["FeatureName"] for feature in added if feature["FeatureName"] in there]
        if twice:
            raise Invalid(f"FeatureAdditions name features that exist: {', '.join(twice)}")
        thing.parameters["FeatureDefinitions"] = [*thing.parameters["FeatureDefinitions"], *added]
        if "OnlineStoreConfig" in parameters:
            thing.parameters.setdefault("OnlineStoreConfig", {}).update(parameters["OnlineStoreConfig"])
        if "ThroughputConfig" in parameters:
            thing.parameters["ThroughputConfig"] = parameters["ThroughputConfig"]
        thing.more["LastUpdateStatus"] = {"Status": "Successful"}
        return {"FeatureGroupArn": thing.arn}

    def _tags(self, arn: str) -> list[dict[str, str]]:
        if arn not in self.store.tags:
            raise Invalid(f"Could not find resource {arn}")
        return [{"Key": key, "Value": value} for key, value in self.store.tags[arn].items()]

    def _add_tags(self, parameters: Parameters) -> Parameters:
        self._tags(parameters["ResourceArn"])
        self.store.tags[parameters["ResourceArn"]] |= {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        return {"Tags": self._tags(parameters["ResourceArn"])}

    def _delete_tags(self, parameters: Parameters) -> Parameters:
        self._tags(parameters["ResourceArn"])
        for key in parameters["TagKeys"]:
            self.store.tags[parameters["ResourceArn"]].pop(key, None)
        return {}

    def _container(self, model: str) -> Parameters:
        """Return what runs for a model; a package in the registry says what the model leaves open."""
        parameters = self.store.get(MODEL, model).parameters
        container: Parameters = parameters.get("PrimaryContainer") or parameters["Containers"][0]
        if "ModelPackageName" not in container:
            return container
        package = self.package(container["ModelPackageName"]).parameters
        return {**package["InferenceSpecification"]["Containers"][0], **container}

    def _objects(self, uri: str) -> list[tuple[str, bytes]]:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        found = s3_backends[ACCOUNT]["aws"].get_bucket(bucket).keys
        keys = {name: key for name, key in found.items() if name.startswith(prefix)}
        return [(name[len(prefix) :].lstrip("/") or Path(name).name, key.value) for name, key in keys.items()]

    def _put(self, uri: str, content: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        s3_backends[ACCOUNT]["aws"].put_object(bucket, key, content)

    def _tell(self, stream: str, lines: list[str]) -> None:
        """Write a job's lines to CloudWatch: the group is made with the first stream."""
        kept, group = logs_backends[ACCOUNT][self._region], "/aws/sagemaker/TrainingJobs"
        if group not in kept.groups:
            kept.create_log_group(group, {})
        kept.ensure_log_stream(group, stream)
        now = int(time.time() * 1000)
        kept.put_log_events(group, stream, [{"timestamp": now, "message": line or " "} for line in lines])

    def capture(self, endpoint: str, variant: str, asked: bytes, answered: bytes, kind: str) -> None:
        """Write down a request as data capture does, below the destination of the endpoint's configuration.

        Form: docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html.
        """
        with self.store.lock:
            wanted = self.endpoints.get(endpoint).more.get("DataCaptureConfig")
        if not wanted or random.random() * 100 >= wanted["CurrentSamplingPercentage"]:
            return

        def told(data: bytes, mode: str) -> Parameters:
            text = data.decode(errors="replace")
            encoding = "JSON" if kind == "application/json" else "CSV"
            return {"observedContentType": kind, "mode": mode, "data": text, "encoding": encoding}

        now = datetime.now(UTC)
        id_ = str(uuid.uuid4())
        record = {
            "captureData": {"endpointInput": told(asked, "INPUT"), "endpointOutput": told(answered, "OUTPUT")},
            "eventMetadata": {"eventId": id_, "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
            "eventVersion": "0",
        }
        place = f"{endpoint}/{variant}/{now:%Y/%m/%d/%H}/{now:%M-%S}-{id_}.jsonl"
        self._put(f"{wanted['DestinationS3Uri'].rstrip('/')}/{place}", f"{json.dumps(record)}\n".encode())

    def _scaled(self, endpoint: str, variant: str) -> bool:
        targets = applicationautoscaling_backends[ACCOUNT][self._region].targets
        wanted = f"endpoint/{endpoint}/variant/{variant}"
        return any(target.resource_id == wanted for kinds in targets.values() for target in kinds.values())
