"""One recording in a process of its own: `python -m mlinfra.testing.fingerprint TARGET`.

Prints the digest of what a specimen of every kind registers, and what the adapter did besides that its methods
must not do. The contract runs it with several hash seeds.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mlinfra.adapters import load_adapter
from mlinfra.digests import digest_bytes
from mlinfra.resources import Resources
from mlinfra.testing.judge import Judge, footprint
from mlinfra.testing.specimens import FULL, KINDS, SMALL
from mlinfra.testing.variations import Scene

FORBIDDEN = ("socket.connect", "subprocess.Popen", "os.system", "os.posix_spawn", "os.remove", "os.mkdir", "os.rename")
"""Audit events (PEP 578) of deeds that are no mere declaring. Files may be read: data belongs in data files."""


def main() -> None:
    """Record all specimens twice: the first time imports, the second is watched."""
    adapter = load_adapter(sys.argv[1])
    watched: list[str] = []
    digests = []
    for watching in (False, True):
        if watching:
            sys.addaudithook(lambda event, details: _note(watched, event, details))
        digests.append([_digest(Judge(adapter), part) for kind in KINDS for part in (SMALL[kind], *FULL[kind])])
    result = {"digests": digests[1], "same": digests[0] == digests[1], "deeds": sorted(set(watched))}
    sys.stdout.write(json.dumps(result))


def _digest(judge: Judge, part: Any) -> str:
    observed = judge.observe(Scene(part))
    if isinstance(observed, Resources):
        return digest_bytes(footprint(observed, judge.adapter))
    return digest_bytes("\n".join(map(str, observed)).encode())


def _note(watched: list[str], event: str, details: tuple[Any, ...]) -> None:
    if event in FORBIDDEN:
        watched.append(f"{event} {details[0]!r}"[:200])
    elif event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+"):
        watched.append(f"writes {details[0]!r}"[:200])


if __name__ == "__main__":
    main()
