"""TrainingJob: a pipeline of one step. Runs are operations (service.py): an `up` starts none.

The definition is that of https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema,
and the arguments of its step are those of CreateTrainingJob.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra_providers.sagemaker.around import data_uri, tree_uri
from mlinfra_providers.sagemaker.naming import PIPELINE_LIMIT, name, options
from mlinfra_providers.sagemaker.roles import (
    in_the_network,
    logging,
    measuring,
    pulling,
    reading,
    role,
    role_arn,
    writing,
)
from mlinfra_providers.tags import tags_of

LOGS = "/aws/sagemaker/TrainingJobs"
VOLUME_GIB = 30
CODE = "mlinfra-code"
"""The channel that holds the stack's files: no input has a hyphen in its name."""
MOUNTED = "/opt/ml/input/data"
PARAMETERS_LIMIT = 512
"""Of the value of an environment variable (botocore: TrainingEnvironmentValue)."""
RUN = "Run"
"""The pipeline's parameter: the digest that names a run, and the prefix of what it makes."""
SPOT_WAIT = 2
"""How many times the run's time limit a run may take with waiting for spare machines."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the pipeline and its role; gives the pipeline's name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    environment, around = links.environment, links.around
    assert environment.images is not None
    called = name(environment.name, job, limit=PIPELINE_LIMIT)
    runs = data_uri(environment, "runs", called)
    owner = role(
        part,
        links,
        "training",
        [
            *reading(environment, tree_uri(environment, part.code), *_inputs(part, links).values()),
            *writing(environment, runs),
            *around.using_key,
            *pulling(environment, environment.images.training),
            *logging(environment, LOGS),
            *measuring("/aws/sagemaker/TrainingJobs"),
            *in_the_network(),
        ],
    )
    pipeline = _pipeline(part, links, runs)
    made = aws.sagemaker.Pipeline(
        job.name,
        pipeline_name=called,
        pipeline_display_name=called,
        pipeline_description=f"mlinfra: {part.key} in {environment.name}; mlinfra train starts it",
        pipeline_definition=pulumi.Output.json_dumps(pipeline, sort_keys=True),
        role_arn=owner.arn,
        # subnets and key may not be known yet, and the definition with them; that it changed is
        tags={**tags_of(environment, part), "mlinfra:definition": short(digest_json(definition(part, links)))},
        opts=options(
            links, depends_on=[*owner.made, *around.made, *(links.of(store)["resource"] for store in job.references())]
        ),
    )
    return links.giving(part, name=called, resource=made)


def definition(part: ResolvedPart, links: Links) -> dict[str, Any]:
    """Return what was declared, as JSON: the pipeline's metadata, from which a run is judged."""
    job, images = part.part, links.environment.images
    assert isinstance(job, TrainingJob)
    assert images is not None
    return {
        **job.spec(),
        "folder": part.folder,
        "code_digest": part.code,
        "owner": part.owner,
        "image": images.training,
    }


def parameters(job: TrainingJob) -> str:
    """Return the parameters as the launcher reads them."""
    return json.dumps(dict(job.params), sort_keys=True)


def _inputs(part: ResolvedPart, links: Links) -> Mapping[str, str]:
    """Return where each input's rows are put before a run: named by what they are made of."""
    job = part.part
    assert isinstance(job, TrainingJob)
    specs = job.spec()["inputs"]
    return {
        input_: data_uri(links.environment, "inputs", short(digest_json([specs[input_], part.code])), input_)
        for input_ in job.inputs
    }


def _pipeline(part: ResolvedPart, links: Links, runs: str) -> dict[str, Any]:
    return {
        "Version": "2020-12-01",
        "Metadata": {"mlinfra": definition(part, links)},
        "Parameters": [{"Name": RUN, "Type": "String"}],
        "Steps": [{"Name": "train", "Type": "Training", "Arguments": _step(part, links, runs)}],
    }


def _step(part: ResolvedPart, links: Links, runs: str) -> dict[str, Any]:
    """Return the arguments of CreateTrainingJob."""
    job, around = part.part, links.around
    assert isinstance(job, TrainingJob)
    assert part.instance is not None
    assert links.environment.images is not None
    limit = seconds(job.max_runtime)
    run = {"Std:Join": {"On": "/", "Values": [runs, {"Get": f"Parameters.{RUN}"}]}}
    step: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": links.environment.images.training,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "mlinfra.training.launcher"],
            "ContainerArguments": [f"{MOUNTED}/{CODE}/{job.code}"],
        },
        "RoleArn": role_arn(part, links, "training"),
        "InputDataConfig": [
            _channel(CODE, tree_uri(links.environment, part.code)),
            *(_channel(input_, uri) for input_, uri in _inputs(part, links).items()),
        ],
        "OutputDataConfig": {"S3OutputPath": run, "KmsKeyId": around.key},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": part.instance.name,
            "VolumeSizeInGB": VOLUME_GIB,
            "VolumeKmsKeyId": around.key,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": limit},
        "VpcConfig": {"Subnets": list(around.subnets), "SecurityGroupIds": list(around.security_groups)},
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": True,
        "EnableManagedSpotTraining": job.spot,
        "Environment": {
            "SM_MODEL_DIR": "/opt/ml/model",
            "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
            "SM_HPS": parameters(job),
            **{f"SM_CHANNEL_{input_.upper()}": f"{MOUNTED}/{input_}" for input_ in job.inputs},
        },
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags_of(links.environment, part).items())],
    }
    if job.spot:
        step["StoppingCondition"]["MaxWaitTimeInSeconds"] = SPOT_WAIT * limit
        step["CheckpointConfig"] = {"S3Uri": {"Std:Join": {"On": "/", "Values": [run, "checkpoints"]}}}
    return step


def _channel(channel: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": channel, "InputMode": "File", "DataSource": {"S3DataSource": source}}
