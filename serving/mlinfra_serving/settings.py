"""What the serving process is told: arguments, or the same as environment variables (containers have those).

Every argument `--some-name` may be given as `MLINFRA_SERVING_SOME_NAME`; an argument wins. In the modes of the
clouds, what is left open comes from the variables that the cloud itself sets (see `mlinfra_serving.shims`).
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlinfra.problems import MlinfraError, Problem, Problems
from mlinfra_serving import runtimes, shims

PREFIX = "MLINFRA_SERVING_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Settings:
    """The checked settings of one serving process.

    `model` is a local path or a URL; `capture_percent` is 0 to 100 and counts only with a `capture_dir` or a
    `capture_store`, a URL to which captured files are copied, or moved where there is no `capture_dir`;
    `drain_seconds` is how long the process still answers, while it says that it is not ready, after SIGTERM.
    """

    name: str
    runtime: str
    model: str
    model_digest: str
    release: str
    host: str
    port: int
    mode: str
    capture_dir: Path | None
    capture_percent: float
    capture_store: str | None
    drain_seconds: float


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; values are text, checked by `read` together with the environment's."""
    result = argparse.ArgumentParser(
        prog="python -m mlinfra_serving",
        description="Serve one model by the Open Inference Protocol V2.",
        epilog=f"Every option may be given in the environment: --model-dir as {PREFIX}MODEL_DIR.",
        allow_abbrev=False,
    )
    # SageMaker starts every container with this word
    result.add_argument("command", nargs="?", choices=["serve"], help=argparse.SUPPRESS)
    result.add_argument("--name", help="name of the model in URLs: the endpoint's name")
    result.add_argument("--runtime", help=f"one of {', '.join(runtimes.NAMES)}")
    result.add_argument("--model-dir", help="folder of the model's artifact, or a URL of it")
    result.add_argument("--model-digest", help="digest of that folder, sha256:…; checked before it is loaded")
    result.add_argument("--release", help="short name of the release, given back in x-mlinfra-release")
    result.add_argument("--host", help="address to listen on (127.0.0.1; in a cloud's mode 0.0.0.0)")
    result.add_argument("--port", help="port to listen on; 0 picks a free one")
    result.add_argument("--mode", help=f"contract to serve by, one of {', '.join(shims.MODES)} (v2)")
    result.add_argument("--capture-dir", help="folder for captured requests; without it and a store none are")
    result.add_argument("--capture-percent", help="share of requests to capture, 0 to 100 (100)")
    result.add_argument("--capture-store", help="URL of a store to which captured files go, too, or alone")
    result.add_argument("--drain-seconds", help="seconds to go on answering after SIGTERM (2)")
    return result


def read(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from `arguments` and, where those are silent, from `environment` (`os.environ`).

    Raises:
        Problems: everything that is missing or wrong, at once.
        SystemExit: an unknown argument, or `--help`.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, str] = {}
    for key, value in vars(parser().parse_args(arguments)).items():
        found = value if value is not None else environment.get(PREFIX + key.upper())
        if found is not None and key != "command":
            given[key] = found
    problems: list[Problem] = []
    mode = given.get("mode", "v2")
    try:
        shim = shims.shim(mode, environment)
    except MlinfraError as error:
        raise Problems([Problem("", 0, "--mode", error.message)]) from None
    given.setdefault("host", shim.host)
    if shim.port is not None:
        given.setdefault("port", shim.port)
    if shim.model is not None:
        given.setdefault("model_dir", shim.model)

    def text(key: str, pattern: re.Pattern[str] | None, expected: str) -> str:
        value = given.get(key, "")
        flag = "--" + key.replace("_", "-")
        if not value:
            problems.append(
                Problem("", 0, flag, "is missing", expected=expected, remedy=f"or set {PREFIX}{key.upper()}")
            )
        elif pattern is not None and not pattern.fullmatch(value):
            problems.append(Problem("", 0, flag, "is wrong", found=repr(value), expected=expected))
        return value

    def number(key: str, default: str, low: float, high: float) -> float:
        value = given.get(key, default)
        try:
            result = float(value)
        except ValueError:
            result = float("nan")
        if not low <= result <= high:
            flag = "--" + key.replace("_", "-")
            expected = f"a number from {low:g} to {high:g}"
            problems.append(Problem("", 0, flag, "is wrong", found=repr(value), expected=expected))
            return low
        return result

    if "capture_percent" in given and given.keys().isdisjoint({"capture_dir", "capture_store"}):
        problems.append(Problem("", 0, "--capture-percent", "needs --capture-dir or --capture-store, to write to"))
    if "port" not in given:
        problems.append(Problem("", 0, "--port", "is missing", remedy=f"or set {PREFIX}PORT"))
    folder = given.get("capture_dir")
    settings = Settings(
        name=text("name", _NAME, "letters, digits, '.', '_' and '-'"),
        runtime=text("runtime", re.compile("|".join(runtimes.NAMES)), " or ".join(runtimes.NAMES)),
        model=text("model_dir", None, "a folder"),
        model_digest=text("model_digest", _DIGEST, "sha256: and 64 hexadecimal digits"),
        release=text("release", _NAME, "letters, digits, '.', '_' and '-'"),
        host=given["host"],
        port=int(number("port", "0", 0, 65535)),
        mode=mode,
        capture_dir=Path(folder) if folder else None,
        capture_percent=number("capture_percent", "100", 0, 100),
        capture_store=given.get("capture_store") or None,
        drain_seconds=number("drain_seconds", "2", 0, 3600),
    )
    if problems:
        raise Problems(problems)
    return settings
