"""The Pulumi side of a resource that the plugin `mlinfra` serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


class PluginResource(pulumi.CustomResource):
    """A resource `mlinfra:<module>:<Type>` with wire inputs, and outputs that are known after it was made."""

    def __init__(
        self,
        token: str,
        name: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        options: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(token, name, {**inputs, **dict.fromkeys(outputs)}, options)

    def output(self, name: str) -> pulumi.Output[Any]:
        """Return one of the outputs."""
        made: pulumi.Output[Any] = getattr(self, name)
        return made
