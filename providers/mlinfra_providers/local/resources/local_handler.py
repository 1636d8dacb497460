"""What all handlers of the local target share."""

from __future__ import annotations

from mlinfra.artifacts import ArtifactStore
from mlinfra_providers.handler import Handler, Properties
from mlinfra_providers.local.layout import Layout


class LocalHandler(Handler):
    """A handler that knows its environment's folders."""

    def layout(self, inputs: Properties) -> Layout:
        """Return the paths of the environment that the inputs name."""
        return Layout(self.repository, inputs["environment"])

    def artifacts(self, inputs: Properties) -> ArtifactStore:
        """Return the store that the inputs name, or the repository's own."""
        return ArtifactStore(inputs.get("artifacts") or self.layout(inputs).artifacts_url)
