"""What became of each flight, told to an endpoint a while after the request: as late as labels are."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from mlinfra.adapters import Service
from tests.demo.flights import Flights
from tests.demo.load import Load

EVERY_SECONDS = 1.0


class Labels:
    """Gives an endpoint the label of each answered request, `delay` seconds after the answer."""

    def __init__(self, load: Load, flights: Flights, service: Service, endpoint: str, delay: float) -> None:
        self._load, self._flights, self._service, self._endpoint, self._delay = load, flights, service, endpoint, delay
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
            if labels := {each.id: float(self._flights.late[each.flight]) for each in told[first:last]}:
                self._service.add_labels(self._endpoint, labels)
            first = last
