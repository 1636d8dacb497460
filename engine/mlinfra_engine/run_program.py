"""Run one Pulumi program in the interpreter of its project: what the language host starts for `Run`.

    python -u attached.py run_program.py '{"program": …, "monitor": …, …}'

It imports the standard library and `pulumi` only, for interpreters in which mlinfra is not installed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

# Tells the language host that the user has been shown the error already.
SHOWN = 32


def _main_file(program: Path) -> Path:
    return program / "__main__.py" if program.is_dir() else program


def _in_users_code(trace: TracebackType | None, program: Path) -> TracebackType | None:
    """Return the part of the traceback that begins in the user's program (None: it never got there)."""
    main_file = str(_main_file(program))
    while trace is not None and trace.tb_frame.f_code.co_filename != main_file:
        trace = trace.tb_next
    return trace


def describe(error: BaseException, program: Path) -> str:
    """Return what a user is shown: the message of an expected error, else the traceback from the program on."""
    import pulumi

    problems: Any = sys.modules.get("mlinfra.problems")
    if problems is not None and isinstance(error, problems.MlinfraError):
        message, remedy = str(error), str(getattr(error, "remedy", ""))
        return f"{message}\n  → {remedy}" if remedy else message
    if isinstance(error, pulumi.RunError):
        return str(error)
    trace = _in_users_code(error.__traceback__, program)
    if trace is None and not isinstance(error, SyntaxError):
        trace = error.__traceback__
    lines = traceback.format_exception(type(error), error, trace)
    return "Program failed with an unhandled exception:\n" + "".join(lines)


def _configure(job: dict[str, Any]) -> None:
    import pulumi.runtime

    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=job["monitor"],
            engine=job["engine"],
            project=job["project"],
            stack=job["stack"],
            parallel=job["parallel"],
            dry_run=job["dry_run"],
            organization=job["organization"],
            root_directory=job["root"],
        )
    )


def run(job: dict[str, Any]) -> int:
    """Run the program to its end and return the exit code: 0, or 32 after an error that was shown."""
    import pulumi
    import pulumi.runtime

    _configure(job)
    os.chdir(job["folder"])
    program = Path(job["program"]).resolve()
    if not _main_file(program).is_file():
        pulumi.log.error(f"there is no Python program at {_main_file(program)}")
        return SHOWN
    sys.argv = [str(program), *job["arguments"]]
    if not program.is_dir():
        sys.path.insert(0, str(program.parent))

    # A failed program leaves futures that nobody awaits; asyncio would report each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Each resource operation blocks a thread; the factor is that of the official executor.
    executor = ThreadPoolExecutor(max_workers=max(job["parallel"], 1) * 4)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(
            pulumi.runtime.run_in_stack(lambda: _ignore(runpy.run_path(str(program), run_name="__main__")))
        )
    except Exception as error:  # noqa: BLE001 whatever a user's program raises
        pulumi.log.error(describe(error, program))
        return SHOWN
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _ignore(_: object) -> None:
    """`run_in_stack` would await what its function returns."""


if __name__ == "__main__":
    # The engine interrupts the process group of its language host when it is done with it. Nothing can be told to
    # the engine any more then, and a KeyboardInterrupt would show up in a random place of asyncio or gRPC.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run(json.loads(sys.argv[1])))
