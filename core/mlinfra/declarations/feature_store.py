"""The feature store: columns about an entity, joined as of a moment, looked up online."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mlinfra.declarations.part import STRICT, Declaration, Identifier, Items, Part, described
from mlinfra.durations import Duration

Source = Annotated[str, described("file.py:function", r"^(\w[\w.-]*/)*\w[\w.-]*\.py:[A-Za-z_]\w*$")]
"""`file.py:function`, inside the stack's folder: a function without arguments that returns a DataFrame."""


@dataclass(frozen=True, config=STRICT)
class Entity(Declaration):
    """What the features are about; `name` is the column that holds its key."""

    name: Identifier
    key: Literal["string", "int64"] = "string"


@dataclass(frozen=True, config=STRICT)
class Feature(Declaration):
    """One column. The type is its type in the store; a model sees numbers as float64."""

    name: Identifier
    type: Literal["float64", "int64", "string", "bool"] = "float64"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureStore(Part):
    """Features of one entity.

    `event_time` is the column with the moment from which a row is known. `source` gives the rows; they are read
    again when its code changes and, with `refresh`, when they are older than that. `ttl` is how long a value stays
    true; without it, until the next. `online` keeps the newest values in a store for lookups of one key.
    """

    plural: ClassVar[str] = "feature_stores"
    stateful: ClassVar[bool] = True

    entity: Entity
    event_time: Identifier
    features: Annotated[Items[Feature], Field(min_length=1)]
    source: Source
    refresh: Duration | None = None
    online: bool = True
    ttl: Duration | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [feature.name for feature in self.features]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"features: {name!r} is declared twice")
        return self
