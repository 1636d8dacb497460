"""Model artifacts: a folder with the model's file, `signature.json` and `requirements.txt`.

Written by `write_model` where a model is trained, read by `load_model` where it is served. What is read is
checked against its digest first: a pickle is code, and code of unknown origin is not run.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.digests import digest_tree, short
from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving.runtimes import Predict, runtime, runtime_of
from mlinfra_serving.signature import Signature, conform, infer_signature, read_signature, write_signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

REQUIREMENTS_FILE = "requirements.txt"
_CHECKED_ROWS = 100
_logger = logging.getLogger("mlinfra.serving")


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, with the one way in which every caller asks it."""

    signature: Signature
    runtime: str
    function: Predict
    digest: str
    """The digest of the folder that it was read from, as it was found."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return predictions, float64 of shape [rows], for a frame with at least the inputs as columns.

        Raises:
            MlinfraError: inputs are missing, required ones hold nulls, or the model gave another shape.
        """
        return self.predict_conformed(conform(frame, self.signature))

    def predict_conformed(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the same for a frame that `conform` (or the server's decoder) has made already."""
        import numpy as np

        raw = self.function(frame)
        try:
            result = np.asarray(raw, dtype=np.float64)
        except (TypeError, ValueError):
            raise MlinfraError(
                f"the model predicts {np.asarray(raw).dtype} values, not numbers",
                remedy="encode the classes as numbers before training",
            ) from None
        if result.shape != (len(frame),):
            raise MlinfraError(
                f"the model gave predictions of shape {list(result.shape)} for {len(frame)} rows, "
                f"expected [{len(frame)}]"
            )
        return result


def write_model(model: Any, example: pd.DataFrame, folder: Path) -> str:
    """Write `model` as an artifact into `folder`, replacing what is there, and return the runtime's name.

    `example` is the frame of all training rows, as the model gets them (shape [rows, inputs]). The written
    artifact is read back and asked for the first 100 rows as the server would ask it.

    Raises:
        Problems: `example` holds what a request cannot carry.
        MlinfraError: the model cannot be saved, or answers differently from the artifact than from memory.
    """
    signature = infer_signature(example)
    name = runtime_of(model)
    implementation = runtime(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        requirements = implementation.save(model, partial)
        write_signature(partial, signature)
        lines = sorted({line.strip() for line in requirements if line.strip()})
        (partial / REQUIREMENTS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        loaded = LoadedModel(signature, name, implementation.load(partial, signature), digest_tree(partial))
        _check_same_answers(model, name, loaded, example.head(_CHECKED_ROWS))
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return name


def _check_same_answers(model: Any, name: str, loaded: LoadedModel, rows: pd.DataFrame) -> None:
    """Refuse a model whose answers depend on what a request cannot carry, such as the type of an integer."""
    import numpy as np

    served = loaded.predict(rows)
    if name == "mlflow" or not hasattr(model, "predict") or type(model).__name__ == "Booster":
        return
    from mlinfra_serving.runtimes.sklearn import predictor

    direct = np.asarray(predictor(model)(rows), dtype=np.float64)
    differing = ~np.isclose(served, direct, rtol=1e-5, atol=1e-8, equal_nan=True)
    if bool(differing.any()):
        first = int(np.flatnonzero(differing)[0])
        raise MlinfraError(
            f"the saved model answers differently for {int(differing.sum())} of the first {len(rows)} rows "
            f"(row {first}: {direct[first]:.6g} in memory, {served[first]:.6g} when served)",
            remedy="if the frame holds integers: they are served as floating point numbers, so train with such",
        )


def load_model(folder: Path, digest: str, runtime_name: str) -> LoadedModel:
    """Check the folder's digest, then read the model in it.

    Raises:
        Refused: the digest of `folder` is not `digest`; nothing of it was read as a model (exit code 3).
        MlinfraError: no such folder, no signature, or a library that the model needs is not installed.
    """
    check_digest(folder, digest)
    signature = read_signature(folder)
    implementation = runtime(runtime_name)
    check_requirements(folder)
    try:
        function = implementation.load(folder, signature)
    except (ImportError, AttributeError) as error:
        raise MlinfraError(
            f"{folder}: the model needs code that is not installed: {error}",
            remedy="install what the model's requirements.txt names",
        ) from None
    except MlinfraError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything on a file that it cannot read
        raise MlinfraError(
            f"{folder}: not a model of the runtime {runtime_name!r}: {type(error).__name__}: {error}"
        ) from None
    return LoadedModel(signature, runtime_name, function, digest)


def check_digest(folder: Path, digest: str) -> None:
    """Check that `folder` holds exactly what `digest` names.

    Raises:
        Refused: it holds something else.
        MlinfraError: there is no such folder, or it cannot be an artifact.
    """
    try:
        found = digest_tree(folder)
    except (FileNotFoundError, ValueError) as error:
        raise MlinfraError(str(error)) from None
    if found != digest:
        raise Refused(
            f"{folder}: the model was changed: its digest is {short(found)}, expected {short(digest)}; "
            "nothing of it was loaded",
            remedy="fetch the artifact again, or serve the release that belongs to it",
        )


def check_requirements(folder: Path) -> list[str]:
    """Compare the installed libraries with the pins of `requirements.txt`.

    Returns one line per library whose installed major.minor differs from the pinned one; each is logged as a
    warning too.

    Raises:
        MlinfraError: a pinned library is not installed (all of them are named).
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import Version

    path = folder / REQUIREMENTS_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    missing, differing = [], []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        pins = [pin.version for pin in requirement.specifier if pin.operator == "==" and "*" not in pin.version]
        if not pins or (requirement.marker and not requirement.marker.evaluate()):
            continue
        try:
            installed = Version(_installed(requirement.name))
        except metadata.PackageNotFoundError:
            missing.append(str(requirement))
            continue
        if installed.release[:2] != Version(pins[0]).release[:2]:
            differing.append(f"{requirement.name} {installed} is installed, the model was made with {pins[0]}")
    if missing:
        raise MlinfraError(
            f"{path}: not installed: {', '.join(missing)}", remedy=f"install them: pip install -r {path}"
        )
    for message in differing:
        _logger.warning("%s", message)
    return differing


def _installed(name: str) -> str:
    """Return the installed version of a library; MLflow's models ask for mlflow, of which the small one is enough."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if name.lower() != "mlflow":
            raise
        return metadata.version("mlflow-skinny")
