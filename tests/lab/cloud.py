"""What a cloud of the lab does for the plugin: five verbs a type, in the terms of the wire."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.wire import Path, Properties

DEFAULTS = "__defaults"
"""The engine's record of the inputs that the provider chose."""


class Refused(Exception):
    """The cloud said no; the message is the cloud's."""


class Unfinished(Exception):
    """The resource was made and then failed: it is in the cloud, and must be in the state."""

    def __init__(self, id_: str, inputs: Properties, outputs: Properties, reason: str) -> None:
        super().__init__(reason)
        self.id = id_
        self.inputs = inputs
        self.outputs = outputs
        self.reason = reason


@dataclass(frozen=True)
class Failure:
    """One wrong value; `path` is its path on the wire."""

    path: Path
    message: str


@dataclass(frozen=True)
class Live:
    """What the cloud has: the inputs that would make it, and all outputs."""

    inputs: Properties
    outputs: Properties


@dataclass(frozen=True)
class Question:
    """What is to be checked: the inputs, the logical name, the inputs of the last time, and the seed for a name."""

    token: str
    name: str
    inputs: Properties
    old: Properties
    seed: bytes

    def suffix(self, length: int = 7) -> str:
        """Return hexadecimal digits for a generated name; the same in preview and in the `up` after it."""
        chosen = random.Random(self.seed)
        return "".join(chosen.choice("0123456789abcdef") for _ in range(length))


@dataclass
class Answer:
    """The inputs with what the cloud chose filled in, and what is wrong with them."""

    inputs: Properties
    failures: list[Failure] = field(default_factory=list)


class Cloud(ABC):
    """One provider. Raises Refused for what the cloud does not do."""

    derived: Mapping[str, str] = {}
    """Outputs that hold the value of an input under another name: secret when that one is."""

    @abstractmethod
    def configure(self, settings: Properties) -> None:
        """Take the provider's own settings; nested ones have been read from JSON."""

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Answer a function of the provider. Raises Refused."""
        raise Refused(f"the lab has no function {token!r}")

    @abstractmethod
    def check(self, question: Question) -> Answer:
        """Fill in generated names, and judge everything that is known; runs at preview, too."""

    @abstractmethod
    def replaces(self, token: str, id_: str, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        """Return which of the changed properties cannot be changed in place."""

    def deletes_first(self, token: str, old: Properties, new: Properties) -> bool:
        """Say whether the old one must go before its replacement can be made: they would have the same name."""
        return False

    def planned(self, token: str, id_: str | None, inputs: Properties) -> Properties:
        """Return the outputs that are known before anything is made (`id_` None) or changed."""
        return inputs

    @abstractmethod
    def create(self, token: str, inputs: Properties) -> tuple[str, Properties]:
        """Make it, wait until it is ready, and return its id and outputs. Raises Refused, Unfinished."""

    @abstractmethod
    def read(self, token: str, id_: str, inputs: Properties) -> Live | None:
        """Ask the cloud; None when it is gone. `inputs` are the last known ones, empty for an import."""

    @abstractmethod
    def update(self, token: str, id_: str, old: Properties, new: Properties) -> Properties:
        """Change it in place, wait, and return its outputs."""

    @abstractmethod
    def delete(self, token: str, id_: str, inputs: Properties) -> None:
        """Remove it and wait until it is gone; it may be gone already."""
