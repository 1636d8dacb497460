"""What is known of a training run: what it was made of, how it ended, and whether its model is accepted."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from mlinfra.adapters import Run
from mlinfra.declarations.check import Answer, Check
from mlinfra.digests import digest_json, short
from mlinfra.problems import MlinfraError, nearest
from mlinfra.training.code import code_digest, libraries_digest

FINISHED = "finished"
FAILED = "failed"
TIMED_OUT = "timed out"
OUT_OF_MEMORY = "out of memory"
NO_MODEL = "no model"


@dataclass(frozen=True)
class Input:
    """A Parquet file that a run reads, and the digest of its content."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Request:
    """A run to make. `folder` is the stack's folder, `script` is relative to it; memory in GiB, time in seconds.

    `niceness` is that of the operating system, 0 to 19: how readily the run gives way to other processes.
    `accept` holds checks as JSON: {"metric": "auc", "operator": ">=", "value": 0.62}. `code` and `libraries` are
    digests of what the run is made of (see `mlinfra.training.code`), taken when the request is made.

    Raises:
        MlinfraError: the folder is missing or empty, or the script is not in it.
    """

    job: str
    folder: Path
    script: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    accept: Sequence[Mapping[str, Any]] = ()
    cpus: int = 1
    memory_gib: float = 2.0
    max_runtime_seconds: float = 3600.0
    niceness: int = 0
    code: str = field(init=False)
    libraries: str = field(init=False)

    def __post_init__(self) -> None:
        if not (self.folder / self.script).is_file():
            near = nearest(self.script, [path.name for path in self.folder.glob("*.py")])
            raise MlinfraError(
                f"{self.folder / self.script}: no such training script",
                remedy=f"did you mean {near!r}?" if near else "",
            )
        object.__setattr__(self, "code", code_digest(self.folder))
        object.__setattr__(self, "libraries", libraries_digest(self.folder))

    @property
    def digest(self) -> str:
        """The run's name."""
        given = {name: given.digest for name, given in self.inputs.items()}
        return run_digest(self.job, self.script, self.code, self.libraries, given, self.params)


@dataclass(frozen=True)
class RunRecord:
    """A training run that ended. Times are ISO 8601 in UTC; paths are relative to the folder of all runs.

    `outcome`: finished, failed, timed out, out of memory, no model. `accepted`: finished, and every check passed.
    `checks`: {"metric", "operator", "value", "found": number or None, "answer": pass, fail, no data}.
    `log_tail`: the last lines of the log, of a run that did not finish.
    """

    id: str
    job: str
    digest: str
    attempt: int
    outcome: str
    accepted: bool
    checks: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: str
    libraries: str
    script: str
    commit: str | None
    memory_gib: float
    max_runtime_seconds: float
    started_at: str
    seconds: float
    peak_memory_bytes: int
    folder: str
    log_tail: Sequence[str] = ()
    runtime: str | None = None
    runtime_version: str | None = None
    model_digest: str | None = None
    signature: Mapping[str, Any] | None = None
    baseline_digest: str | None = None
    adopted: bool = False
    tracking_id: str | None = None

    @property
    def verdict(self) -> str:
        """How it ended, in one word for people: accepted, rejected, or the outcome of a run without a model."""
        if self.outcome != FINISHED:
            return self.outcome
        return "accepted" if self.accepted else "rejected"

    def log(self, runs: Path) -> Path:
        """Return the log file, given the folder of all runs."""
        return runs / self.folder / "log.txt"

    def model(self, runs: Path) -> Path:
        """Return the model's folder, given the folder of all runs."""
        return runs / self.folder / "output" / "model"

    def baseline(self, runs: Path) -> Path:
        """Return the baseline's folder, given the folder of all runs."""
        return runs / self.folder / "output" / "baseline"

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is kept."""
        return {"version": 1, **asdict(self)}

    def to_run(self) -> Run:
        """Return the run as every target tells it."""
        return Run(
            id=self.id,
            outcome=self.verdict,
            metrics=dict(self.metrics),
            checks=list(self.checks),
            seconds=self.seconds,
            adopted=self.adopted,
            inputs=self.digest,
            result={
                "artifact": self.model_digest,
                "runtime": {"name": self.runtime, "version": self.runtime_version},
                "signature": self.signature,
                "baseline": self.baseline_digest,
                "data": dict(self.inputs),
                "code": self.code,
            },
            log="\n".join(self.log_tail),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the record that `to_json` described."""
        return cls(**{known.name: value[known.name] for known in fields(cls) if known.name in value})


def run_digest(
    job: str, script: str, code: str, libraries: str, inputs: Mapping[str, str], params: Mapping[str, Any]
) -> str:
    """Return a digest of all that can change the model: it names a run. How fast a machine is cannot.

    `code` and `inputs` (by name) are digests of contents; `libraries` says which are installed where the script runs.
    """
    return digest_json(
        {
            "job": job,
            "script": script,
            "code": code,
            "libraries": libraries,
            "inputs": dict(inputs),
            "params": dict(params),
        }
    )


def run_id(job: str, digest: str, attempt: int) -> str:
    """Return the name of a run: `train-3f9c2ab1d04e`, and `…-2` when it is made again."""
    return f"{job}-{short(digest)}" + (f"-{attempt}" if attempt > 1 else "")


def judge(accept: Sequence[Mapping[str, Any]], metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Answer the checks of a job from a run's metrics, as `RunRecord.checks` keeps them."""
    answered = []
    for given in accept:
        check = Check(given["metric"], given["operator"], given["value"])
        answered.append(
            {**check.spec(), "found": metrics.get(check.metric), "answer": str(check.ask(metrics))},
        )
    return answered


def passed(checks: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether every check passed; no data never does."""
    return all(check["answer"] == Answer.PASS for check in checks)


def commit_of(folder: Path) -> str | None:
    """Return the git commit of the code, with `+changes` when files differ from it; None outside of git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}+changes" if git("status", "--porcelain", "--", ".") else commit
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
