"""What a team sets for the rules; None switches off what depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
    """The parameters that rules name, with their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    required_tags: Sequence[str] = ("environment", "owner", "cost-center", "data-classification")
    tag_aliases: Mapping[str, Sequence[str]] = Field(
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
    supported_notebook_platforms: Sequence[str] = ("notebook-al2023-v1",)
    max_accelerators: Accelerators = Accelerators()
    max_replicas: int = Field(default=20, ge=0)
    max_run_hours: float = Field(default=72, ge=0)
    idle_minutes_max: float = Field(default=120, ge=0)
    warm_pool_seconds_max: float = Field(default=1800, ge=0)
    log_retention_days_min: float = Field(default=183, ge=0)
    capture_sampling_max_percent: float = Field(default=50, ge=0, le=100)
    feature_store_max_units: float = Field(default=1000, ge=0)
    feature_store_max_nodes: float = Field(default=10, ge=0)
    budget_monthly_usd: Dollars = None
    cost_delta_monthly_usd: Dollars = None
    low_carbon_regions: Names = None
    ttl_tags: Sequence[str] = ("expires-at", "expires-on", "expiry", "delete-after", "ttl")
