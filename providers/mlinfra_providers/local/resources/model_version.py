"""ModelVersion: one version of a registered model, named by the digest of its artifact."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.registry import Registry
from mlinfra_providers.local.resources.local_handler import LocalHandler


class ModelVersion(LocalHandler):
    """Immutable. The same artifact is the same version, whichever releases bring it: each has a tag of its own."""

    outputs: ClassVar[tuple[str, ...]] = ("version",)
    immutable: ClassVar[frozenset[str]] = frozenset({"environment", "model", "artifact"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Register the artifact, or find it registered."""
        with self.registry(inputs) as registry:
            number = registry.register(inputs["model"], inputs["artifact"], tags=_tags(inputs))
        return f"{inputs['environment']}/{inputs['model']}/{number}", {"version": number}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the version that holds the artifact; gone when nobody does."""
        with self.registry(inputs) as registry:
            version = _version(registry, inputs)
        if version is None:
            return None
        tags = version["tags"]
        run = tags.get(_of_release(inputs))
        found = {
            "release": inputs["release"] if run else None,
            "runtime": tags.get("runtime"),
            "runtimeVersion": tags.get("runtime_version"),
            "signature": json.loads(tags.get("signature", "{}")),
            "run": run,
        }
        return Found({**inputs, **found}, {"version": version["version"]})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Set what is known of the artifact."""
        return self.create(new)[1]

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep the version: it is the record of a model that served, and another release may be made of it."""


def _version(registry: Registry, inputs: Properties) -> dict[str, Any] | None:
    model = registry.read(inputs["model"]) or {"versions": []}
    return next((item for item in model["versions"] if item["digest"] == inputs["artifact"]), None)


def _of_release(inputs: Properties) -> str:
    return f"release.{inputs['release']}"


def _tags(inputs: Properties) -> dict[str, str]:
    return {
        _of_release(inputs): inputs["run"],
        "runtime": inputs["runtime"],
        "runtime_version": inputs["runtimeVersion"],
        "signature": json.dumps(inputs["signature"], sort_keys=True),
    }
