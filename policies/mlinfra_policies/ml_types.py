"""Which types are resources of an ML platform, and which of them can be tagged and have a place of their own."""

from __future__ import annotations

import json
from importlib.resources import files

_READ = json.loads(files("mlinfra_policies").joinpath("ml_types.json").read_text(encoding="utf-8"))
_GROUPS = (
    "serving.kserve.io",
    "*kubeflow.org",
    "sparkoperator.k8s.io",
    "feast.dev",
    "ray.io",
    "mlops.seldon.io",
    "machinelearning.seldon.io",
    "modelregistry.opendatahub.io",
    "inference.networking.*k8s.io",
)

AWS = ("aws:sagemaker/*", "aws-native:sagemaker:*")
GOOGLE = (
    *(f"gcp:{module}/*" for module in ("vertex", "workbench", "notebooks", "colab")),
    *(f"google-native:{module}/*" for module in ("aiplatform", "notebooks", "ml")),
)
AZURE = ("azure-native:machinelearningservices:*",)
KUBERNETES = tuple(f"kubernetes:{group}/*" for group in _GROUPS)
"""By the API groups of the operators that train and serve models."""
ML = (*AWS, *GOOGLE, *AZURE, *KUBERNETES)

TAGGABLE = (*_READ["taggable"], *KUBERNETES)
"""The types that have tags or labels of their own: not what a workspace holds, with its `properties.tags`."""
LOCATED: tuple[str, ...] = tuple(_READ["located"])
"""The types that say where they are; on Kubernetes a pod does."""
