"""Azure Machine Learning's contract for own containers: `POST /score` and a liveness route on port 5001.

Source: "Use a custom container to deploy a model to an online endpoint", Azure Machine Learning documentation;
routes and port are ours to choose there, and declared with the environment. Bodies and answers are V2 JSON.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_serving.shims import Shim


def shim(environment: Mapping[str, str]) -> Shim:
    """Return the contract."""
    from mlinfra_serving.decoding import decode_v2

    return Shim(
        host="0.0.0.0",
        port="5001",
        model=environment.get("AZUREML_MODEL_DIR"),
        health_route="/",
        predict_route="/score",
        decode=decode_v2,
    )
