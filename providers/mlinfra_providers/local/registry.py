"""The model registry of one environment: MLflow's registered models, with versions named by digest. Light to import.

A version is a pointer: its artifact is in the artifact store, and is checked against the digest before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlinfra.artifacts import ArtifactStore
from mlinfra.digests import PREFIX, short
from mlinfra.problems import MlinfraError, nearest
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.tracking import mlflow_worker
from mlinfra_providers.local.workers import AsksWorker


class Registry(AsksWorker):
    """The registered models of one environment; keeps its worker until closed, so that calls after the first are fast.

    A model is JSON: {"name", "tags": {…}, "aliases": {"production": 2}, "versions": [{"version": 2, "digest":
    "sha256:…", "run": MLflow's id or None, "source", "tags": {…}, "aliases": ["production"]}, …]}.
    """

    def __init__(self, layout: Layout, store: ArtifactStore) -> None:
        self._store = store
        self._worker = mlflow_worker(layout)
        self._repository = str(layout.repository)

    def ensure(self, name: str, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Create a registered model, or set its tags, and return it."""
        model: dict[str, Any] = self._call("ensure", name=name, tags=dict(tags or {}))
        return model

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a registered model, or None where there is none."""
        model: dict[str, Any] | None = self._call("read", name=name)
        return model

    def delete(self, name: str) -> bool:
        """Delete a registered model with its versions, and say whether it was there. Artifacts stay in the store."""
        return bool(self._call("delete", name=name))

    def register(self, name: str, digest: str, *, run: str | None = None, tags: Mapping[str, str] | None = None) -> int:
        """Make a version for the artifact `digest` and return its number; the same digest is the same version.

        `run` is MLflow's id of the training run (`RunRecord.tracking_id`), `tags` say what else is known of it:
        signature, release, baseline.

        Raises:
            MlinfraError: there is no such registered model, or the artifact is not in the store.
        """
        if not self._store.has(digest):
            raise MlinfraError(
                f"the artifact {short(digest)} is not in {self._store.url}, so it cannot be registered",
                remedy="train it again: mlinfra train --retrain",
            )
        source = f"{self._store.url}/trees/{digest.removeprefix(PREFIX)}"
        return int(self._call("register", name=name, digest=digest, source=source, run=run, tags=dict(tags or {})))

    def delete_version(self, name: str, version: int) -> bool:
        """Delete one version and say whether it was there. Its artifact stays in the store."""
        return bool(self._call("delete_version", name=name, version=version))

    def alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias (`production`) at a version, or remove it (None).

        Raises:
            MlinfraError: there is no such model or version.
        """
        self._call("alias", name=name, alias=alias, version=version)

    def fetch(self, name: str, reference: str | int, to: Path) -> dict[str, Any]:
        """Fetch the artifact of a version (its number, digest, short digest or alias) into `to`; return the version.

        Raises:
            Refused: the artifact was changed on disk; the message names the expected and the found digest, and
                nothing was fetched.
            MlinfraError: there is no such model, version or artifact.
        """
        version = self._resolve(name, reference)
        self._store.get_tree(version["digest"], to)
        return version

    def _resolve(self, name: str, reference: str | int) -> dict[str, Any]:
        model = self.read(name)
        if model is None:
            raise MlinfraError(f"there is no registered model {name!r}", remedy="make it: mlinfra up")
        text = str(reference)
        for version in model["versions"]:
            digest = version["digest"]
            names = {str(version["version"]), *version["aliases"]}
            if text in names or (digest is not None and text in (digest, short(digest))):
                if digest is None:
                    raise MlinfraError(
                        f"version {version['version']} of {name!r} has no digest: mlinfra did not register it",
                        remedy="register it through a training run",
                    )
                found: dict[str, Any] = version
                return found
        known = [str(version["version"]) for version in model["versions"]] + sorted(model["aliases"])
        near = nearest(text, known)
        raise MlinfraError(
            f"model {name!r} has no version {text!r}, only: {', '.join(known) or 'none at all'}",
            remedy=f"did you mean {near!r}?" if near else "",
        )

    def _call(self, operation: str, **arguments: Any) -> Any:
        return self._worker.call(operation, repository=self._repository, **arguments)
