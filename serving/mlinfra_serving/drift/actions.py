"""What happens when a window drifts, and when a later one does not any more."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError

log = logging.getLogger(__name__)

BLOCKED_FILE = "blocked.json"
WEBHOOK_TRIES = 3
WEBHOOK_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class OnDrift:
    """What to do: write a log line, post the result to `url`, or block promotions."""

    kind: Literal["log", "webhook", "block-promotion"]
    url: str = ""

    def __repr__(self) -> str:
        return f"OnDrift({self.kind!r}{', ' + _place(self.url) if self.url else ''})"


def parse_on_drift(text: str) -> OnDrift:
    """Return what `log`, `block-promotion`, `webhook:https://…` or `webhook:$VARIABLE` means.

    With `$VARIABLE` the address comes from the environment, so that the secret in it is in no process list.

    Raises:
        MlinfraError: none of these, or an address that is not http or https.
    """
    if text == "log":
        return OnDrift("log")
    if text == "block-promotion":
        return OnDrift("block-promotion")
    kind, _, url = text.partition(":")
    if kind != "webhook" or not url:
        raise MlinfraError(f"{kind!r} is nothing to do on drift", remedy="use log, webhook:URL or block-promotion")
    if url.startswith("$"):
        variable, url = url[1:], os.environ.get(url[1:], "")
        if not url:
            raise MlinfraError(f"the webhook's address is to come from {variable}, which is not set")
    if not _is_address(url):
        # without the address: it may be the secret
        raise MlinfraError("the webhook's address is not an http or https URL", remedy="use webhook:https://host/path")
    return OnDrift("webhook", url)


def act(on_drift: OnDrift, document: Mapping[str, Any], output: Path, *, backoff_seconds: float = 1.0) -> None:
    """Do what is due after a run, given its JSON document (version 1).

    A block is lifted by a window without drift only: no data neither blocks nor lifts. A webhook that does not
    answer is logged and not fatal, as the result itself is on disk.
    """
    verdict = document["verdict"]
    drifted = [column for column in document["columns"] if column["verdict"] == "drift"]
    if on_drift.kind == "block-promotion":
        _block(output / BLOCKED_FILE, document, drifted)
    if verdict != "drift":
        return
    log.warning("drift on endpoint %s: %s", document["endpoint"], ", ".join(map(_said, drifted)))
    if on_drift.kind == "webhook":
        _post(on_drift.url, document, backoff_seconds)


def _block(file: Path, document: Mapping[str, Any], drifted: list[dict[str, Any]]) -> None:
    if document["verdict"] == "ok":
        if file.exists():
            file.unlink()
            log.info("no drift any more: promotion from endpoint %s is not blocked", document["endpoint"])
        return
    if document["verdict"] == "no data":
        return
    since = document["computed_at"]
    try:
        since = json.loads(file.read_text(encoding="utf-8"))["since"]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the block in %s could not be read and starts anew: %r", file, error)
    names = ("column", "measure", "value", "floor", "threshold")
    block = {
        "version": 1,
        "endpoint": document["endpoint"],
        "release": document["release"],
        "reason": "drift: " + ", ".join(map(_said, drifted)),
        "since": since,
        "last_seen": document["computed_at"],
        "measures": [{name: column[name] for name in names} for column in drifted],
    }
    write_atomically(file, json.dumps(block, indent=2) + "\n", durable=True, private=False)


def _post(url: str, document: Mapping[str, Any], backoff_seconds: float) -> None:
    # httpx logs whole addresses, and the secret of a webhook is in its address
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for attempt in range(1, WEBHOOK_TRIES + 1):
        try:
            response = httpx.post(url, json=document, timeout=WEBHOOK_TIMEOUT_SECONDS)
            if response.is_success:
                log.info("posted to %s", _place(url))
                return
            reason = f"status {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = type(error).__name__
        log.warning("try %d of %d: webhook at %s: %s", attempt, WEBHOOK_TRIES, _place(url), reason)
        if attempt < WEBHOOK_TRIES:
            time.sleep(backoff_seconds * 2 ** (attempt - 1))
    log.error("the webhook at %s was not reached; the result is in the output folder", _place(url))


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _place(url: str) -> str:
    """Return the address without anything that may be secret: user, password, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _said(column: Mapping[str, Any]) -> str:
    threshold = column["threshold"]
    value = f"{column['value']:.3g}, not {threshold['operator']} {threshold['value']:g}"
    return f"{column['column']} {column['measure']} {value}"
