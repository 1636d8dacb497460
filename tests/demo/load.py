"""A client that asks at a steady rate, whatever becomes of its requests, and counts what it was told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 30.0
OK = range(200, 300)


@dataclass(frozen=True)
class Told:
    """What a request was told: its id, its flight, when it was sent and answered (seconds since 1970), the status (0:
    nothing in time), the release that answered, and the prediction."""

    id: str
    flight: int
    sent: float
    ended: float
    status: int
    release: str
    prediction: float | None

    @property
    def good(self) -> bool:
        """Whether it was answered by 2xx in time."""
        return self.status in OK


class Load:
    """Sends one flight a request, `rate` a second, over and over. An open loop: a slow answer delays no other request.

    `told` grows while it runs; a request is in it once it has ended.
    """

    def __init__(self, url: str, flights: Sequence[Mapping[str, Any]], rate: float) -> None:
        self.told: list[Told] = []
        self._url, self._flights, self._rate = url, flights, rate
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, and wait for the last answer."""
        self._ending.set()
        self._thread.join(TIMEOUT_SECONDS * 2)

    def of(self, release: str, since: float = 0.0) -> list[Told]:
        """Return the good answers of a release to what was sent since then."""
        return [each for each in list(self.told) if each.release == release and each.good and each.sent >= since]

    async def _send_all(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=3)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False) as client:
            begun, number, waiting = time.monotonic(), 0, set()
            while not self._ending.is_set():
                task = asyncio.create_task(self._send(client, number))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                number += 1
                await asyncio.sleep(max(0.0, begun + number / self._rate - time.monotonic()))
            await asyncio.gather(*waiting)

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        flight = number % len(self._flights)
        body = {**self._flights[flight], "id": f"{number}-{self._flights[flight]['id']}"}
        sent, status, release, prediction = time.time(), 0, "", None
        try:
            answer = await client.post(
                self._url, content=json.dumps(body), headers={"content-type": "application/json"}
            )
            status, release = answer.status_code, answer.headers.get("x-mlinfra-release", "")
            if status in OK:
                prediction = answer.json()["outputs"][0]["data"][0]
        except httpx.HTTPError:
            pass  # status 0 tells it
        self.told.append(Told(body["id"], flight, sent, time.time(), status, release, prediction))
