"""What the engine starts for the pack of `mlinfra up`: it says where mlinfra, which started the engine, judges.

A preview and an update start one each; a process that judged would load all rules twice. Plain
`pulumi up --policy-pack policies` starts one that judges.
"""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> None:
    """Print the port, as the engine expects, and stay until the engine closes stdin or interrupts."""
    port = os.environ.get("MLINFRA_RULES_PORT")
    if port is None:
        sys.exit("this pack belongs to mlinfra up; pulumi up takes --policy-pack policies")
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()
