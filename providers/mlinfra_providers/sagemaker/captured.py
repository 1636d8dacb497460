"""What SageMaker captured of an endpoint, brought from the environment's bucket.

`<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<name>.jsonl`, in UTC; a file never changes once it is there
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment
from mlinfra_providers.sagemaker.around import data_uri
from mlinfra_providers.sagemaker.clients import Clients, explained
from mlinfra_providers.sagemaker.naming import name, physical_name

_HOUR = timedelta(hours=1)


class DataCapture:
    """Implements `mlinfra_providers.remote.watching.Captured`."""

    def __init__(self, environment: Environment, clients: Clients) -> None:
        self._environment = environment
        self._clients = clients

    def bring(
        self, endpoint: Endpoint, release: str, since: datetime | None, until: datetime | None, folder: Path
    ) -> None:
        """Fetch the files of the window's hours that are not here yet, and write them as the server captures."""
        from mlinfra_serving.drift.sagemaker import keep

        called = name(self._environment.name, endpoint)
        place = data_uri(self._environment, "capture", physical_name(endpoint), called, release)
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        api, here = self._clients("s3"), {path.stem for path in (folder / release).glob("date=*/*.parquet")}
        with tempfile.TemporaryDirectory(prefix="mlinfra-captured-") as scratch, explained(f"reading {place}"):
            for hour in _hours(since, until):
                for key in _keys(api, bucket, f"{prefix}/{hour}"):
                    if PurePosixPath(key).stem not in here:
                        api.download_file(bucket, key, str(Path(scratch) / PurePosixPath(key).name))
            keep(Path(scratch), folder, release)


def _hours(since: datetime | None, until: datetime | None) -> Iterator[str]:
    """Yield the prefixes of a window: the hour after its end, too, as an answer may be written late."""
    if since is None:
        yield ""
        return
    moment = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while moment <= (until or datetime.now(UTC)) + _HOUR:
        yield f"{moment:%Y/%m/%d/%H}/"
        moment += _HOUR


def _keys(api: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in api.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            if item["Key"].endswith(".jsonl"):
                yield item["Key"]
