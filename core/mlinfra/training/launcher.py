"""Run a training script under the training contract, on any target: `python -m mlinfra.training.launcher train.py`.

The launcher reads the target's variables (see `contract.py`), fetches inputs that are URLs, runs the script in a
process of its own, checks that it wrote a model, adds the profile of the baseline, and describes it all in
`result.json`:

    {"version": 1, "outcome": "finished" | "failed" | "no model", "exit_code": 0, "seconds": 12.3,
     "peak_memory_bytes": 412000256, "metrics": {"auc": 0.69}, "runtime": "sklearn", "runtime_version": "1.9.1",
     "model_digest": "sha256:…", "signature": {…}, "baseline_digest": "sha256:…"}

(of a run without a model, everything after `metrics` is null). Exit code 0: finished; 1: the script failed;
3: it wrote no model.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mlinfra.digests import digest_tree
from mlinfra.files import write_json
from mlinfra.problems import MlinfraError, Refused
from mlinfra.training import (
    BASELINE_FOLDER,
    INPUT_PREFIX,
    METRICS_FILE,
    MODEL_FOLDER,
    OUTPUT_VARIABLE,
    PARAMS_VARIABLE,
    ROWS_FILE,
    SAVED_FILE,
)
from mlinfra.training.contract import Contract, contract

RESULT_FILE = "result.json"
PROFILE_FILE = "profile.json"
FINISHED, FAILED, NO_MODEL = "finished", "failed", "no model"
_EXIT_CODES = {FINISHED: 0, FAILED: 1, NO_MODEL: 3}
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "xgboost": "xgboost", "mlflow": "mlflow-skinny"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the launcher's command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlinfra.training.launcher", description=__doc__.split("\n")[0])
    parser.add_argument("--input", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--output", default="", metavar="FOLDER")
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="kill the whole process group when standard input closes"
    )
    parser.add_argument("script", type=Path)
    options = parser.parse_args(arguments)
    if options.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    try:
        found = contract(os.environ, inputs=options.input, params=options.param, output=options.output)
        return _EXIT_CODES[launch(options.script, found)["outcome"]]
    except MlinfraError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
        if error.remedy:
            print(f"  → {error.remedy}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"error: what the run made cannot be kept: {error}", file=sys.stderr)  # noqa: T201
        return 1


def launch(script: Path, found: Contract) -> dict[str, Any]:
    """Run `script` under the contract `found`, deliver what it made, and return what `result.json` says.

    Raises:
        MlinfraError: the script does not exist, an input cannot be read, or the baseline cannot be described.
    """
    with tempfile.TemporaryDirectory(prefix="mlinfra-training-") as temporary:
        scratch = Path(temporary)
        if found.code:
            script = _brought("code", found.code, scratch, found.code_digest) / script
        if not script.is_file():
            raise MlinfraError(f"{script.resolve()}: no such training script")
        inputs = {
            name: _single(_brought(f"input {name!r}", value, scratch / "inputs" / name, found.digests.get(name, "")))
            for name, value in found.inputs.items()
        }
        in_place = "://" not in found.output and found.model == f"{found.output}/{MODEL_FOLDER}"
        output = Path(found.output) if in_place else scratch / "output"
        output.mkdir(parents=True, exist_ok=True)

        started = time.monotonic()
        exit_code = _run(script, inputs, found.params, output)
        seconds = time.monotonic() - started
        result = {
            "version": 1,
            "outcome": FAILED if exit_code else FINISHED,
            "exit_code": exit_code,
            "seconds": round(seconds, 3),
            "peak_memory_bytes": _peak_memory_bytes(),
            **_made(output, complete=not exit_code),
        }
        if result["outcome"] == FINISHED and result["model_digest"] is None:
            result["outcome"] = NO_MODEL
            print(f"{script.name} ended without run.save_model(…)", file=sys.stderr)  # noqa: T201
        write_json(output / RESULT_FILE, result, durable=True)
        if not in_place:
            _deliver(output, found)
    return result


def _run(script: Path, inputs: Mapping[str, Path], params: Mapping[str, Any], output: Path) -> int:
    """Run the script and return its exit code (negative: the signal that ended it)."""
    environment = {
        # A thread for each core on cores that are shared made training ten times slower; who knows better says so.
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        **os.environ,
        **{f"{INPUT_PREFIX}{name.upper()}": str(path.resolve()) for name, path in inputs.items()},
        PARAMS_VARIABLE: json.dumps(dict(params)),
        OUTPUT_VARIABLE: str(output.resolve()),
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.run(
        [sys.executable, str(script)], env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode


def _made(output: Path, *, complete: bool) -> dict[str, Any]:
    """Return what the script left in `output`; a model counts only if it was saved completely."""
    metrics = output / METRICS_FILE
    made: dict[str, Any] = {
        "metrics": json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {},
        "runtime": None,
        "runtime_version": None,
        "model_digest": None,
        "signature": None,
        "baseline_digest": None,
    }
    saved = output / SAVED_FILE
    if not complete or not saved.is_file():
        return made
    runtime = json.loads(saved.read_text(encoding="utf-8"))["runtime"]
    model = output / MODEL_FOLDER
    _profile(output / BASELINE_FOLDER)
    return made | {
        "runtime": runtime,
        "runtime_version": metadata.version(_DISTRIBUTIONS[runtime]),
        "model_digest": digest_tree(model),
        "signature": json.loads((model / "signature.json").read_text(encoding="utf-8")),
        "baseline_digest": digest_tree(output / BASELINE_FOLDER),
    }


def _profile(baseline: Path) -> None:
    import pandas as pd

    from mlinfra_serving.drift.profile import build_profile

    build_profile(pd.read_parquet(baseline / ROWS_FILE)).write(baseline / PROFILE_FILE)


def _brought(what: str, value: str, folder: Path, digest: str) -> Path:
    """Return code or an input as a local path: a URL is fetched into `folder`. With a `digest` it is a tree.

    Raises:
        Refused: it is not what the digest names.
        MlinfraError: nothing is there, or it cannot be fetched.
    """
    path = Path(value)
    if "://" in value:
        import fsspec  # type: ignore[import-untyped]

        path = folder / "fetched"
        filesystem, remote = fsspec.core.url_to_fs(value)
        try:
            if filesystem.isdir(remote):
                filesystem.get(f"{remote.rstrip('/')}/", f"{path}/", recursive=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(remote, str(path))
        except OSError as error:
            raise MlinfraError(f"{what}: {value} cannot be read: {error}") from None
    if not path.exists():
        raise MlinfraError(f"{what}: {value} does not exist")
    if digest and (found := digest_tree(path)) != digest:
        raise Refused(f"{what}: {value} has the digest {found}, wanted is {digest}")
    return path


def _single(path: Path) -> Path:
    """Return an input as the script gets it: a folder with one file is that file."""
    files = [file for file in path.iterdir() if not file.name.startswith(".")] if path.is_dir() else []
    return files[0] if len(files) == 1 and files[0].is_file() else path


def _deliver(output: Path, found: Contract) -> None:
    """Copy the model to where the target takes it from, and everything else to the target's other output."""
    for source, destination in ((output / MODEL_FOLDER, found.model), (output, found.output)):
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            relative = file.relative_to(source)
            if source == output and relative.parts[0] in (MODEL_FOLDER, SAVED_FILE):
                continue
            target = f"{destination.rstrip('/')}/{relative.as_posix()}"
            if "://" in target:
                import fsspec

                # folders are made where there are any: a store of objects may not even be asked for them
                options = {"auto_mkdir": True} if target.startswith("file:") else {}
                filesystem, remote = fsspec.core.url_to_fs(target, **options)
                filesystem.put_file(str(file), remote)
            else:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


def _peak_memory_bytes() -> int:
    """Return the largest resident memory that the script, or a process that it waited for, had."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _stop_with_stdin() -> None:
    """Wait until whoever started the launcher is gone, then stop everything that was started from here.

    A kill -9 closes the pipe at once and leaves no chance to clean up; the script would train on for nobody.
    """
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
