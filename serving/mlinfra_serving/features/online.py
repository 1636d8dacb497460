"""Feast's own server is asked to bring a view online (feast.feature_server: POST /materialize)."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import tenacity

from mlinfra.problems import MlinfraError

_WAIT_SECONDS = 300.0
"""How long the server may take to answer at all: it starts after the store was changed."""
_AGAIN_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_SHOWN = 300
_NOT_YET = (502, 503, 504)


class _NotYet(Exception):
    """The server does not answer, or says that it is not there yet."""


def materialize(
    server: str,
    view: str,
    first: datetime,
    last: datetime,
    *,
    wait: float = _WAIT_SECONDS,
    again: float = _AGAIN_SECONDS,
) -> None:
    """Bring the newest row of each key online, of those between two event times; return when it is done.

    Raises:
        MlinfraError: the server refuses, fails, or does not answer within `wait` seconds, asked every `again` seconds.
    """
    # the server wants a window that is longer than nothing
    window = {"start_ts": first.isoformat(), "end_ts": (last + timedelta(seconds=1)).isoformat()}
    url = f"{server.rstrip('/')}/materialize"
    try:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_NotYet),
            stop=tenacity.stop_after_delay(wait),
            wait=tenacity.wait_fixed(again),
            reraise=True,
        ):
            with attempt:
                _ask(url, {**window, "feature_views": [view]})
    except _NotYet as error:
        raise MlinfraError(
            f"{url}: no answer in {wait:g} s: {error}", remedy="look at the pods of the feature store: kubectl get pods"
        ) from None


def _ask(url: str, body: dict[str, object]) -> None:
    try:
        # it answers when all is done, however many rows there are: the Job's own deadline ends it
        answer = httpx.post(url, json=body, timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS))
    except httpx.TransportError as error:
        raise _NotYet(f"{type(error).__name__}: {error}") from None
    if answer.status_code in _NOT_YET:
        raise _NotYet(f"HTTP {answer.status_code}")
    if not answer.is_success:
        said = " ".join(answer.text.split())[:_SHOWN]
        raise MlinfraError(f"{url}: Feast answers {answer.status_code}: {said}", remedy="its log says why")
