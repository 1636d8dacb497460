"""The mlflow runtime: an MLflow model folder, for every flavour that has a Python function."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.problems import MlinfraError
from mlinfra_serving.runtimes import Predict
from mlinfra_serving.signature import Signature

if TYPE_CHECKING:
    import pandas as pd


def save(model: Any, folder: Path) -> list[str]:
    """Copy an MLflow model folder (a path), or write one for an MLflow PythonModel; return its requirements.

    Raises:
        MlinfraError: the path is not an MLflow model folder.
    """
    if isinstance(model, Path):
        if not (model / "MLmodel").is_file():
            raise MlinfraError(f"{model}: not an MLflow model folder: there is no file MLmodel")
        shutil.copytree(model, folder, dirs_exist_ok=True)
    else:
        # else the model takes along the pyproject.toml and uv.lock of whatever folder the training runs in
        os.environ["MLFLOW_UV_AUTO_DETECT"] = os.environ["MLFLOW_LOG_UV_FILES"] = "false"
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=model,
            pip_requirements=[f"mlflow-skinny=={metadata.version('mlflow-skinny')}"],
        )
    listed = folder / "requirements.txt"
    if listed.is_file():
        return listed.read_text(encoding="utf-8").split("\n")
    return [f"mlflow-skinny=={metadata.version('mlflow-skinny')}"]


def load(folder: Path, signature: Signature) -> Predict:
    """Load the folder as a Python function. Its content is code: check the folder's digest before.

    Raises:
        mlflow.exceptions.MlflowException: the folder is not a model, or has no Python function.
    """
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    # a model's own code is imported from inside the folder: a byte-code cache there would change its digest
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    finally:
        sys.dont_write_bytecode = writes_bytecode

    def predict(frame: pd.DataFrame) -> Any:
        try:
            result = model.predict(frame)
        except MlflowException as error:
            if error.get_http_status_code() != 400:  # type: ignore[no-untyped-call]
                raise
            raise ValueError(str(error)) from None
        if getattr(result, "ndim", 1) == 2 and result.shape[1] == 1:
            return result.iloc[:, 0] if hasattr(result, "iloc") else result[:, 0]
        return result

    return predict
