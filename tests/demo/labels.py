"""What became of each flight, told to prod a while after the request: as late as labels are."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

from tests.demo.flights import Flights
from tests.demo.load import Load
from tests.demo.place import FOLDER, HERE, MLINFRA

EVERY_SECONDS = 2.0


class Labels:
    """Gives an environment the label of each answered request, `delay` seconds after the answer."""

    def __init__(self, load: Load, flights: Flights, environment: str, delay: float) -> None:
        self.given = 0
        self._load, self._flights, self._environment, self._delay = load, flights, environment, delay
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._give_all, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Give no more."""
        self._ending.set()
        self._thread.join()

    def _give_all(self) -> None:
        first = 0
        while not self._ending.wait(EVERY_SECONDS):
            told, old = self._load.told, time.time() - self._delay
            last = first
            while last < len(told) and told[last].ended <= old:
                last += 1
            if last > first and self._give([(each.id, self._flights.late[each.flight]) for each in told[first:last]]):
                self.given += last - first
                first = last

    def _give(self, labels: list[tuple[str, int]]) -> bool:
        file = FOLDER / "labels.jsonl"
        file.write_text("".join(json.dumps({"request_id": name, "label": label}) + "\n" for name, label in labels))
        done = subprocess.run(
            [MLINFRA, "labels", "add", self._environment, str(file)], cwd=HERE, capture_output=True, check=False
        )
        return done.returncode == 0
