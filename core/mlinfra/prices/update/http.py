"""Asking a server again when it is busy or the connection breaks, and giving up with one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from mlinfra.problems import MlinfraError

T = TypeVar("T")

ATTEMPTS = 5
TIMEOUT = httpx.Timeout(60, connect=10)
_BUSY = {429, 500, 502, 503, 504}
_LONGEST_PAUSE = 60.0


class Client:
    """Gets what stands at a URL. Secrets travel in headers alone, so that no message about a URL tells one."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self._http = httpx.Client(timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def json(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON value at a URL.

        Raises:
            ValueError: something else stands there.
            MlinfraError: as `get`.
        """
        return self.get(url, _parsed, params, headers)

    def get(
        self,
        url: str,
        read: Callable[[httpx.Response], T],
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Return what `read` makes of the answer; it is asked again when the connection breaks while it reads.

        Raises:
            MlinfraError: the server refuses, stays busy, or cannot be reached.
        """
        host = httpx.URL(url).host
        trouble = ""
        for attempt in range(ATTEMPTS):
            wait = 2.0**attempt
            try:
                with self._http.stream("GET", url, params=params, headers=headers) as response:
                    if response.status_code == httpx.codes.OK:
                        return read(response)
                    trouble = f"it answered {response.status_code}"
                    if response.status_code not in _BUSY:
                        break
                    wait = max(wait, _seconds(response.headers.get("retry-after", "")))
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
            if attempt + 1 < ATTEMPTS:
                self._pause(min(wait, _LONGEST_PAUSE))
        raise MlinfraError(f"{host} gave no prices: {trouble}; nothing was changed", remedy="try again later")


def _parsed(response: httpx.Response) -> Any:
    response.read()
    return response.json()


def _seconds(text: str) -> float:
    """Return the seconds of a Retry-After header; 0 for a date or nothing."""
    return float(text) if text.isdigit() else 0.0
