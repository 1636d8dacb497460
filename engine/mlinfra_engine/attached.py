"""Run a module or a file so that it ends with the process that started it.

The engine starts language hosts and dynamic providers as children and stops them with an interrupt. Without care
two things go wrong: an engine that is killed leaves them behind for ever, and the interrupt prints a traceback.

    python -P -u -m mlinfra_engine.attached MODULE [ARGUMENT ...]
    python -u …/attached.py FILE.py [ARGUMENT ...]

The second form needs nothing but the standard library, for interpreters in which mlinfra is not installed.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import threading
import time
from pathlib import Path

# How long a process may outlive its parent.
CHECK_SECONDS = 0.5

INTERRUPTED = 130


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(CHECK_SECONDS)
    # Not sys.exit: it would wait for threads that wait for an engine which is gone.
    os._exit(INTERRUPTED)


def _run(target: str) -> None:
    if target.endswith(".py"):
        runpy.run_path(target, run_name="__main__")
    else:
        runpy.run_module(target, run_name="__main__", alter_sys=True)


def main() -> None:
    """Run the target that the command line names, as `python -m MODULE` or `python FILE.py` would."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    own_folder = str(Path(__file__).resolve().parent)
    if sys.path and sys.path[0] == own_folder:
        del sys.path[0]
    sys.argv = sys.argv[1:]
    if not sys.argv[0].endswith(".py"):
        # What `python -m` does: a project's own modules are importable by its dynamic providers.
        sys.path.insert(0, str(Path.cwd()))
    try:
        _run(sys.argv[0])
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
