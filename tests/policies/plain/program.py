"""A Pulumi program that never heard of mlinfra: good and bad parts of an ML platform on four providers."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi


class Made(pulumi.CustomResource):
    """A resource of any type, without the typed SDK: those are hundreds of megabytes."""

    arn: pulumi.Output[str]

    def __init__(self, token: str, name: str, inputs: Mapping[str, Any]) -> None:
        super().__init__(token, name, {**inputs, "arn": None})


tags = {"environment": "prod", "owner": "ml@example.com", "cost-center": "7", "data-classification": "internal"}
key = Made("aws:kms/key:Key", "key", {"enableKeyRotation": True, "tags": tags})
role = Made(
    "aws:iam/role:Role",
    "too-much",
    {
        "assumeRolePolicy": json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "sts:AssumeRole",
                        "Principal": {"Service": "sagemaker.amazonaws.com"},
                    }
                ],
            }
        ),
        "managedPolicyArns": ["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"],
    },
)
model = Made(
    "aws:sagemaker/model:Model",
    "flights",
    {
        "executionRoleArn": role.arn,
        "primaryContainer": {"image": "busybox:latest", "environment": {"API_KEY": pulumi.Output.secret("a-secret")}},
    },
)
configuration = Made(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "flights",
    {
        "kmsKeyArn": key.arn,
        "productionVariants": [
            {
                "variantName": "all",
                "modelName": model.id,
                "instanceType": "ml.m5.xlarge",
                "initialInstanceCount": 2,
                "initialVariantWeight": 1,
            }
        ],
        "tags": tags,
    },
)
Made("aws:sagemaker/endpoint:Endpoint", "flights", {"endpointConfigName": configuration.id, "tags": tags})
Made("gcp:vertex/aiEndpoint:AiEndpoint", "flights", {"displayName": "flights", "location": "europe-west4"})
Made(
    "azure-native:machinelearningservices:Compute",
    "trainers",
    {
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 4}},
        }
    },
)
Made(
    "kubernetes:serving.kserve.io/v1beta1:InferenceService",
    "flights",
    {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flights", "namespace": "ml"},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "sklearn"},
                    "storageUri": "s3://models/flights",
                    "securityContext": {"privileged": True},
                }
            }
        },
    },
)
