"""What the engine starts for the pack of `mlinfra up`: it says where mlinfra, which started the engine, judges.

A preview and an update start one each; a process that judged would load all rules twice. Plain
`pulumi up --policy-pack policies` starts one that judges.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Print the port, as the engine expects, and stay until the engine closes stdin or interrupts."""
    try:
        sys.stdout.write(f"{os.environ['MLINFRA_RULES_PORT']}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()
    except KeyboardInterrupt:
        pass
