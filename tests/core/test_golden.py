"""What the reference stack registers on the local target, all of it. UPDATE_GOLDEN=1 writes it again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mlinfra.adapters import load_adapter
from mlinfra.digests import digest_json
from mlinfra.realize import realize
from mlinfra.record import record
from mlinfra.releases import Pin, Release
from mlinfra.repository import Repository
from mlinfra.resolve import resolve

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "flight_delay_on_local.json"


def test_the_reference_stack_registers_what_it_did(make_release: Callable[..., Release]) -> None:
    declared = Repository(ROOT).load("prod")
    stacks = [replace(item, code=digest_json("code")) for item in declared.stacks if item.folder == "flight_delay"]
    new, old = (make_release(stacks[0].stack, number) for number in (2, 1))
    environment = declared.environment.model_copy(update={"stacks": ("flight_delay",)})
    declared = replace(
        declared,
        environment=environment,
        stacks=stacks,
        lock={"flight-delay": Pin(release=new.digest, previous=old.digest)},
        releases={release.digest: release for release in (new, old)},
    )
    adapter = load_adapter("local")
    resolved = resolve(declared, adapter)
    found = record(lambda: realize(resolved, adapter), project="mlinfra", stack="prod")
    written = json.dumps([resource.to_json() for resource in found.all], indent=2, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(written)
    assert json.loads(written) == json.loads(GOLDEN.read_text()), "UPDATE_GOLDEN=1 writes it again; read the difference"
