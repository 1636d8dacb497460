"""down: what holds data is emptied after whatever writes to it has ended, and before it is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.engine_events import Outcome
from mlinfra.operations import down
from mlinfra.resources import Resources

BUCKET = {"urn": "urn:pulumi:prod::mlinfra::aws:s3/bucket:Bucket::data", "type": "aws:s3/bucket:Bucket", "id": "data"}


class Watched:
    """A stack and a service that write down what is asked of them."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.left = [{**BUCKET, "custom": True, "inputs": {}}]

    def exists(self) -> bool:
        return True

    def export(self) -> Mapping[str, Any]:
        return {"deployment": {"resources": self.left}}

    def destroy(self, watch: object, *, keep_protected: bool) -> Outcome:
        self.did.append(f"destroy {'what runs' if keep_protected else 'the rest'}")
        if not keep_protected:
            self.left = []
        return Outcome(counts={"delete": 2 if keep_protected else 1}, seconds=1.0)

    def empty(self, recorded: Resources) -> None:
        self.did.append(f"empty {', '.join(item.id for item in recorded.declared())}")

    def unprotect(self) -> None:
        self.did.append("unprotect")

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        self.did.append("end")
        return ()

    def forget(self) -> None:
        self.did.append("forget")


@pytest.mark.parametrize(
    ("destroy_data", "did", "removed", "kept"),
    [
        (False, ["destroy what runs", "end"], 2, ["around: Bucket data"]),
        (True, ["destroy what runs", "empty data", "unprotect", "destroy the rest", "end", "forget"], 3, []),
    ],
)
def test_data_is_destroyed_when_nothing_writes_any_more(
    destroy_data: bool, did: list[str], removed: int, kept: list[str]
) -> None:
    watched = Watched()
    store = SimpleNamespace(forget_newest=lambda name: None)
    session: Any = SimpleNamespace(
        stack=lambda say: watched,
        service=watched,
        environment=SimpleNamespace(name="prod"),
        repository=SimpleNamespace(artifacts=lambda environment: store),
    )
    progress: Any = SimpleNamespace(note=print, phase=print, step=print)
    ended = down._down(session, progress, destroy_data=destroy_data)
    assert watched.did == did
    assert (ended.outcome.changed, list(ended.kept)) == (removed, kept)
