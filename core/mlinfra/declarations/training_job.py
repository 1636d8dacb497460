"""The training job: a script, what it reads, what it needs, and when its result is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, ClassVar, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from mlinfra.declarations.check import Check
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.feature_store import FeatureStore, Source
from mlinfra.declarations.part import STRICT, Declaration, Identifier, Items, Part, described
from mlinfra.durations import Duration

LARGEST_EXACT = 2**53 - 1
"""Numbers travel as IEEE 754 doubles (JSON, and the engine's protocol): whole ones are exact up to here."""

Script = Annotated[str, described("file.py", r"^(\w[\w.-]*/)*\w[\w.-]*\.py$")]
"""A Python file inside the stack's folder: what is outside is not part of the code's digest."""


@dataclass(frozen=True, config=STRICT)
class Dataset(Declaration):
    """Rows given by a function, joined with features as they were known at each row's `event_timestamp`.

    The rows hold the column `event_timestamp` (UTC) and the entity column of each feature store in `features`.
    They are read again when the source's code changes and, with `refresh`, when they are older than that.
    """

    source: Source
    features: Items[FeatureStore] = ()
    refresh: Duration | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingJob(Part):
    """A training script's definition; runs are operations (`mlinfra train`), never repeated for the same inputs.

    `inputs` maps a name to a `Dataset`, or to a `FeatureStore` (all its rows); `params` reach the script as
    `run.params`. `accept` decides whether a run's model becomes a release. `spot`: may be interrupted for others.
    """

    plural: ClassVar[str] = "training_jobs"

    code: Script
    inputs: Mapping[Identifier, Dataset | FeatureStore] = field(default_factory=dict)
    params: Mapping[Identifier, bool | int | float | str] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)
    spot: bool = False
    max_runtime: Duration = "1h"
    accept: Items[Check] = ()

    @model_validator(mode="after")
    def _of_a_run(self) -> Self:
        for check in self.accept:
            if check.only_in_gates:
                raise ValueError(f"accept: only a gate of a rollout can ask for {check}: a run knows its own metrics")
        return self

    @model_validator(mode="after")
    def _exact(self) -> Self:
        for name, value in self.params.items():
            if isinstance(value, int) and abs(value) > LARGEST_EXACT:
                raise ValueError(f"params.{name}: {value} would be rounded on its way; write it as a text: '{value}'")
        return self
