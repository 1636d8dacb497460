"""What a team sets for the rules; null switches off what depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator


def _or_null(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return None if value is None else handler(value)


_OrNull = WrapValidator(_or_null)
"""Of a setting that may be null; the rules that depend on it are then not judged, so none of them reads it."""
Names = Sequence[str] | None
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


class InstanceTypes(BaseModel):
    """Patterns of the types of machines that may be used (`ml.m5.*`), in production and elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prod: Sequence[str] = ()
    nonprod: Sequence[str] = ()


class Accelerators(BaseModel):
    """How many GPUs and the like one job, and one stack, may have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_job: int = Field(default=8, ge=0)
    per_stack: int = Field(default=16, ge=0)


class Settings(BaseModel):
    """The parameters that rules name, with their defaults. Some rules are off by default, until a value is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    required_tags: Annotated[Sequence[str], _OrNull] = ("environment", "owner", "cost-center", "data-classification")
    tag_aliases: Annotated[
        Mapping[str, Sequence[str]], BeforeValidator(lambda given: {} if given is None else given)
    ] = Field(
        default_factory=lambda: {
            "environment": ["env", "stage"],
            "owner": ["team", "owner-team"],
            "cost-center": ["cost-centre"],
            "data-classification": ["classification"],
        }
    )
    allowed_regions: Names = None
    allowed_registries: Names = None
    approved_model_sources: Names = None
    approved_key_owners: Names = None
    allowed_instance_types: InstanceTypes | None = None
    supported_notebook_platforms: Annotated[Sequence[str], _OrNull] = ("notebook-al2023-v1",)
    max_accelerators: Annotated[Accelerators, _OrNull] = Accelerators()
    max_replicas: Annotated[int, Field(ge=0), _OrNull] = 20
    max_run_hours: Annotated[float, Field(ge=0), _OrNull] = 72
    idle_minutes_max: Annotated[float, Field(ge=0), _OrNull] = 120
    warm_pool_seconds_max: Annotated[float, Field(ge=0), _OrNull] = 1800
    log_retention_days_min: Annotated[float, Field(ge=0), _OrNull] = 183
    capture_sampling_max_percent: Annotated[float, Field(ge=0, le=100), _OrNull] = 50
    feature_store_max_units: Annotated[float, Field(ge=0), _OrNull] = 1000
    feature_store_max_nodes: Annotated[float, Field(ge=0), _OrNull] = 10
    budget_monthly_usd: Dollars = None
    cost_delta_monthly_usd: Dollars = None
    low_carbon_regions: Names = None
    ttl_tags: Annotated[Sequence[str], _OrNull] = ("expires-at", "expires-on", "expiry", "delete-after", "ttl")

    def switches_off(self, name: str) -> bool:
        """Whether a setting is null that is not by default: then the rules that name it are not judged."""
        field = type(self).model_fields.get(name)
        return field is not None and field.default is not None and getattr(self, name) is None
