"""The model registry: the versions of one model, each named by the digest of its artifact."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from mlinfra.declarations.part import STRICT, Part
from mlinfra.declarations.training_job import TrainingJob


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelRegistry(Part):
    """The registered model that `trained_by` makes versions of."""

    plural: ClassVar[str] = "model_registries"
    stateful: ClassVar[bool] = True

    trained_by: TrainingJob
