"""The training script's side: what it reads, what it was told, what it reports, what it made.

    import mlinfra.training

    run = mlinfra.training.run()
    frame = pandas.read_parquet(run.inputs["weather"])
    …
    run.log_metric("auc", score)
    run.save_model(model, example=frame[columns])

The same script runs on every target: a launcher (`python -m mlinfra.training.launcher train.py`) maps the target's
own variables to `MLINFRA_INPUT_<NAME>`, `MLINFRA_PARAMS` and `MLINFRA_OUTPUT`. Nothing heavy is imported before
`save_model`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from mlinfra.files import write_json
from mlinfra.problems import MlinfraError, nearest

if TYPE_CHECKING:
    import pandas as pd

INPUT_PREFIX = "MLINFRA_INPUT_"
PARAMS_VARIABLE = "MLINFRA_PARAMS"
OUTPUT_VARIABLE = "MLINFRA_OUTPUT"

MODEL_FOLDER = "model"
BASELINE_FOLDER = "baseline"
ROWS_FILE = "rows.parquet"
METRICS_FILE = "metrics.json"
SAVED_FILE = "saved.json"
"""Written when the model and its baseline are complete: a model without it was interrupted while being written."""

BASELINE_ROWS = 100_000
"""At most so many rows are kept as the baseline; more rows say nothing more about a distribution."""
_SAMPLE_SEED = 20130101


class UnknownInput(MlinfraError, KeyError):
    """The script asks for an input that the training job does not declare."""

    # KeyError shows the repr of its argument, which is no sentence.
    __str__ = Exception.__str__


class Inputs(Mapping[str, Path]):
    """The declared inputs by name: the path of a Parquet file (or of a folder with several)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._paths = {
            name.removeprefix(INPUT_PREFIX).lower(): Path(value)
            for name, value in sorted(environ.items())
            if name.startswith(INPUT_PREFIX)
        }

    def __getitem__(self, name: str) -> Path:
        path = self._paths.get(name.lower())
        if path is None:
            near = nearest(name.lower(), self._paths)
            raise UnknownInput(
                f"the training job declares no input {name!r}, only: {', '.join(self._paths) or 'none at all'}",
                remedy=f"did you mean {near!r}?" if near else "add it to the job's inputs in stack.py",
            )
        return path

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class Run:
    """One training run: `inputs` (name to path), `params` (as declared), `output` (the folder that it fills)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        if not environ.get(OUTPUT_VARIABLE):
            raise MlinfraError(
                f"{OUTPUT_VARIABLE} is not set: this script is started by mlinfra",
                remedy="mlinfra train dev; by hand: MLINFRA_INPUT_WEATHER=weather.parquet MLINFRA_PARAMS='{}' "
                "MLINFRA_OUTPUT=/tmp/run python train.py",
            )
        self.inputs: Mapping[str, Path] = Inputs(environ)
        self.params: Mapping[str, Any] = json.loads(environ.get(PARAMS_VARIABLE) or "{}")
        self.output = Path(environ[OUTPUT_VARIABLE])
        self.output.mkdir(parents=True, exist_ok=True)
        self._metrics: dict[str, float] = {}

    def log_metric(self, name: str, value: SupportsFloat) -> None:
        """Report a number; the last value of a name counts. `accept` checks of the job ask for it by this name.

        Raises:
            MlinfraError: the value is not a finite number.
        """
        number = float(value)
        if not math.isfinite(number):
            raise MlinfraError(
                f"metric {name!r} is {number}: a metric is a finite number",
                remedy="leave out what could not be measured: a missing metric is `no data`, and never accepted",
            )
        self._metrics[name] = number
        write_json(self.output / METRICS_FILE, self._metrics, durable=True)

    def save_model(
        self, model: Any, *, example: pd.DataFrame, predictions: Sequence[float] | pd.Series | None = None
    ) -> None:
        """Write the model, and the rows that the drift monitor compares with later.

        `example` is the frame of all training rows as the model gets them (shape [rows, inputs]): from it come the
        signature and the baseline. `predictions` (shape [rows]) are what the model says of these rows (of a binary
        classifier: the probability of the positive class); left out, the saved model is asked. Saving again
        replaces.

        Raises:
            MlinfraError: the model cannot be saved or read back, or `predictions` has another length.
        """
        from mlinfra.digests import digest_tree
        from mlinfra_serving.artifacts import load_model, write_model
        from mlinfra_serving.signature import PREDICTION

        if predictions is not None and len(predictions) != len(example):
            raise MlinfraError(f"{len(predictions)} predictions for {len(example)} rows: one for each is needed")
        (self.output / SAVED_FILE).unlink(missing_ok=True)
        folder = self.output / MODEL_FOLDER
        runtime = write_model(model, example, folder)

        rows = example.reset_index(drop=True)
        if predictions is not None:
            values: Any = getattr(predictions, "to_numpy", lambda: predictions)()
            rows = rows.assign(**{PREDICTION: values})
        if len(rows) > BASELINE_ROWS:
            rows = rows.sample(n=BASELINE_ROWS, random_state=_SAMPLE_SEED).sort_index().reset_index(drop=True)
        if predictions is None:
            saved = load_model(folder, digest_tree(folder), runtime)
            rows = rows.assign(**{PREDICTION: saved.predict(rows)})
        baseline = self.output / BASELINE_FOLDER
        baseline.mkdir(exist_ok=True)
        partial = baseline / f".{ROWS_FILE}"
        rows.to_parquet(partial, index=False)
        partial.replace(baseline / ROWS_FILE)
        write_json(self.output / SAVED_FILE, {"runtime": runtime, "rows": len(example)}, durable=True)


def run() -> Run:
    """Return this process's training run.

    Raises:
        MlinfraError: the script was not started by the launcher.
    """
    return Run(os.environ)
