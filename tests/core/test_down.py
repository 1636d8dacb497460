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

    def __init__(self, *, protected: bool) -> None:
        self.did: list[str] = []
        self.goes_on = "up"
        self.left = [{**BUCKET, "custom": True, "inputs": {}, "protect": protected}]

    def exists(self) -> bool:
        return True

    def export(self) -> Mapping[str, Any]:
        return {"deployment": {"resources": self.left}}

    def destroy(self, watch: object, *, keep_protected: bool) -> Outcome:
        self.did.append(f"destroy {'what runs' if keep_protected else 'the rest'}")
        self.left = [item for item in self.left if keep_protected and item["protect"]]
        return Outcome(counts={"delete": 2 if keep_protected else 1}, seconds=1.0)

    def empty(self, recorded: Resources) -> None:
        if recorded.declared():
            self.did.append(f"empty {', '.join(item.id for item in recorded.declared())}")

    def unprotect(self) -> None:
        self.did.append("unprotect")

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        self.did.append("end")
        return ()

    def forget(self) -> None:
        self.did.append("forget")


@pytest.mark.parametrize(
    ("protected", "destroy_data", "did", "removed", "kept"),
    [
        (True, False, ["destroy what runs", "end"], 2, ["around: Bucket data"]),
        (True, True, ["destroy what runs", "empty data", "unprotect", "destroy the rest", "end", "forget"], 3, []),
        # after a run that was ended when it had taken the protection off
        (False, True, ["empty data", "destroy what runs", "unprotect", "destroy the rest", "end", "forget"], 3, []),
    ],
)
def test_data_is_destroyed_when_nothing_writes_any_more(
    protected: bool, destroy_data: bool, did: list[str], removed: int, kept: list[str]
) -> None:
    watched = Watched(protected=protected)
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
    assert watched.goes_on == ("down --destroy-data" if destroy_data else "down"), "what continues it"
    assert (ended.outcome.changed, list(ended.kept)) == (removed, kept)
