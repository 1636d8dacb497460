"""What a target does of a training run: start it, say how it goes, tell its lines, hand over what it made.

A job is a container of the training image that runs `mlinfra.training.launcher`. What it reads are trees under URLs;
the target brings them by its own mounts or channels, or the launcher fetches them (`Job.variables`). Either way the
launcher checks their digests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from mlinfra.adapters import ResolvedPart
from mlinfra.problems import MlinfraError
from mlinfra.training import INPUT_PREFIX, OUTPUT_VARIABLE, PARAMS_VARIABLE
from mlinfra.training.contract import CODE_VARIABLE, digest_variable


class Phase(StrEnum):
    """Where a job is. `WAITING`: taken, and the script does not run yet. `TIMED_OUT`: the target ended it itself."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self not in (Phase.WAITING, Phase.RUNNING)


@dataclass(frozen=True)
class State:
    """What a target says of a job: `reason` is its own word for why it ended, `started` is of the container."""

    phase: Phase
    reason: str = ""
    started: datetime | None = None


@dataclass(frozen=True)
class Tree:
    """Files under a URL, named by the digest of the tree: `s3://bucket/prod/given/trees/<hex digest>`."""

    digest: str
    url: str


@dataclass(frozen=True)
class Job:
    """A run that a target is asked to make.

    `name` is made of the run's digest: `train-3f9c2ab1d04e`, of a later attempt `…-2`; lower-case letters, digits and
    hyphens. `output` is the URL of a folder for what it makes. `script` is relative to `code`.
    """

    name: str
    part: ResolvedPart
    script: str
    code: Tree
    output: str
    inputs: Mapping[str, Tree] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    max_runtime_seconds: float = 3600.0
    spot: bool = False

    @property
    def digests(self) -> Mapping[str, str]:
        """The variables with which the launcher checks what it reads, however it was brought."""
        return {
            digest_variable(CODE_VARIABLE): self.code.digest,
            **{digest_variable(f"{INPUT_PREFIX}{name.upper()}"): tree.digest for name, tree in self.inputs.items()},
        }

    @property
    def variables(self) -> Mapping[str, str]:
        """Everything that `launcher <script>` needs in a container that reaches the URLs by itself."""
        return {
            CODE_VARIABLE: self.code.url,
            **{f"{INPUT_PREFIX}{name.upper()}": tree.url for name, tree in self.inputs.items()},
            PARAMS_VARIABLE: json.dumps(dict(self.params), sort_keys=True),
            OUTPUT_VARIABLE: self.output,
            **self.digests,
        }


class Jobs(Protocol):
    """A target's jobs of one environment. Each method may raise MlinfraError: refused, or not reached."""

    def submit(self, job: Job) -> None:
        """Start a job. One of this name that is there already is left as it is: two may ask at the same time."""
        ...

    def state(self, job: Job) -> State | None:
        """Return where a job of this name is, or None where there is none."""
        ...

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        """Return what it printed so far, without the first `skip` lines."""
        ...

    def stop(self, job: Job) -> None:
        """End a job that runs; fine if it has ended."""
        ...

    def fetch(self, job: Job, to: Path) -> None:
        """Bring what an ended job left into the folder `to`: `result.json`, `model/`, `baseline/`; nothing is fine.

        `fetch_folder(job.output, to)` is all, where the launcher writes to `job.output`."""
        ...


def fetch_folder(url: str, to: Path) -> None:
    """Copy the files under an fsspec URL into the folder `to`; nothing where there is none.

    Raises:
        MlinfraError: they cannot be read.
    """
    import fsspec  # type: ignore[import-untyped]

    try:
        files, root = fsspec.core.url_to_fs(url)
        files.invalidate_cache()
        root = root.rstrip("/")
        for path in files.find(root):
            target = to / str(path).removeprefix(f"{root}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(path, str(target))
    except (OSError, ImportError, ValueError) as error:
        raise MlinfraError(f"{url} cannot be read: {error}") from error
