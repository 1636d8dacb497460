"""From the body of a request to columns and a frame, and from predictions to the body of the answer.

The protocol is the Open Inference Protocol V2 (REST), one input tensor per column of shape [rows], nulls for
missing values. Everything that is wrong with a body is said in one message: the input, what was found, and what
was expected. It is raised as `InvalidInput`, which is answered with status 400.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from mlinfra_serving.kserve_sdk import InvalidInput
from mlinfra_serving.signature import PREDICTION, Input, Signature

if TYPE_CHECKING:
    import pandas as pd

_INTEGERS = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_ACCEPTED: dict[str, set[str]] = {
    "FP64": {"FP64", "FP32", "FP16"} | _INTEGERS,
    "INT64": set(_INTEGERS),
    "BOOL": {"BOOL"},
    "BYTES": {"BYTES"},
}
_PYTHON: dict[str, set[type]] = {"FP64": {float, int}, "INT64": {int}, "BOOL": {bool}, "BYTES": {str}}
_WORDS: dict[type, str] = {str: "text", bool: "a boolean", int: "an integer", float: "a number", type(None): "null"}
_MAX_ID = 256
_SHOWN = 5


@dataclass(frozen=True)
class Answer:
    """Predictions (float64, shape [rows]) and what is said with them."""

    name: str
    release: str
    request_id: str
    predictions: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Request:
    """A checked request: values by input in the signature's order, None for null; all lists of length `rows`.

    `id` is empty when the body named none.
    """

    id: str
    columns: dict[str, list[Any]]
    rows: int
    encode: Callable[[Answer], bytes] = field(compare=False)


def encode_v2(answer: Answer) -> bytes:
    """Return the V2 answer: one output tensor `prediction`, FP64, shape [rows]."""
    output = {
        "name": PREDICTION,
        "shape": [len(answer.predictions)],
        "datatype": "FP64",
        "data": answer.predictions,
    }
    document = {
        "model_name": answer.name,
        "model_version": answer.release,
        "id": answer.request_id,
        "outputs": [output],
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_predictions(answer: Answer) -> bytes:
    """Return Vertex AI's answer: `{"predictions": […]}`, one number per instance."""
    return orjson.dumps({"predictions": answer.predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"body: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"body: found {_word(document)}, expected a JSON object")
    return document


def decode_v2(body: bytes, content_type: str, signature: Signature) -> Request:
    """Return the request that a V2 body is.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    return decode_tensors(parse_object(body), signature)


def decode_tensors(document: dict[str, Any], signature: Signature) -> Request:
    """Return the request that a parsed V2 body is; inputs that the signature does not name are ignored.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    problems: list[str] = []
    request_id = document.get("id")
    if request_id is not None and (not isinstance(request_id, str) or len(request_id) > _MAX_ID):
        problems.append(f"id: found {_word(request_id)}, expected text of at most {_MAX_ID} characters")
    tensors = document.get("inputs")
    if not isinstance(tensors, list):
        raise InvalidInput(f"inputs: found {_word(tensors)}, expected a list of tensors")
    _check_outputs(document.get("outputs"), problems)
    entries = {entry["name"]: entry for entry in signature["inputs"]}
    columns: dict[str, list[Any]] = {}
    for position, tensor in enumerate(tensors):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            problems.append(f"inputs[{position}]: found {_word(tensor)}, expected a tensor with a name")
        elif name in columns:
            problems.append(f"input {_show(name)}: given twice")
        elif name in entries:
            columns[name] = _tensor(entries[name], tensor, problems)
    return _request(request_id or "", columns, signature, problems, encode_v2)


def decode_instances(document: dict[str, Any], signature: Signature) -> Request:
    """Return the request that Vertex AI's `{"instances": [{"wind_speed": 4.2, …}, …]}` is.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    instances = document["instances"]
    if not isinstance(instances, list):
        raise InvalidInput(f"instances: found {_word(instances)}, expected a list of objects")
    for position, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise InvalidInput(
                f"instances[{position}]: found {_word(instance)}, expected an object with the inputs by name"
            )
    given = set().union(*(instance.keys() for instance in instances)) if instances else set()
    problems: list[str] = []
    columns = {}
    for entry in signature["inputs"]:
        if entry["name"] in given:
            values = [instance.get(entry["name"]) for instance in instances]
            _check_values(entry, values, problems)
            columns[entry["name"]] = values
    return _request("", columns, signature, problems, encode_predictions, rows=len(instances))


def decode_csv(body: bytes, content_type: str, signature: Signature) -> Request:
    """Return the request that CSV text is: with a header row, or with all inputs in the signature's order.

    The first row is taken for a header when it names every required input. An empty cell is a null.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"body: not CSV in UTF-8: {error}") from None
    names = [entry["name"] for entry in signature["inputs"]]
    needed = {entry["name"] for entry in signature["inputs"] if entry["required"]} or set(names)
    if rows and needed <= {cell.strip() for cell in rows[0]}:
        header, rows = [cell.strip() for cell in rows[0]], rows[1:]
    else:
        header = names
    for position, row in enumerate(rows):
        if len(row) != len(header):
            raise InvalidInput(
                f"row {position + 1}: found {len(row)} cells, expected {len(header)}: {', '.join(header)}"
            )
    problems: list[str] = []
    columns = {}
    for entry in signature["inputs"]:
        if entry["name"] in header:
            place = header.index(entry["name"])
            values = [_cell(entry, row[place]) for row in rows]
            _check_values(entry, values, problems)
            columns[entry["name"]] = values
    return _request("", columns, signature, problems, encode_v2, rows=len(rows))


def frame_of(request: Request, signature: Signature) -> pd.DataFrame:
    """Return the frame for the model, as `mlinfra_serving.signature.conform` describes it."""
    import pandas as pd

    dtypes: dict[str, Any] = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": object}
    arrays = {}
    for entry in signature["inputs"]:
        values = request.columns[entry["name"]]
        if entry["type"] == "FP64" or entry["required"]:
            arrays[entry["name"]] = np.array(values, dtype=dtypes[entry["type"]])
            continue
        null = np.nan if entry.get("missing") == "nan" else None
        array = np.empty(len(values), dtype=object)
        array[:] = [null if value is None else value for value in values]
        arrays[entry["name"]] = array
    return pd.DataFrame(arrays, copy=False)


def _request(
    request_id: str,
    columns: dict[str, list[Any]],
    signature: Signature,
    problems: list[str],
    encode: Callable[[Answer], bytes],
    rows: int | None = None,
) -> Request:
    """Return the request, with nulls for inputs that are left out and may be."""
    absent = [entry for entry in signature["inputs"] if entry["name"] not in columns]
    required = [entry["name"] for entry in absent if entry["required"]]
    if required:
        problems.append(f"required inputs are missing: {', '.join(required)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if rows is None:
        rows = next(iter(lengths.values()), 0)
    if len(set(lengths.values())) > 1 and not problems:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        problems.append(f"inputs have different numbers of rows: {found}")
    if not rows and not problems:
        problems.append("no rows: expected at least one")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InvalidInput("; ".join(problems[:_SHOWN]) + more)
    columns |= {entry["name"]: [None] * rows for entry in absent}
    ordered = {entry["name"]: columns[entry["name"]] for entry in signature["inputs"]}
    return Request(request_id, ordered, rows, encode)


def _tensor(entry: Input, tensor: dict[str, Any], problems: list[str]) -> list[Any]:
    """Return the data of one tensor, and add what is wrong with it to `problems`."""
    name, data, shape, datatype = _show(entry["name"]), tensor.get("data"), tensor.get("shape"), tensor.get("datatype")
    if not isinstance(data, list):
        problems.append(f"input {name}: data: found {_word(data)}, expected a list of values")
        return []
    if not isinstance(datatype, str) or datatype not in _ACCEPTED[entry["type"]]:
        problems.append(f"input {name}: datatype: found {_show(datatype)}, expected {entry['type']}")
    # bool is an int in Python: [true] is not a shape
    if not isinstance(shape, list) or [type(size) for size in shape] != [int]:
        problems.append(f"input {name}: shape: found {_show(shape)}, expected [{len(data)}]")
    elif shape[0] != len(data):
        problems.append(f"input {name}: shape {shape} does not fit its {len(data)} values")
    _check_values(entry, data, problems)
    return data


def _check_values(entry: Input, values: list[Any], problems: list[str]) -> None:
    """Add the first value that is not of the input's type to `problems`."""
    name, allowed = _show(entry["name"]), _PYTHON[entry["type"]]
    found = set(map(type, values))
    if not entry["required"]:
        allowed = allowed | {type(None)}
    if not found <= allowed:
        position = next(place for place, value in enumerate(values) if type(value) not in allowed)
        value = values[position]
        if value is None:
            problems.append(f"input {name}[{position}]: found null, expected {entry['type']}: it is required")
        else:
            shown = f"{_word(value)} {_show(value)}"
            problems.append(f"input {name}[{position}]: found {shown}, expected {entry['type']}")
    elif entry["type"] == "INT64":
        for position, value in enumerate(values):
            if value is not None and not -(2**63) <= value < 2**63:
                problems.append(f"input {name}[{position}]: found {value}, expected INT64")
                break


def _check_outputs(outputs: Any, problems: list[str]) -> None:
    if outputs is None:
        return
    names = [output.get("name") if isinstance(output, dict) else output for output in _listed(outputs)]
    unknown = [_show(name) for name in names if name != PREDICTION]
    if unknown or not isinstance(outputs, list):
        problems.append(f"outputs: found {', '.join(unknown[:_SHOWN]) or _word(outputs)}, expected {PREDICTION!r}")


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _cell(entry: Input, text: str) -> Any:
    """Return the value of a CSV cell; text that is not of the type stays text, for `_check_values` to name."""
    stripped = text.strip()
    if stripped == "":
        return None
    if entry["type"] == "BYTES":
        return text
    if entry["type"] == "BOOL":
        return {"true": True, "false": False, "1": True, "0": False}.get(stripped.lower(), text)
    try:
        number = int(stripped) if entry["type"] == "INT64" else float(stripped)
    except ValueError:
        return text
    # Python reads more than CSV may say: digits with underscores, infinity
    if "_" in stripped or math.isinf(number):
        return text
    return None if math.isnan(number) else number


def _word(value: Any) -> str:
    return _WORDS.get(type(value), "an object" if isinstance(value, dict) else "a list")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
