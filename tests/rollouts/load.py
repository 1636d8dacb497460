"""Clients that ask all the time, and what they were told: no answer is lost, and no release has more than its step."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scipy.stats import binom  # type: ignore[import-untyped]

from mlinfra.files import Damaged, read_json
from tests.end_to_end.repository import ENDPOINT, ROW, Platform

CHANCE = 1e-9
"""How seldom sampling alone may give a release that many requests of one second."""
SLACK_SECONDS = 2.0
"""From writing a split until Envoy has it: the one before counts that long."""
_BODY = json.dumps(
    {"inputs": [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in ROW.items()]}
)
_PATH = f"/v2/models/{ENDPOINT}/infer"


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent and answered (monotonic), and the release that answered it."""

    sent: float
    answered: float
    release: str


@dataclass(frozen=True)
class Split:
    """The split that was asked for from `at` on, and the phase of the rollout."""

    at: float
    weights: dict[str, int]
    phase: str


@dataclass
class Load:
    """What clients were told, and which splits there were meanwhile."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    """When each request that failed was sent."""
    splits: list[Split] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return len(self.answers) + len(self.failures)

    @property
    def last(self) -> str:
        """The release that answered last."""
        return max(self.answers, key=lambda answer: answer.sent).release

    def shares(self, release: str) -> list[int]:
        """Return the shares that a release had, one after the other."""
        found: list[int] = []
        for split in self.splits:
            if not found or found[-1] != split.weights.get(release, 0):
                found.append(split.weights.get(release, 0))
        return found

    def answered_by(self, release: str, since: float = 0.0) -> list[Answer]:
        """Return what a release answered of the requests that were sent since a moment."""
        return [answer for answer in self.answers if answer.release == release and answer.sent >= since]

    def exceeded(self, release: str) -> list[str]:
        """Return each second in which a release answered more than its share and chance allow, in words."""
        sent = sorted([*((answer.sent, answer.release) for answer in self.answers), *((at, "") for at in self.lost)])
        found, last = [], 0
        for first, (start, _) in enumerate(sent):
            while last < len(sent) and sent[last][0] < start + 1:
                last += 1
            second = sent[first:last]
            mine = sum(1 for _, by in second if by == release)
            share = self._most(release, start - SLACK_SECONDS, start + 1)
            if mine and binom.sf(mine - 1, len(second), share / 100) < CHANCE:
                found.append(f"{mine} of {len(second)} requests of a second, with a share of {share} %")
        return found

    def _most(self, release: str, start: float, end: float) -> int:
        # each split counts until the next one
        ends = [*(split.at for split in self.splits[1:]), float("inf")]
        return max(
            (
                split.weights.get(release, 0)
                for split, until in zip(self.splits, ends, strict=True)
                if split.at <= end and until >= start
            ),
            default=0,
        )


@contextmanager
def load(platform: Platform, environment: str, clients: int = 3, pause: float = 0.01) -> Iterator[Load]:
    """Ask the endpoint again and again, from several clients, until the block ends."""
    told, ended = Load(), threading.Event()
    port = platform.ports(environment)[f"endpoint/{ENDPOINT}"]
    traffic = platform.layout(environment).traffic(ENDPOINT)
    _look(traffic, told)
    threads = [threading.Thread(target=_ask, args=(port, told, ended, pause)) for _ in range(clients)]
    threads.append(threading.Thread(target=_watch, args=(traffic, told, ended)))
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _ask(port: int, told: Load, ended: threading.Event, pause: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not ended.wait(pause):
        sent = time.monotonic()
        try:
            connection.request("POST", _PATH, _BODY, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            told.failures.append(repr(error))
            told.lost.append(sent)
            continue
        if answer.status == http.client.OK:
            told.answers.append(Answer(sent, time.monotonic(), answer.headers["x-mlinfra-release"]))
        else:
            told.failures.append(f"{answer.status}: {text.decode()}")
            told.lost.append(sent)
    connection.close()


def _watch(traffic: Path, told: Load, ended: threading.Event) -> None:
    while not ended.wait(0.01):
        _look(traffic, told)


def _look(traffic: Path, told: Load) -> None:
    try:
        found = read_json(traffic)
    except Damaged:
        return
    if found is None:
        return
    weights = {release: weight for release, weight in found["weights"].items() if weight}
    phase = (found["rollout"] or {}).get("phase", "")
    if not told.splits or (told.splits[-1].weights, told.splits[-1].phase) != (weights, phase):
        told.splits.append(Split(time.monotonic(), weights, phase))
