"""The sklearn runtime: `model.joblib`, for scikit-learn's estimators and pipelines and all that act like them."""

from __future__ import annotations

import io
import pickle
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.problems import MlinfraError
from mlinfra_serving.runtimes import Predict
from mlinfra_serving.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

MODEL_FILE = "model.joblib"


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


class _Modules(pickle.Pickler):
    """A pickler that writes nothing, and notes the modules that reading the pickle will import."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), protocol=5)
        self.modules: set[str] = set()
        self.of_script: set[str] = set()

    def persistent_id(self, obj: Any) -> None:
        module = getattr(obj, "__module__", None)
        if not isinstance(module, str) or not hasattr(obj, "__qualname__"):
            return
        self.modules.add(module.partition(".")[0])
        if module == "__main__":
            self.of_script.add(obj.__qualname__)


def save(model: Any, folder: Path) -> list[str]:
    """Write `model.joblib` and return the installed versions of the libraries that reading it needs.

    Raises:
        MlinfraError: the model cannot be pickled, or refers to functions or classes of the training script,
            which no other process can import.
    """
    import joblib  # type: ignore[import-untyped]

    scan = _Modules()
    try:
        scan.dump(model)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise MlinfraError(
            f"the model cannot be saved: {error}",
            remedy="leave lambdas and open files out of it, or save it as an MLflow PythonModel",
        ) from None
    if scan.of_script:
        raise MlinfraError(
            f"the model refers to code of the training script: {', '.join(sorted(scan.of_script))}",
            remedy="use the library's own transformers, move the code into an installed package, "
            "or save the model as an MLflow PythonModel, which carries its code",
        )
    joblib.dump(model, folder / MODEL_FILE)
    owners = metadata.packages_distributions()
    names = {"scikit-learn"} | {name for module in scan.modules for name in owners.get(module, [])}
    return [f"{name}=={metadata.version(name)}" for name in sorted(names)]


def load(folder: Path, signature: Signature) -> Predict:
    """Read `model.joblib`. Its content is code: check the folder's digest before.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError, AttributeError: the model needs code that is not installed.
    """
    import joblib

    return predictor(joblib.load(folder / MODEL_FILE))


def predictor(model: Any) -> Predict:
    """Return the probability of the positive class for a binary classifier that gives one, else `predict`."""
    if len(getattr(model, "classes_", ())) == 2 and hasattr(model, "predict_proba"):

        def positive(frame: pd.DataFrame) -> Any:
            return model.predict_proba(frame)[:, 1]

        return positive

    def plain(frame: pd.DataFrame) -> Any:
        return model.predict(frame)

    return plain
