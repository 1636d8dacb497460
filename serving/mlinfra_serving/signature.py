"""The signature of a model: what every answer to "which inputs, of which type" is read from.

`signature.json` lies beside the model file:

    {"inputs": [{"name": "wind_gust", "type": "FP64", "required": false}, …],
     "outputs": [{"name": "prediction", "type": "FP64"}]}

Types are those of the Open Inference Protocol V2: FP64, INT64, BOOL, BYTES (text).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from mlinfra.problems import MlinfraError, Problem, Problems, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SIGNATURE_FILE = "signature.json"
PREDICTION = "prediction"
RESERVED = ("request_id", "time", "date", "release", "mirrored", PREDICTION)
"""Columns that the capture (and its folders, for `date`) adds to the inputs: no input may have such a name."""

_EXACT_IN_FP64 = 2**53
"""The largest integer up to which FP64 holds every integer exactly (IEEE 754, 53 bits of significand)."""

TypeName = Literal["FP64", "INT64", "BOOL", "BYTES"]
TYPES: tuple[TypeName, ...] = ("FP64", "INT64", "BOOL", "BYTES")


class Input(TypedDict):
    """One input: its name, V2 type, and whether a null is refused.

    `missing` is there only where the model was trained with NaN (not None) as the null of text or booleans:
    scikit-learn's encoders take the two for different categories.
    """

    name: str
    type: TypeName
    required: bool
    missing: NotRequired[Literal["nan"]]


class Output(TypedDict):
    """One output: its name and V2 type."""

    name: str
    type: TypeName


class Signature(TypedDict):
    """Inputs in the order in which the model was trained, and outputs."""

    inputs: list[Input]
    outputs: list[Output]


def infer_signature(frame: pd.DataFrame) -> Signature:
    """Return the signature of a model that was trained on `frame` (shape [rows, inputs], all training rows).

    Integers become FP64, because a null turns a column of integers into floats later; integers beyond 2^53,
    which FP64 cannot hold (identifiers), stay INT64. An input is required when no row has a null in it.

    Raises:
        Problems: no rows, no columns, names that are not unique text or are reserved, types that V2 lacks.
    """
    problems = [] if len(frame) else [Problem("", 0, "example", "has no rows")]
    if not len(frame.columns):
        problems.append(Problem("", 0, "example", "has no columns"))
    inputs: list[Input] = []
    for position, name in enumerate(frame.columns):
        path = f"example[{name!r}]"
        if not isinstance(name, str) or not name:
            problems.append(Problem("", 0, path, "a column's name must be text", found=repr(name)))
            continue
        if name in RESERVED:
            problems.append(
                Problem("", 0, path, "the name is reserved for captured requests", remedy="rename the column")
            )
        if list(frame.columns).index(name) != position:
            problems.append(Problem("", 0, path, "two columns have this name"))
            continue
        column = frame.iloc[:, position]
        found = _type_of(column)
        if found not in TYPES:
            problems.append(
                Problem(
                    "",
                    0,
                    path,
                    "values of this type cannot be sent to a model",
                    found=found,
                    expected="numbers, booleans or text",
                    remedy="convert the column before training, for example a time to hours as a number",
                )
            )
            continue
        inputs.append(_input(name, found, column))
    if problems:
        raise Problems(problems)
    return {"inputs": inputs, "outputs": [{"name": PREDICTION, "type": "FP64"}]}


def _input(name: str, found: Any, column: pd.Series) -> Input:
    nulls = column.isna()
    result: Input = {"name": name, "type": found, "required": not bool(nulls.any())}
    if found in ("BYTES", "BOOL") and not result["required"]:
        first = column.astype("object")[nulls].iloc[0]
        if isinstance(first, float):
            result["missing"] = "nan"
    return result


def _type_of(column: pd.Series) -> str:
    """Return the V2 type of a column, or a description of what it holds where V2 has no type for it."""
    import pandas as pd
    from pandas.api import types

    values = column.cat.categories.to_series() if isinstance(column.dtype, pd.CategoricalDtype) else column
    if types.is_bool_dtype(values.dtype):
        return "BOOL"
    if types.is_integer_dtype(values.dtype):
        present = values.dropna()
        exact = present.empty or (present.min() >= -_EXACT_IN_FP64 and present.max() <= _EXACT_IN_FP64)
        return "FP64" if exact else "INT64"
    if types.is_float_dtype(values.dtype):
        return "FP64"
    kind = types.infer_dtype(values, skipna=True)
    by_kind = {"string": "BYTES", "boolean": "BOOL", "integer": "FP64", "floating": "FP64", "decimal": "FP64"}
    if kind == "empty":
        return "nothing but nulls, of no type"
    return by_kind.get(kind, f"{kind} ({column.dtype})")


def conform(frame: pd.DataFrame, signature: Signature) -> pd.DataFrame:
    """Return `frame` as the server hands it to the model: the inputs in order, cast to their types.

    FP64 gives float64 with NaN for null, INT64 int64, BOOL bool (object where null is allowed), BYTES object
    with None (or NaN, as in training) for null. Extra columns are left out.

    Raises:
        MlinfraError: a column of the signature is not in `frame`, or a required one holds nulls.
    """
    import pandas as pd

    names = [entry["name"] for entry in signature["inputs"]]
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise MlinfraError(
            f"the frame lacks inputs of the model: {', '.join(absent)}",
            remedy=f"the model needs: {', '.join(names)}",
        )
    return pd.DataFrame(
        {entry["name"]: column_values(entry, frame[entry["name"]]) for entry in signature["inputs"]},
        index=frame.index,
    )


def column_values(entry: Input, values: pd.Series) -> np.ndarray[Any, Any]:
    """Return one input's values as an array of the dtype that `conform` describes.

    Raises:
        MlinfraError: a required input holds nulls.
    """
    import numpy as np

    nulls = values.isna()
    if entry["required"] and bool(nulls.any()):
        raise MlinfraError(f"input {entry['name']!r} is required and holds {int(nulls.sum())} nulls")
    if entry["type"] == "FP64":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if entry["required"]:
        dtypes: dict[str, Any] = {"INT64": np.int64, "BOOL": np.bool_, "BYTES": object}
        return values.to_numpy(dtype=dtypes[entry["type"]])
    result = values.astype("object").to_numpy(dtype=object, copy=True)
    result[nulls.to_numpy()] = np.nan if entry.get("missing") == "nan" else None
    return result


def write_signature(folder: Path, signature: Signature) -> None:
    """Write `signature.json` into a model folder that is still being made."""
    text = json.dumps(signature, indent=2, ensure_ascii=False)
    (folder / SIGNATURE_FILE).write_text(text + "\n", encoding="utf-8")


def read_signature(folder: Path) -> Signature:
    """Read `signature.json` of a model folder.

    Raises:
        MlinfraError: there is none, or it does not say what a signature must say.
    """
    path = folder / SIGNATURE_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MlinfraError(
            f"{path}: the model has no signature", remedy="save it with run.save_model(model, example=…)"
        ) from None
    except ValueError as error:
        raise MlinfraError(f"{path}: not JSON: {error}") from None
    try:
        inputs = [_read_input(entry) for entry in raw["inputs"]]
        outputs: list[Output] = [{"name": str(o["name"]), "type": o["type"]} for o in raw["outputs"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MlinfraError(f"{path}: not a signature: {error!r}") from None
    if not inputs:
        raise MlinfraError(f"{path}: the signature names no inputs")
    return {"inputs": inputs, "outputs": outputs}


def _read_input(entry: dict[str, Any]) -> Input:
    if entry["type"] not in TYPES:
        near = nearest(str(entry["type"]), TYPES)
        raise ValueError(f"type {entry['type']!r} of {entry['name']!r}, expected {near or ' '.join(TYPES)}")
    result: Input = {
        "name": str(entry["name"]),
        "type": entry["type"],
        "required": bool(entry["required"]),
    }
    if entry.get("missing") == "nan":
        result["missing"] = "nan"
    return result
