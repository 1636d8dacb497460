"""What goes over HTTP: a request, an answer, and an error as Google writes it (https://google.aip.dev/193)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CODES = {
    "INVALID_ARGUMENT": (400, 3),
    "FAILED_PRECONDITION": (400, 9),
    "NOT_FOUND": (404, 5),
    "ALREADY_EXISTS": (409, 6),
    "ABORTED": (409, 10),
    "RESOURCE_EXHAUSTED": (429, 8),
    "UNAVAILABLE": (503, 14),
    "CONDITION_NOT_MET": (412, 9),
    "UNIMPLEMENTED": (501, 12),
}
"""The status of HTTP and of gRPC for each canonical one (google/rpc/code.proto); 412 is Cloud Storage's own."""


class Failed(Exception):
    """An error with a canonical status."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def rpc(self) -> dict[str, Any]:
        """Return it as `google.rpc.Status`, as operations hold it."""
        return {"code": CODES[self.status][1], "message": self.message}

    def answer(self) -> Answer:
        code = CODES[self.status][0]
        return Answer.json({"error": {"code": code, "message": self.message, "status": self.status}}, code)


@dataclass(frozen=True)
class Asked:
    """A request; `query` holds every value of each parameter."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def one(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def json(self) -> Any:
        """Return the body. Raises Failed."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Failed("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None


@dataclass(frozen=True)
class Answer:
    """An answer."""

    body: bytes = b""
    status: int = 200
    type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def json(value: Any, status: int = 200, **headers: str) -> Answer:
        return Answer(json.dumps(value).encode(), status, headers=headers)
