"""Records of feature groups: BatchWriteRecord of SageMaker's Feature Store runtime.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_feature_store_BatchWriteRecord.html: what a group does not
take is in `Errors`, what SageMaker did not get to in `UnprocessedEntries`. Online is the newest record of an identifier
(https://docs.aws.amazon.com/sagemaker/latest/dg/feature-store-concepts.html), offline are all. Formats of event times:
CreateFeatureGroup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from moto.core.exceptions import ServiceException

from tests.lab.aws.server.faults import Faults
from tests.lab.aws.server.sagemaker import FEATURE_GROUP, SageMaker
from tests.lab.aws.server.store import Parameters, Thing, judged

PATH = "/BatchWriteRecord"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
_SECONDS = {"Seconds": 1, "Minutes": 60, "Hours": 3600, "Days": 24 * 3600, "Weeks": 7 * 24 * 3600}
_READ = {"Integral": int, "Fractional": float, "String": str}
Answer = tuple[str, dict[str, str], bytes]


class FeatureRecords:
    """By group: `offline` every record as it came, `online` the newest of each identifier."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._groups: dict[str, Thing] = {}
        self.offline: dict[str, list[dict[str, str]]] = {}
        self.online: dict[str, dict[str, dict[str, str]]] = {}

    def answer(self, sagemaker: SageMaker, body: bytes) -> Answer:
        """Answer a request over HTTP."""
        try:
            with sagemaker.store.lock:
                told = self._write(sagemaker, json.loads(body))
        except ServiceException as refused:
            kind = "ResourceNotFound" if "does not exist" in refused.message else "ValidationError"
            headers = {"Content-Type": "application/json", "x-amzn-errortype": kind}
            return "400 Bad Request", headers, json.dumps({"Message": refused.message}).encode()
        return "200 OK", {"Content-Type": "application/json"}, json.dumps(told).encode()

    def _write(self, sagemaker: SageMaker, parameters: Parameters) -> Parameters:
        judged("BatchWriteRecord", parameters, "sagemaker-featurestore-runtime")
        if self._faults.take("throttle", "BatchWriteRecord"):
            return {"Errors": [], "UnprocessedEntries": parameters["Entries"]}
        errors = []
        for entry in parameters["Entries"]:
            group = sagemaker.store.get(FEATURE_GROUP, entry["FeatureGroupName"])
            record = {item["FeatureName"]: item["ValueAsString"] for item in entry["Record"]}
            if wrong := list(_wrong(group, record)):
                errors.append({"Entry": entry, "ErrorCode": "ValidationError", "ErrorMessage": "; ".join(wrong)})
            else:
                self._keep(group, record)
        return {"Errors": errors, "UnprocessedEntries": []}

    def _keep(self, group: Thing, record: dict[str, str]) -> None:
        name, declared = group.parameters["FeatureGroupName"], group.parameters
        if self._groups.get(name) is not group:  # another one of the same name begins without records
            self._groups[name] = group
            self.offline.pop(name, None)
            self.online.pop(name, None)
        if "OfflineStoreConfig" in declared:
            self.offline.setdefault(name, []).append(record)
        settings = declared.get("OnlineStoreConfig", {})
        if not settings.get("EnableOnlineStore"):
            return
        moment = declared["EventTimeFeatureName"]
        if (kept := settings.get("TtlDuration")) is not None:
            length = timedelta(seconds=kept["Value"] * _SECONDS[kept["Unit"]])
            if datetime.fromisoformat(record[moment]) + length < datetime.now(UTC):
                return
        online, key = self.online.setdefault(name, {}), record[declared["RecordIdentifierFeatureName"]]
        if key not in online or online[key][moment] <= record[moment]:
            online[key] = record


def _wrong(group: Thing, record: Mapping[str, str]) -> Iterable[str]:
    kinds = {item["FeatureName"]: item["FeatureType"] for item in group.parameters["FeatureDefinitions"]}
    for needed in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
        if group.parameters[needed] not in record:
            yield f"Record must contain {group.parameters[needed]}"
    for name, value in record.items():
        if name not in kinds:
            yield f"Feature {name} is not in the feature group"
        elif name == group.parameters["EventTimeFeatureName"] and not _MOMENT.fullmatch(value):
            yield f"EventTime {value} is in no supported format"
        else:
            try:
                _READ[kinds[name]](value)
            except ValueError:
                yield f"Feature {name} is {kinds[name]} and cannot be {value}"
