"""The drift monitor: what an endpoint is asked, held against what its model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mlinfra.declarations.check import DRIFT_MEASURES, Check
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import STRICT, Identifier, Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.durations import Duration
from mlinfra.problems import nearest


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DriftMonitor(Part):
    """Compares the captured requests of the last `every` with the rows that `baseline` trained on.

    `thresholds` maps a column (or `prediction`) to the check that must hold. `on_drift`: write a log line, post to
    the environment's webhook, or block promotions from this environment until a later window is quiet. `native`: also
    declare the target's own monitor, which measures in its own way and blocks no promotion; a target refuses what its
    monitor lacks.
    """

    plural: ClassVar[str] = "drift_monitors"
    later: ClassVar[frozenset[str]] = frozenset({"native"})

    endpoint: Endpoint
    baseline: TrainingJob
    every: Duration
    thresholds: Annotated[Mapping[Identifier, Check], Field(min_length=1)]
    on_drift: Literal["log", "webhook", "block-promotion"] = "log"
    native: bool = False

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for column, check in self.thresholds.items():
            if check.metric not in DRIFT_MEASURES:
                near = nearest(check.metric, DRIFT_MEASURES)
                raise ValueError(
                    f"thresholds.{column}: {check.metric!r} measures no drift: one of {', '.join(DRIFT_MEASURES)}"
                    + (f" (did you mean {near}?)" if near else "")
                )
            if check.only_in_gates:
                raise ValueError(f"thresholds.{column}: only a gate of a rollout can ask for {check}")
            if check.operator != "<=":
                raise ValueError(f"thresholds.{column}: a drift threshold is an upper bound: {check.metric}() <= …")
        if self.endpoint.capture is None or self.endpoint.capture.percent == 0:
            raise ValueError(f"endpoint {self.endpoint.name!r} captures nothing: give it capture=Capture(percent=20)")
        if self.endpoint.model.trained_by.key != self.baseline.key:
            raise ValueError(
                f"baseline is {self.baseline.name!r}, but {self.endpoint.name!r} serves what "
                f"{self.endpoint.model.trained_by.name!r} trained"
            )
        return self
