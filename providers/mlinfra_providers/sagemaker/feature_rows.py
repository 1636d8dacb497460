"""Rows of a feature store in its feature group: records, of which SageMaker keeps the newest online and all offline.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_feature_store_BatchWriteRecord.html. A group only ever
gets more: so what was written before is left out, and a row that the source gives no more stays offline, and online
until its time is over. The same record twice is one online, and two lines offline, of which the newer one counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.remote.ingest import Rows
from mlinfra_providers.sagemaker.clients import Clients, explained, is_gone
from mlinfra_providers.sagemaker.naming import FEATURE_GROUP_LIMIT, name

if TYPE_CHECKING:
    import pandas as pd

MOST_ENTRIES = 25
"""Records of one request (botocore: BatchWriteRecordRequest)."""
AT_ONCE = 8
"""Requests at a time: 200 records under way, of the 10,000 a second that an account may write."""
PATIENCE = 8
"""So often SageMaker is asked again to write what it says it did not process."""
Record = list[dict[str, str]]


class FeatureRows:
    """Implements `mlinfra_providers.remote.ingest.Writer`."""

    def __init__(self, environment: Environment, clients: Clients) -> None:
        self._environment = environment
        self._clients = clients

    def identity(self, part: ResolvedPart) -> str | None:
        """Return when the feature group was made."""
        from botocore.exceptions import ClientError

        group = self._group(part)
        with explained(f"reading the feature group {group}"):
            try:
                found = self._clients("sagemaker").describe_feature_group(FeatureGroupName=group)
            except ClientError as error:
                if is_gone(error):
                    return None
                raise
        return str(found["CreationTime"].isoformat())

    def write(self, part: ResolvedPart, rows: Rows, say: Callable[[str], None]) -> None:
        """Write the rows that were not written before.

        Raises:
            MlinfraError: SageMaker refuses some, or does not get to all of them.
        """
        store = part.part
        assert isinstance(store, FeatureStore)
        new = _new(rows)
        if len(new) < rows.count:
            say(f"{store.name}: {len(new):,} of them are new")
        group, api = self._group(part), self._clients("sagemaker-featurestore-runtime")

        records = _records(new, store.event_time)
        with explained(f"writing to the feature group {group}"), ThreadPoolExecutor(AT_ONCE) as pool:
            waiting = [
                pool.submit(_put, api, group, some) for some in iter(lambda: list(islice(records, MOST_ENTRIES)), [])
            ]
            try:
                for done in waiting:
                    done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _group(self, part: ResolvedPart) -> str:
        return name(self._environment.name, part.part, limit=FEATURE_GROUP_LIMIT)


def _new(rows: Rows) -> pd.DataFrame:
    """Return the rows that were not among those before: all, where a column is new."""
    import pandas as pd

    now, path = pd.read_parquet(rows.path).drop_duplicates(), rows.before()
    before = pd.read_parquet(path).drop_duplicates() if path is not None else None
    if before is None or list(before) != list(now):
        return now
    merged = now.merge(before, how="left", indicator=True)  # by all columns; missing is missing, too
    return merged[merged["_merge"] == "left_only"].drop(columns="_merge")


def _records(frame: pd.DataFrame, event_time: str) -> Iterator[Record]:
    """Yield each row as a record: values are text, and what is missing is left out.

    Of the two formats of times that a group takes, that with milliseconds (CreateFeatureGroup: EventTimeFeatureName).
    """
    import pandas as pd

    for row in frame.to_dict("records"):
        moment = row[event_time].tz_convert("UTC").isoformat(timespec="milliseconds")
        row[event_time] = moment.replace("+00:00", "Z")
        yield [
            {"FeatureName": str(column), "ValueAsString": str(value)}
            for column, value in row.items()
            if not pd.isna(value)
        ]


def _put(api: Any, group: str, records: Sequence[Record]) -> None:
    entries: list[Mapping[str, Any]] = [{"FeatureGroupName": group, "Record": record} for record in records]
    for attempt in range(PATIENCE):
        answer = api.batch_write_record(Entries=entries)
        if answer["Errors"]:
            first = answer["Errors"][0]
            raise MlinfraError(
                f"the feature group {group} does not take {first['Entry']['Record']}: {first['ErrorCode']}: "
                f"{first['ErrorMessage']}"
            )
        entries = answer["UnprocessedEntries"]
        if not entries:
            return
        time.sleep(min(0.1 * 2**attempt, 5.0))
    raise MlinfraError(
        f"the feature group {group} did not get to {len(entries)} records",
        remedy="run it again: it goes on from there",
    )
