"""The endpoint: one address that answers by the released versions of one model."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mlinfra.declarations.check import GATE_METRICS, Check
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import STRICT, Declaration, Items, Part
from mlinfra.durations import Duration
from mlinfra.problems import nearest

Percent = Annotated[int, Field(ge=0, le=100)]
"""A whole percentage."""

Runtime = Literal["sklearn", "xgboost", "mlflow", "custom"]
"""What loads the model: a library of the serving image, or (`custom`) the team's own container image."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale(Declaration):
    """Replicas: at least `min`, at most `max`; one is added for each `target_rps` requests a second."""

    min: Annotated[int, Field(ge=0, le=1000)] = 1
    max: Annotated[int, Field(ge=1, le=1000)] = 1
    target_rps: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        if self.max > self.min and self.target_rps is None:
            raise ValueError("max is above min: say by target_rps when to add a replica")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Capture(Declaration):
    """Keep this percentage of the requests and answers, for drift and for labels that arrive later."""

    percent: Percent = 100


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rollout(Declaration):
    """How a new release takes the traffic: percentages, how long each is watched, and what must hold."""

    steps: Annotated[Items[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)] = (100,)
    bake: Duration = "5m"
    gates: Items[Check] = ()

    @model_validator(mode="after")
    def _climbing(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:
            raise ValueError("steps climb and end at 100: [10, 50, 100]")
        for gate in self.gates:
            if gate.metric not in GATE_METRICS:
                near = nearest(gate.metric, GATE_METRICS)
                raise ValueError(
                    f"no gate measures {gate.metric!r}: one of {', '.join(GATE_METRICS)}"
                    + (f" (did you mean {near}?)" if near else "")
                )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endpoint(Part):
    """A served model. The model's releases, and which of them answers, are in the lock or follow the newest."""

    plural: ClassVar[str] = "endpoints"

    model: ModelRegistry
    runtime: Runtime
    compute: Compute = field(default_factory=Compute)
    scale: Scale = field(default_factory=Scale)
    capture: Capture | None = None
    rollout: Rollout = field(default_factory=Rollout)
