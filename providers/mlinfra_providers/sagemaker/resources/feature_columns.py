"""FeatureColumns: the columns of a feature group beyond those that it began with, added in place."""

from __future__ import annotations

from typing import ClassVar

from mlinfra.problems import Refused
from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.sagemaker.clients import asking, clients, explained, is_gone


class FeatureColumns(Handler):
    """A feature group takes new columns (UpdateFeatureGroup), and never gives one up."""

    immutable: ClassVar[frozenset[str]] = frozenset({"account", "region", "environment", "featureGroupName"})

    def loses(self, old: Properties, new: Properties) -> str | None:
        """Return which columns would go, or become something else."""
        before, after = old.get("columns") or {}, new.get("columns") or {}
        lost = sorted(column for column, kind in before.items() if after.get(column) != kind)
        name = new.get("featureGroupName")
        return (
            f"{name} would lose {', '.join(lost)} (the group keeps them, undeclared: SageMaker removes no column)"
            if lost
            else None
        )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Add what the group does not have yet."""
        self._add(inputs)
        return f"{inputs['featureGroupName']}/columns", {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the declared columns that the group has, as they are there; gone with the group.

        SageMaker removes no column: one that was given up stays, and is not declared for ever because of that.
        """
        from botocore.exceptions import ClientError

        name = inputs["featureGroupName"]
        with explained(f"reading the feature group {name}"):
            try:
                found = clients(inputs)("sagemaker").describe_feature_group(FeatureGroupName=name)
            except ClientError as error:
                if is_gone(error):
                    return None
                raise
        there = {item["FeatureName"]: item["FeatureType"] for item in found["FeatureDefinitions"]}
        columns = {column: there[column] for column in inputs["columns"] if column in there}
        return Found({**inputs, "columns": columns}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Add what is new."""
        self._add(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Leave the columns: they go with the group."""

    def _add(self, inputs: Properties) -> None:
        api, name = clients(inputs)("sagemaker"), inputs["featureGroupName"]
        with explained(f"adding columns to {name}"):
            there = api.describe_feature_group(FeatureGroupName=name)["FeatureDefinitions"]
            known = {item["FeatureName"]: item["FeatureType"] for item in there}
            other = sorted(column for column, kind in inputs["columns"].items() if known.get(column, kind) != kind)
            if other:
                raise Refused(
                    f"{name}: {', '.join(other)} has another type there, and a feature group changes none",
                    remedy="give the column another name",
                )
            new = {column: kind for column, kind in inputs["columns"].items() if column not in known}
            if not new:
                return
            api.update_feature_group(
                FeatureGroupName=name,
                FeatureAdditions=[{"FeatureName": column, "FeatureType": kind} for column, kind in new.items()],
            )
            for _ in asking():
                found = api.describe_feature_group(FeatureGroupName=name)
                status = found.get("LastUpdateStatus", {})
                if status.get("Status") == "Failed":
                    raise Refused(f"{name}: SageMaker did not add the columns: {status.get('FailureReason')}")
                if status.get("Status") != "InProgress":
                    return
