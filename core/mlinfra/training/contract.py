"""The training contract: what a run reads and where its results go, from any target's own variables.

Explicit variables and arguments of mlinfra come first; what they do not say is taken from the target:

| target | inputs | parameters | the model goes to | the rest goes to |
|---|---|---|---|---|
| mlinfra | MLINFRA_INPUT_<NAME> | MLINFRA_PARAMS (JSON) | MLINFRA_OUTPUT/model | MLINFRA_OUTPUT |
| arguments | --input NAME=PATH | --param NAME=VALUE | --output FOLDER/model | FOLDER |
| SageMaker | SM_CHANNEL_<NAME> | SM_HPS (JSON) | SM_MODEL_DIR | SM_OUTPUT_DATA_DIR |
| Vertex AI | AIP_TRAINING_DATA_URI (also VALIDATION, TEST) | | AIP_MODEL_DIR | beside it, `output` |
| Azure ML | AZURE_ML_INPUT_<name> | | AZURE_ML_OUTPUT_<name>/model | AZURE_ML_OUTPUT_<name> |
| TrainJob | folders and files in /workspace/dataset | | | |

`MLINFRA_CODE` is the folder (or URL) that the script is in; without it the script is a path. What the code and the
inputs must be is said by `MLINFRA_DIGEST_<variable>`, for example MLINFRA_DIGEST_MLINFRA_INPUT_ROWS: the digest of the
tree, whatever brought it.

Azure substitutes its mounts into the command line too, which is what `--input` and `--output` are for. A TrainJob
is recognised by PET_NNODES; its model initializer's folder is for reading, so it needs MLINFRA_OUTPUT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra.training import INPUT_PREFIX, MODEL_FOLDER, OUTPUT_VARIABLE, PARAMS_VARIABLE

CODE_VARIABLE = "MLINFRA_CODE"
DIGEST_PREFIX = "MLINFRA_DIGEST_"
TRAINJOB_DATASET = Path("/workspace/dataset")
_VERTEX_INPUTS = {
    "AIP_TRAINING_DATA_URI": "training",
    "AIP_VALIDATION_DATA_URI": "validation",
    "AIP_TEST_DATA_URI": "test",
}


@dataclass(frozen=True)
class Contract:
    """Inputs by name (a path, or a URL that fsspec reads), parameters, and where model and results go.

    `code` is the folder or URL that the script is in, or empty. `digests` are those of the inputs' trees, by name.
    """

    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    model: str
    output: str
    code: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    code_digest: str = ""


def digest_variable(variable: str) -> str:
    """Return the variable that holds the digest of what `variable` names."""
    return f"{DIGEST_PREFIX}{variable}"


def contract(
    environ: Mapping[str, str],
    *,
    inputs: Sequence[str] = (),
    params: Sequence[str] = (),
    output: str = "",
    dataset: Path = TRAINJOB_DATASET,
) -> Contract:
    """Return the contract that the variables in `environ` and the launcher's arguments describe.

    `inputs` and `params` are texts `name=value`; a parameter's value is read as JSON where it is JSON.

    Raises:
        MlinfraError: no place for the model is named, or a value cannot be read; every name is in the message.
    """
    model, rest = _destination(environ, output)
    given = dict(map(_pair, inputs))
    options = {name: _value(value) for name, value in map(_pair, params)}
    return Contract(
        inputs={**_inputs(environ, dataset), **given},
        params={**_params(environ), **options},
        model=model,
        output=rest,
        code=environ.get(CODE_VARIABLE, "").rstrip("/"),
        digests=_digests(environ),
        code_digest=environ.get(digest_variable(CODE_VARIABLE), ""),
    )


def _destination(environ: Mapping[str, str], output: str) -> tuple[str, str]:
    folder = output or environ.get(OUTPUT_VARIABLE, "")
    if not folder:
        outputs = sorted(value for name, value in environ.items() if name.startswith("AZURE_ML_OUTPUT_"))
        if len(outputs) > 1:
            raise MlinfraError(
                f"the job has {len(outputs)} outputs, and mlinfra cannot know which is the model's",
                remedy="name it: python -m mlinfra.training.launcher --output ${{outputs.model}} train.py",
            )
        folder = outputs[0] if outputs else ""
    if folder:
        return f"{folder.rstrip('/')}/{MODEL_FOLDER}", folder.rstrip("/")
    if model := environ.get("SM_MODEL_DIR", ""):
        return model, environ.get("SM_OUTPUT_DATA_DIR", "") or f"{model.rstrip('/')}/../output/data"
    if model := environ.get("AIP_MODEL_DIR", "").rstrip("/"):
        return model, f"{model.rpartition('/')[0]}/output"
    raise MlinfraError(
        "nothing says where the model goes",
        remedy=f"set one of {OUTPUT_VARIABLE}, SM_MODEL_DIR, AIP_MODEL_DIR, AZURE_ML_OUTPUT_<name>, or --output",
    )


def _inputs(environ: Mapping[str, str], dataset: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    if "PET_NNODES" in environ and dataset.is_dir():
        found |= {path.stem.lower(): str(path) for path in sorted(dataset.iterdir())}
    for prefix in ("AZURE_ML_INPUT_", "SM_CHANNEL_", INPUT_PREFIX):
        found |= {
            name.removeprefix(prefix).lower(): value
            for name, value in sorted(environ.items())
            if name.startswith(prefix) and value
        }
    return {name: environ[variable] for variable, name in _VERTEX_INPUTS.items() if environ.get(variable)} | found


def _digests(environ: Mapping[str, str]) -> dict[str, str]:
    prefix = digest_variable(INPUT_PREFIX)
    return {name.removeprefix(prefix).lower(): value for name, value in environ.items() if name.startswith(prefix)}


def _params(environ: Mapping[str, str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for variable in ("SM_HPS", PARAMS_VARIABLE):
        text = environ.get(variable) or "{}"
        try:
            values = json.loads(text)
        except ValueError as error:
            raise MlinfraError(f"{variable} is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise MlinfraError(f"{variable} is not a JSON object: {text[:80]}")
        params |= values
    return params


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise MlinfraError(f"{text!r}: expected name=value")
    return name, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
