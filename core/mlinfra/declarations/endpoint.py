"""The endpoint: one address that answers by the released versions of one model."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mlinfra.declarations.check import ASKED, GATE_METRICS, HIGHER_IS_BETTER, LABELLED, Check
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import STRICT, Declaration, Items, Part
from mlinfra.durations import Duration, seconds
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
    """How a new release takes the traffic: percentages, how long each is watched, and what must hold.

    A gate has no data on fewer than `min_samples` requests (of quality: labelled ones). Where no data comes, the share
    stays for `patience`, then it goes back. For `shadow` the release first gets copies of requests, and answers
    nobody. The one before stays warm for `keep_warm` after the release serves everything. `label_delay` is how long
    after a request its label arrives.
    """

    later: ClassVar[frozenset[str]] = frozenset({"min_samples", "patience", "shadow", "keep_warm", "label_delay"})

    steps: Annotated[Items[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)] = (100,)
    bake: Duration = "5m"
    gates: Items[Check] = ()
    min_samples: Annotated[int, Field(ge=1)] = 100
    patience: Duration = "30m"
    shadow: Duration | None = None
    keep_warm: Duration = "1d"
    label_delay: Duration | None = None

    @property
    def gradual(self) -> bool:
        """Whether there is anything between the first request of a new release and all of them."""
        return self.steps != (100,) or bool(self.gates) or self.shadow is not None

    @model_validator(mode="after")
    def _climbing(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:
            raise ValueError("steps climb and end at 100: [10, 50, 100]")
        return self

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        for gate in self.gates:
            if wrong := _wrong_gate(gate):
                raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _labels_arrive_in_time(self) -> Self:
        asks = next((gate for gate in self.gates if gate.metric in LABELLED), None)
        if asks is not None and self.label_delay is None:
            raise ValueError(f"{asks} needs labels: say by label_delay how long after a request they arrive")
        if self.label_delay is not None and seconds(self.bake) < seconds(self.label_delay):
            raise ValueError(
                f"bake ({self.bake}) is shorter than label_delay ({self.label_delay}): "
                "a step would be over before the first label is there"
            )
        return self


def _wrong_gate(gate: Check) -> str:
    """Return why nothing could answer a gate, or an empty text."""
    name = gate.metric
    if name not in GATE_METRICS:
        near = nearest(name, GATE_METRICS)
        hint = f" (did you mean {near}?)" if near else ""
        return f"no gate measures {name!r}: one of {', '.join(GATE_METRICS)}{hint}"
    if name in ASKED:
        if not (gate.argument or "").strip():
            return f'{name}: says nothing to ask: {name}("…")'
        if gate.relative:
            return f"{gate}: only what is measured of both releases can be compared with serving()"
    elif gate.argument is not None:
        return f"{name} takes no argument, and has {gate.argument!r}"
    if gate.address is not None and (wrong := _wrong_address(gate)):
        return wrong
    if gate.relative and gate.value <= 0:
        return f"{gate}: a share of what serves now is above 0"
    if name == "drifted_columns" and gate.relative:
        return "drifted_columns counts against what each release was trained on: compare it with a number"
    better = {"prometheus": gate.operator, "approval": ">="}.get(name, ">=" if name in HIGHER_IS_BETTER else "<=")
    return "" if gate.operator == better else f"{gate} would pass what is worse: {name} {better} …"


def _wrong_address(gate: Check) -> str:
    if gate.metric != "prometheus":
        return f"{gate.metric} is asked at no address, and has {gate.address!r}"
    try:
        parts = urlsplit(gate.address or "")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "prometheus: the address is no http or https URL"
    if parts.username is not None or parts.password is not None:
        return "prometheus: the address holds a secret, which would be in git: set PROMETHEUS_URL instead"
    return "" if good else "prometheus: the address is no http or https URL"


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
