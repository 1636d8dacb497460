"""Workers: processes that hold a heavy library, asked in JSON lines over stdin and stdout.

Feast needs five seconds to import, MLflow three; the command line and the resource plugin must not. A worker starts
with the first call, answers one call after the other, and ends with whoever started it.

    → {"operation": "read", "arguments": {"name": "airport-weather"}}
    ← {"result": …}   or   {"error": {"message": …, "remedy": …, "refused": false}}
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mlinfra.problems import NO_ROOM, MlinfraError, Refused, tells_no_room

_TAIL_LINES = 20
_ENVIRONMENT = {
    # One thread for each core, in every process, on cores that are shared costs more than it gives.
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


def environment() -> dict[str, str]:
    """Return the environment variables of workers and of the user's code."""
    return {**os.environ, **_ENVIRONMENT}


class Closing(ABC):
    """What is closed when its `with` block ends."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Worker(Closing):
    """A worker process, started when first asked. Use it as a context manager, or `close()` it."""

    def __init__(self, module: str, *, folder: Path | None = None) -> None:
        # -P: a file of the user's that is named like a module must not stand in for it.
        # -B: bytecode of a team's file would be taken for the file's as it is now, where both are of one second.
        self._command = [sys.executable, "-B", "-P", "-m", module]
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._lock = threading.Lock()

    def call(self, operation: str, **arguments: Any) -> Any:
        """Ask the worker and return its result (JSON).

        Raises:
            Refused, MlinfraError: what the worker raised; or it ended, and the message holds its last lines.
        """
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({"operation": operation, "arguments": arguments}) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            except BaseException:
                # Interrupted between question and answer: the next answer would belong to the wrong question.
                self._kill()
                raise
            if not line:
                raise self._ended(operation)
        reply = json.loads(line)
        if (error := reply.get("error")) is not None:
            kind = Refused if error["refused"] else MlinfraError
            raise kind(error["message"], remedy=error["remedy"])
        return reply["result"]

    def close(self) -> None:
        """End the process; the next call starts another."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                self._process.stdin.close()
                self._process.wait(timeout=10)
        self._kill()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                encoding="utf-8",
            )
        return self._process

    def _ended(self, operation: str) -> MlinfraError:
        assert self._process is not None
        assert self._log is not None
        self._process.kill()
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        self._kill()
        return MlinfraError(
            "\n".join([f"{' '.join(self._command[2:])} ended during {operation} (exit code {code})", *lines])
        )

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        if self._log is not None:
            self._log.close()
        self._process = self._log = None


class AsksWorker(Closing):
    """What keeps a worker until closed, so that calls after the first are fast."""

    _worker: Worker

    def close(self) -> None:
        """End the worker."""
        self._worker.close()


def serve(operations: Mapping[str, Callable[..., Any]]) -> None:
    """Answer calls until stdin ends: the whole of a worker's `main`."""
    # Libraries print to stdout; answers must not be mixed with that.
    replies = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        call = json.loads(line)
        replies.write(json.dumps(_answer(operations[call["operation"]], call["arguments"])) + "\n")
        replies.flush()


def _answer(operation: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"result": operation(**arguments)}
    except MlinfraError as error:
        return {"error": {"message": error.message, "remedy": error.remedy, "refused": isinstance(error, Refused)}}
    except Exception as error:  # noqa: BLE001 - the worker must answer, whatever a library raised
        traceback.print_exc()
        if tells_no_room(str(error)):
            return {"error": {"message": str(error).splitlines()[0], "remedy": NO_ROOM, "refused": False}}
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return {
            "error": {
                "message": f"{type(error).__name__}: {error}",
                "remedy": f"this is not expected; it happened in {frame.filename}:{frame.lineno}",
                "refused": False,
            }
        }
