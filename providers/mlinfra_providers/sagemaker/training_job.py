"""TrainingJob: a pipeline of one step. Runs are operations (service.py): an `up` starts none.

The definition is that of https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema,
and the arguments of its step are those of CreateTrainingJob.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import PREFIX, digest_json, short
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.training import INPUT_PREFIX
from mlinfra.training.contract import CODE_VARIABLE, digest_variable
from mlinfra_providers.remote.jobs import Job
from mlinfra_providers.remote.place import Place
from mlinfra_providers.sagemaker.around import data_uri
from mlinfra_providers.sagemaker.logs import TRAINING
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

VOLUME_GIB = 30
CODE = "mlinfra-code"
"""The channel that holds the stack's files: no input has a hyphen in its name."""
MOUNTED = "/opt/ml/input/data"
PARAMETERS_LIMIT = 512
"""Of the value of an environment variable (botocore: TrainingEnvironmentValue)."""
RUN = "Run"
"""The pipeline's parameter that names a run: the prefix of what it makes."""
TREE = "Tree-"
"""Before the name of what a run reads, a parameter: the hexadecimal digits of the tree's digest."""
PARAMETERS = "Params"
"""The pipeline's parameter that holds what the script reads as `run.params`; by default what was declared."""
BROUGHT = frozenset({"params", "code_digest", "folder", "accept"})
"""What a run brings along or has no need of: of these a pipeline may be of another declaration than today's."""
SPOT_WAIT = 2
"""How many times the run's time limit a run may take with waiting for spare machines."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the pipeline and its role; gives the pipeline's name."""
    job = part.part
    assert isinstance(job, TrainingJob)
    environment, around = links.environment, links.around
    assert environment.images is not None
    called = pipeline_name(environment, job)
    where = place(environment, job)
    owner = role(
        part,
        links,
        "training",
        [
            *reading(environment, where.given),
            *writing(environment, where.runs),
            *around.using_key,
            *pulling(environment, environment.images.training),
            *logging(environment, TRAINING),
            *measuring("/aws/sagemaker/TrainingJobs"),
            *in_the_network(),
        ],
    )
    pipeline = _pipeline(part, links, where)
    made = aws.sagemaker.Pipeline(
        job.name,
        pipeline_name=called,
        pipeline_display_name=called,
        pipeline_description=f"mlinfra: {part.key} in {environment.name}; mlinfra train starts it",
        pipeline_definition=pulumi.Output.json_dumps(pipeline, sort_keys=True),
        role_arn=owner.arn,
        # subnets and key may not be known yet, and the definition with them; that it changed is
        tags={**tags_of(environment, part), "mlinfra:definition": short(digest_json(definition(part, environment)))},
        opts=options(
            links, depends_on=[*owner.made, *around.made, *(links.of(store)["resource"] for store in job.references())]
        ),
    )
    return links.giving(part, name=called, resource=made)


def pipeline_name(environment: Environment, job: TrainingJob) -> str:
    """Return the name of the job's pipeline."""
    return name(environment.name, job, limit=PIPELINE_LIMIT)


def place(environment: Environment, job: TrainingJob) -> Place:
    """Return where the job's runs read and write: its role may nowhere else."""
    called = pipeline_name(environment, job)
    return Place(given=data_uri(environment, "given", called), runs=data_uri(environment, "runs", called))


def values(job: Job) -> dict[str, str]:
    """Return the pipeline's parameters for one run."""
    trees = {CODE: job.code, **job.inputs}
    declared = job.part.part
    assert isinstance(declared, TrainingJob)
    return {
        RUN: job.name,
        PARAMETERS: parameters(declared),
        **{f"{TREE}{label}": _digits(tree.digest) for label, tree in trees.items()},
    }


def definition(part: ResolvedPart, environment: Environment) -> dict[str, Any]:
    """Return what was declared, as JSON: the pipeline's metadata, by which a run is known to be of today's."""
    job, images = part.part, environment.images
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


def _pipeline(part: ResolvedPart, links: Links, where: Place) -> dict[str, Any]:
    job = part.part
    assert isinstance(job, TrainingJob)
    names = [RUN, *(f"{TREE}{label}" for label in (CODE, *job.inputs))]
    given = {"Name": PARAMETERS, "Type": "String", "DefaultValue": parameters(job)}
    return {
        "Version": "2020-12-01",
        "Metadata": {"mlinfra": definition(part, links.environment)},
        "Parameters": [*({"Name": parameter, "Type": "String"} for parameter in names), given],
        "Steps": [{"Name": "train", "Type": "Training", "Arguments": _step(part, links, where)}],
    }


def _step(part: ResolvedPart, links: Links, where: Place) -> dict[str, Any]:
    """Return the arguments of CreateTrainingJob."""
    job, around = part.part, links.around
    assert isinstance(job, TrainingJob)
    assert part.instance is not None
    assert links.environment.images is not None
    limit = seconds(job.max_runtime)
    run = {"Std:Join": {"On": "/", "Values": [where.runs, {"Get": f"Parameters.{RUN}"}]}}
    step: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": links.environment.images.training,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "mlinfra.training.launcher"],
            "ContainerArguments": [job.code],
        },
        "RoleArn": role_arn(part, links, "training"),
        "InputDataConfig": [
            # ends in a slash: without it the tree's listing beside it would come, too
            _channel(label, {"Std:Join": {"On": "/", "Values": [f"{where.given}/trees", _tree(label), ""]}})
            for label in (CODE, *job.inputs)
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
            "SM_HPS": {"Get": f"Parameters.{PARAMETERS}"},
            **{f"SM_CHANNEL_{input_.upper()}": f"{MOUNTED}/{input_}" for input_ in job.inputs},
            # code is no input of the script's, so it comes by mlinfra's own name
            CODE_VARIABLE: f"{MOUNTED}/{CODE}",
            digest_variable(CODE_VARIABLE): _digest(CODE),
            **{digest_variable(f"{INPUT_PREFIX}{input_.upper()}"): _digest(input_) for input_ in job.inputs},
        },
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags_of(links.environment, part).items())],
    }
    if job.spot:
        step["StoppingCondition"]["MaxWaitTimeInSeconds"] = SPOT_WAIT * limit
        step["CheckpointConfig"] = {"S3Uri": {"Std:Join": {"On": "/", "Values": [run, "checkpoints"]}}}
    return step


def _tree(label: str) -> dict[str, str]:
    return {"Get": f"Parameters.{TREE}{label}"}


def _digest(label: str) -> dict[str, Any]:
    return {"Std:Join": {"On": "", "Values": [PREFIX, _tree(label)]}}


def _digits(digest: str) -> str:
    return digest.removeprefix(PREFIX)


def _channel(channel: str, uri: dict[str, Any]) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": channel, "InputMode": "File", "DataSource": {"S3DataSource": source}}
