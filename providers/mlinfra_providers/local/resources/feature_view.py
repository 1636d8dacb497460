"""FeatureView: a feature store's declaration, history and newest values in Feast."""

from __future__ import annotations

from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.features import schema_changes
from mlinfra_providers.local.resources.local_handler import LocalHandler
from mlinfra_providers.local.sources import source_digest


class FeatureView(LocalHandler):
    """Columns are added in place; a change that would break readers is refused; it is never replaced."""

    outputs: ClassVar[tuple[str, ...]] = ("rows", "onlineRows", "data")
    immutable: ClassVar[frozenset[str]] = frozenset({"environment", "name"})

    def loses(self, old: Properties, new: Properties) -> str | None:
        """Say what Feast would accept and readers would not survive."""
        return "; ".join(schema_changes(_spec(old), _spec(new))) or None if old["name"] == new["name"] else None

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Read the source, declare the view, write its newest values."""
        folder, _, source = str(inputs["source"]).rpartition("/")
        with self.features(inputs) as features:
            place = self.repository.joinpath(*folder.split("/")[:2])
            source = "/".join([*folder.split("/")[2:], source])
            spec = {**_spec(inputs), "source": source, "source_digest": source_digest(place)}
            state = features.apply(spec, place, refresh_seconds=inputs.get("refreshSeconds"))
        return f"{inputs['environment']}/{inputs['name']}", _outputs(state)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what Feast and its tables really hold."""
        with self.features(inputs) as features:
            state = features.read(inputs["name"])
        if state is None:
            return None
        found = {
            "entity": dict(state["entity"]),
            "eventTime": state["event_time"],
            "features": [dict(feature) for feature in state["features"]],
            "online": state["online"],
            "ttlSeconds": state["ttl_seconds"],
        }
        return Found({**inputs, **found}, _outputs(state))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Apply the change in place."""
        return self.create(new)[1]

    def delete(self, id_: str, inputs: Properties) -> None:
        """Delete the view with its data: the engine asks for it only after the protection was taken off."""
        with self.features(inputs) as features:
            features.delete(inputs["name"], destroy_data=True)


def _spec(inputs: Properties) -> dict[str, Any]:
    return {
        "name": inputs["name"],
        "entity": inputs["entity"],
        "event_time": inputs["eventTime"],
        "features": inputs["features"],
        "online": inputs["online"],
        "ttl_seconds": inputs.get("ttlSeconds"),
    }


def _outputs(state: dict[str, Any]) -> dict[str, Any]:
    return {"rows": state["rows"], "onlineRows": state["online_rows"], "data": state["data_digest"]}
