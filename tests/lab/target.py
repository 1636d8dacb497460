"""What every emulated target gives to the scenarios: how mlinfra reaches it, how clients ask, and what can go wrong.

Each folder of the lab has one in its `target.py`, made by a context manager `running()`. Each behaviour of an emulated
cloud names the cloud's own documentation that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Fault(StrEnum):
    """What an emulated cloud can be told to do wrong."""

    NO_CAPACITY = "no-capacity"
    """No machines are there for an endpoint that is made or changed."""
    QUOTA = "quota"
    """The account may have no more machines."""
    SILENT_ROLLBACK = "silent-rollback"
    """A change of what serves is taken, and goes back without a reason."""
    THROTTLED = "throttle"
    """A request is refused: too many."""
    LOST_BEFORE = "lost-before"
    """The connection is lost before the work of a request that changes something was done."""
    LOST_AFTER = "lost-after"
    """The connection is lost after it was done."""


@dataclass(frozen=True)
class Answered:
    """One prediction: the short name of the release that made it, and its value."""

    release: str
    prediction: float


class Unanswered(Exception):
    """The endpoint did not answer a request; says why."""


def values(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return how many rows have a value, by column."""
    return Counter(column for row in rows for column, value in row.items() if value is not None)


class Target(Protocol):
    """An emulated target that runs.

    Endpoints are named as the environment's resources are: what the adapter calls them there is the target's matter.
    """

    @property
    def name(self) -> str:
        """The adapter's name."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to reach it, with the lab's plugins: credentials, endpoints, PULUMI_HOME."""
        ...

    @property
    def place(self) -> Mapping[str, Any]:
        """The fields of an environment file that say where: account, region, images, state, artifacts and so on."""
        ...

    @property
    def lacks(self) -> Mapping[Fault, str]:
        """The faults that this target cannot have, each with the reason."""
        ...

    def empty(self) -> None:
        """Forget everything that is there, faults too."""
        ...

    def ask(self, environment: str, endpoint: str, body: bytes) -> Answered:
        """Send an Open Inference Protocol request as a client of this target does. Raises Unanswered."""
        ...

    def there(self) -> Sequence[str]:
        """Return everything that is there and did not come with the account, asked of the cloud: `kind name`."""
        ...

    def stored(self, environment: str, store: str) -> Mapping[str, int]:
        """Return how many rows of a feature store have a value, by column, asked as its readers do."""
        ...

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Let a fault happen to the next requests that it concerns."""
        ...

    def heal(self) -> None:
        """Let no fault happen any more."""
        ...

    def shift_by_hand(self, environment: str, endpoint: str, weights: Mapping[str, int]) -> None:
        """Change the split past mlinfra, as in a console: percent by the short name of the release."""
        ...

    def scale_by_hand(self, environment: str, endpoint: str, release: str, machines: int) -> None:
        """Change the number of machines (or replicas) of a release past mlinfra."""
        ...

    def swap_by_hand(self, environment: str, endpoint: str, release: str, other: str) -> None:
        """Let what is called `release` serve the model of the release `other`, past mlinfra."""
        ...
