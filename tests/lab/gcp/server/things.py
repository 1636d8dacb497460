"""Everything else of Google's: resources by type and id, kept as they were asked for.

`GET /lab/things` lists them, `PUT`, `GET` and `DELETE` of `/lab/things/<type>?id=…` do what they say. What belongs to
a bucket of Cloud Storage is made there, too. What is there cannot be made again; but a grant is a line that is added
to a policy, and adding it twice is fine (https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/google_project_iam:
"Non-authoritative. Updates the IAM policy to grant a role to a new member").
"""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import unquote

from tests.lab.gcp.names import THINGS
from tests.lab.gcp.server.answers import Answer, Asked, Failed
from tests.lab.gcp.server.storage import Storage

_GRANT = re.compile(r"I[Aa][Mm]Member$")
BUCKET = "gcp:storage/bucket:Bucket"


class Things:
    """Inputs by type and id."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.made: dict[tuple[str, str], float] = {}
        """When each was made, in seconds since 1970."""

    def answer(self, asked: Asked) -> Answer:
        """Answer a request of the lab's plugin. Raises Failed."""
        key = (unquote(asked.path.removeprefix(THINGS)), asked.one("id"))
        match asked.method:
            case "POST":
                if key in self.kept and not _GRANT.search(key[0]):
                    raise Failed("ALREADY_EXISTS", f"Error 409: {key[1]} already exists")
                if key[0] == BUCKET:
                    self._storage.make(key[1])
                self.kept[key] = asked.json()
                self.made.setdefault(key, time.time())
            case "PUT":
                self._found(key)
                self.kept[key] = asked.json()
            case "DELETE":
                self._found(key)
                if key[0] == BUCKET:
                    self._storage.remove(key[1])
                del self.kept[key], self.made[key]
                return Answer.json({})
        return Answer.json(self._found(key))

    def _found(self, key: tuple[str, str]) -> dict[str, Any]:
        if key not in self.kept:
            raise Failed("NOT_FOUND", f"Error 404: {key[1]} is not found")
        return self.kept[key]
