"""What all handlers of the local target share."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mlinfra.artifacts import ArtifactStore
from mlinfra_providers.handler import Handler, Properties
from mlinfra_providers.local.features import Features
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.registry import Registry

# apart, so that Feast and MLflow start and work side by side
_using_features = threading.Lock()
_using_registries = threading.Lock()
_features: dict[Layout, Features] = {}
_registries: dict[tuple[Layout, str], Registry] = {}


class LocalHandler(Handler):
    """A handler that knows its environment's folders, and shares Feast and MLflow with the others.

    Each lives in a worker that takes seconds to start: one of each kind serves all operations of this process, one at
    a time.
    """

    def layout(self, inputs: Properties) -> Layout:
        """Return the paths of the environment that the inputs name."""
        return Layout(self.repository, inputs["environment"])

    def artifacts(self, inputs: Properties) -> ArtifactStore:
        """Return the store that the inputs name, or the repository's own."""
        return ArtifactStore(inputs.get("artifacts") or self.layout(inputs).artifacts_url)

    @contextmanager
    def features(self, inputs: Properties) -> Iterator[Features]:
        """Hold the environment's feature store."""
        layout = self.layout(inputs)
        with _using_features:
            if layout not in _features:
                _features[layout] = Features(layout)
                atexit.register(_features[layout].close)
            yield _features[layout]

    @contextmanager
    def registry(self, inputs: Properties) -> Iterator[Registry]:
        """Hold the environment's model registry."""
        layout, artifacts = self.layout(inputs), self.artifacts(inputs)
        key = (layout, artifacts.url)
        with _using_registries:
            if key not in _registries:
                _registries[key] = Registry(layout, artifacts)
                atexit.register(_registries[key].close)
            yield _registries[key]
