"""Runtimes: how a model of each library is written to a folder and read from it.

One module per runtime, each with `save(model, folder)` (returns the requirements, pinned as installed),
`load(folder, signature)` (returns a function from a conformed frame to predictions of shape [rows]).
They are imported by name, so that serving one library never imports another.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mlinfra.problems import MlinfraError, nearest
from mlinfra_serving.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("sklearn", "xgboost", "mlflow")
Predict = Callable[["pd.DataFrame"], Any]


class Runtime(Protocol):
    """What a runtime's module offers."""

    def save(self, model: Any, folder: Path) -> list[str]: ...

    def load(self, folder: Path, signature: Signature) -> Predict: ...


def runtime(name: str) -> Runtime:
    """Return the module of a runtime.

    Raises:
        MlinfraError: no runtime has this name, or its library is not installed.
    """
    if name not in NAMES:
        near = nearest(name, NAMES)
        raise MlinfraError(
            f"unknown runtime {name!r}, expected one of {', '.join(NAMES)}",
            remedy=f"did you mean {near!r}?" if near else "",
        )
    try:
        return cast(Runtime, importlib.import_module(f"mlinfra_serving.runtimes.{name}"))
    except ModuleNotFoundError as error:
        raise MlinfraError(
            f"runtime {name!r} needs the library {error.name!r}, which is not installed",
            remedy="install what the model's requirements.txt names",
        ) from None


def runtime_of(model: Any) -> str:
    """Return the runtime that a model object belongs to, by the module of its classes.

    A path (a `pathlib.Path` to an MLflow model folder) and an MLflow PythonModel belong to mlflow; a booster or
    estimator of xgboost to xgboost; everything else to sklearn, whose interface others follow.
    """
    if isinstance(model, Path):
        return "mlflow"
    modules = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "mlflow" in modules:
        return "mlflow"
    return "xgboost" if type(model).__module__.partition(".")[0] == "xgboost" else "sklearn"
