"""One HTTP API: what may be repeated is repeated, what fails is told, and the token is told to nobody else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypeVar

import httpx
import tenacity
from pydantic import TypeAdapter, ValidationError

from mlinfra.hosts.host import HostError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
SETTLE_ATTEMPTS = 8

_PAGE = 50
_PASSING = {500, 502, 503, 504}
_SAFE_TWICE = {"GET", "PUT", "PATCH", "DELETE"}
_SAID_CHARACTERS = 300

T = TypeVar("T")
Json = Mapping[str, Any]


class _Again(Exception):
    """May be tried once more, after `wait` seconds where the host named them."""

    def __init__(self, error: HostError, wait: float | None = None) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


@dataclass(frozen=True)
class Token:
    """A secret, and the variables it is looked for in. It is shown nowhere."""

    names: tuple[str, ...]
    value: str | None = field(repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], *names: str) -> Token:
        """Return the token of the first variable that is set. Raises HostError for one that no header can hold."""
        for name in names:
            value = environ.get(name, "").strip()
            if not value:
                continue
            if not (value.isascii() and value.isprintable()) or " " in value:
                raise HostError(
                    f"{name} is no token: it holds characters that no token has", remedy=f"set {name} again"
                )
            return cls(names, value)
        return cls(names, None)


@dataclass(frozen=True)
class Api:
    """The API of `host` (its name for people) at `base`; `headers` besides the token's."""

    host: str
    base: str
    token: Token
    needs: str
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str = "Authorization"
    page_size: str = "per_page"

    @cached_property
    def _client(self) -> httpx.Client:
        headers = {"User-Agent": "mlinfra", **self.headers}
        if self.token.value:
            bearer = "Bearer " if self.authorization == "Authorization" else ""
            headers[self.authorization] = f"{bearer}{self.token.value}"
        return httpx.Client(headers=headers, timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS))

    def call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        body: Json | None = None,
        query: Mapping[str, str | int] | None = None,
        twice: bool = False,
    ) -> T:
        """Return the answer as `shape` (None: whatever it says). `twice`: a POST that may be repeated, too.

        Raises HostError for every other answer, and for none.
        """
        return self._parsed(self._answer(method, path, body, query, twice), shape, f"{method} {path}")

    def pages(self, path: str, shape: type[T], query: Mapping[str, str | int], most: int | None = None) -> Iterator[T]:
        """Yield the items of all pages, or of at most `most` pages."""
        page = count = 0
        while most is None or page < most:
            page += 1
            answer = self._answer("GET", path, None, {**query, self.page_size: _PAGE, "page": page}, False)
            items = self._parsed(answer, list[shape], f"GET {path}")  # type: ignore[valid-type]
            yield from items
            count += len(items)
            total = _number(answer, "x-total-count", "x-total")
            more = "next" in answer.links if total is None else count < total
            if not more or not items:
                return

    def settled(self, ask: Callable[[], T], unsettled: Callable[[T], bool]) -> T:
        """Ask until the answer is settled, a few seconds long; return the last answer."""
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(SETTLE_ATTEMPTS),
            wait=tenacity.wait_exponential(FIRST_WAIT_SECONDS, max=4 * FIRST_WAIT_SECONDS),
            retry=tenacity.retry_if_result(unsettled),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        return again(ask)

    def _answer(
        self, method: str, path: str, body: Json | None, query: Mapping[str, str | int] | None, twice: bool
    ) -> httpx.Response:
        repeatable = twice or method in _SAFE_TWICE
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, body, query, repeatable)
        except _Again as again:
            raise again.error from None

    def _once(
        self, method: str, path: str, body: Json | None, query: Mapping[str, str | int] | None, repeatable: bool
    ) -> httpx.Response:
        what = f"{method} {path}"
        # "from None": the exceptions of httpx hold the request, and the request the token
        try:
            answer = self._client.request(method, f"{self.base}/{path}", json=body, params=query)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Again(self._unreachable(str(error))) from None
        except httpx.HTTPError as error:
            why = f"no answer within {ANSWER_SECONDS:g} s" if isinstance(error, httpx.TimeoutException) else str(error)
            told = HostError(
                self._hidden(f"{self.host} broke off at {what}: {why}"),
                remedy="whether it was done is not known; run this again: it finds what is there",
            )
            if repeatable:
                raise _Again(told) from None
            raise told from None
        except (httpx.InvalidURL, ValueError, OSError, ImportError) as error:
            # an address, a proxy or a certificate of the environment that cannot be used
            raise self._unreachable(str(error)) from None
        if answer.is_success:
            return answer
        self._refuse(answer, what, repeatable)
        raise AssertionError

    def _refuse(self, answer: httpx.Response, what: str, repeatable: bool) -> None:
        error = self._error(answer, what)
        wait = _asked_to_wait(answer)
        limited = answer.status_code == 429 or (answer.status_code == 403 and wait is not None)
        if limited or (answer.status_code in _PASSING and repeatable):
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                until = datetime.fromtimestamp(time.time() + wait, UTC)
                raise HostError(error.message, remedy=f"run this again after {until:%H:%M} UTC", status=429)
            raise _Again(error, wait)
        raise error

    def _error(self, answer: httpx.Response, what: str) -> HostError:
        status = answer.status_code
        names = " or ".join(self.token.names)
        said = self._said(answer)
        message = f"{self.host} answered {status} to {what}{f': {said}' if said else ''}"
        remedy = "the reason is the host's own: change what it names, then run this again"
        if answer.is_redirect:
            message = f"{self.host} has moved this repository or its API ({status} to {what})"
            remedy = "set the new address: git remote set-url origin URL"
        elif status == 401:
            wants = "does not accept the token" if self.token.value else "wants a token"
            message = f"{self.host} {wants} ({status} to {what})"
            remedy = f"give one that is valid as {names}"
        elif status == 429 or (status == 403 and _asked_to_wait(answer) is not None):
            message, status = f"{self.host} takes no more requests for now ({status} to {what})", 429
            remedy = "run this again in some minutes"
        elif status == 403:
            remedy = f"the token ({names}) needs {self.needs}"
        elif status == 404:
            remedy = f"see whether the repository is right, and whether the token ({names}) may see it"
        elif status >= 500:
            remedy = "run this again when the host is well: it goes on from what is there"
        return HostError(message, remedy=remedy, status=status)

    def _unreachable(self, why: str) -> HostError:
        return HostError(
            self._hidden(f"{self.host} cannot be reached at {self.base}: {why}"),
            remedy="see whether the address and the network are right, then run this again",
        )

    def _parsed(self, answer: httpx.Response, shape: type[T], what: str) -> T:
        if shape is type(None):
            return None
        try:
            return TypeAdapter(shape).validate_python(answer.json())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            why = f"{where}: {first['msg']}" if where else str(first["msg"])
        except ValueError:
            why = "that is not JSON"
        raise HostError(
            f"{self.host} answered {what} with something else than its API does: {why}",
            remedy=f"see whether {self.base} is the address of its API, and no proxy answers in its place",
            status=answer.status_code,
        )

    def _said(self, answer: httpx.Response) -> str:
        """Return what the host gave as the reason, short."""
        try:
            told = answer.json()
        except ValueError:
            return ""
        if not isinstance(told, dict):
            return ""
        pieces = [told.get("message") or told.get("error"), *_listed(told.get("errors"))]
        texts = [piece if isinstance(piece, str) else json.dumps(piece) for piece in pieces if piece]
        return self._hidden("; ".join(texts))[:_SAID_CHARACTERS]

    def _hidden(self, text: str) -> str:
        return text.replace(self.token.value, "***") if self.token.value else text


def _listed(errors: object) -> list[object]:
    if not isinstance(errors, list):
        return []
    return [error.get("message") or error.get("code") if isinstance(error, dict) else error for error in errors]


def _asked_to_wait(answer: httpx.Response) -> float | None:
    """Return the seconds that the host asks to wait: Retry-After, or the end of a used-up limit; None without."""
    after = _number(answer, "retry-after")
    if after is not None:
        return after
    if "retry-after" in answer.headers:
        try:
            return max(0.0, parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - time.time())
        except ValueError:
            return None
    ends = _number(answer, "x-ratelimit-reset", "ratelimit-reset")
    left = _number(answer, "x-ratelimit-remaining", "ratelimit-remaining")
    return max(0.0, ends - time.time()) if left == 0 and ends is not None else None


def _number(answer: httpx.Response, *names: str) -> float | None:
    """Return the first of these headers that is there, if it is a number of a sane size."""
    text = next((answer.headers[name] for name in names if name in answer.headers), "")
    return float(text) if re.fullmatch("[0-9]{1,10}", text) else None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    growing: float = FIRST_WAIT_SECONDS * 2 ** (state.attempt_number - 1)
    return max(growing, error.wait or 0.0) if isinstance(error, _Again) else growing
