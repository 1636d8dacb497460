"""Where in a cloud or a cluster an environment is: fields that some targets have, and all others refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from mlinfra.environment import Environment

_PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}")


def _pinned(image: str) -> str:
    if not _PINNED.fullmatch(image):
        raise ValueError("is not pinned by its digest: registry/name@sha256:…, as `docker push` prints it")
    return image


Image = Annotated[str, AfterValidator(_pinned)]
"""A container image by its digest: a tag can mean another image tomorrow."""


class Network(BaseModel):
    """A network that is there already; what is not named is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vpc: str | None = Field(None, min_length=1, description="The network: a VPC's id, a virtual network's name.")
    subnets: tuple[str, ...] = Field((), description="Its subnets, in several zones.")
    security_groups: tuple[str, ...] = Field((), description="What limits the traffic of all parts (AWS).")


class Encryption(BaseModel):
    """A key that is there already; without one it is made, and rotated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(min_length=1, description="The key: an ARN or alias/name (AWS), or its whole resource name.")


class Images(BaseModel):
    """The container images that run here, each pinned by its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serving: Image = Field(description="The serving image (serving/Dockerfile): registry/name@sha256:…")
    training: Image = Field(description="The image of training runs, which can be the same: registry/name@sha256:…")


PLACE: Mapping[str, str] = {
    "account": "it is in no account of a cloud",
    "region": "it is in no region of a cloud",
    "resource_group": "it has no resource groups",
    "workspace": "it has no workspaces",
    "namespace": "it has no namespaces",
    "context": "it is no cluster of a kubeconfig",
    "network": "it makes and joins no network",
    "encryption": "it has no keys of a cloud",
    "images": "it runs no containers",
    "bucket": "it keeps its data in no bucket",
    "tags": "it has nothing to put tags on",
}
"""The fields of an environment that only some targets have, and why one refuses them."""


def refuse_foreign(environment: Environment, known: Mapping[str, tuple[Any, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for each field of a place that is written and that an adapter has no use for.

    `known` is the adapter's `place`: of `network` it has those fields that its values name.
    """
    for name, why in PLACE.items():
        value = getattr(environment, name)
        if value is None or value == {}:
            continue
        inside = known[name][0] if name in known else {}
        if name in known and not isinstance(value, BaseModel):
            continue
        if name not in known:
            yield name, f"has no use for this: {why}", f"remove {name}, or name another target (mlinfra targets)"
        else:
            for path in sorted(f"{name}.{field}" for field in value.model_fields_set - set(inside)):
                yield path, "has no use for this", f"remove {path}, or name another target (mlinfra targets)"
