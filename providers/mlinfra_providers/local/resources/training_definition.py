"""TrainingDefinition: what runs are made from, kept where a person can read it."""

from __future__ import annotations

from pathlib import Path

from mlinfra.files import read_kept, write_json
from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.resources.local_handler import LocalHandler


class TrainingDefinition(LocalHandler):
    """A JSON file. Changing it changes no run that was."""

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Write the definition."""
        write_json(self._file(inputs), dict(inputs), durable=True)
        return f"job/{inputs['name']}", {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what the file says."""
        found = read_kept(self._file(inputs))
        return Found(found, {}) if found is not None else None

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Write the new definition."""
        self.create(new)
        if self._file(old) != self._file(new):
            self.delete(id_, old)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove the file; the runs stay recorded."""
        self._file(inputs).unlink(missing_ok=True)

    def _file(self, inputs: Properties) -> Path:
        return self.layout(inputs).folder / "jobs" / f"{inputs['name']}.json"
