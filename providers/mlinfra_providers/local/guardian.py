"""The guardian: a program of supervisord that notices its death and starts it again.

supervisord holds the other end of its programs' standard input, so that the end of that file is the death of
supervisord: noticed at once, without looking at a clock. supervisord in turn restarts the guardian when that dies.
Run as a script, it imports nothing else until then: it waits in 8 MB.
"""

import sys
import time


def main() -> int:
    """Wait for the end of standard input, then start the supervisor again unless it is to be down."""
    repository, environment = sys.argv[1:]
    while sys.stdin.buffer.read(1):
        pass
    from pathlib import Path

    from mlinfra.problems import MlinfraError
    from mlinfra_providers.local.layout import Layout
    from mlinfra_providers.local.supervisor import Supervisor

    supervisor = Supervisor(Layout(Path(repository), environment))
    pause = 1
    while True:
        try:
            supervisor.revive()
        except (MlinfraError, OSError) as problem:
            sys.stderr.write(f"supervisord cannot be started, next try in {pause} s: {problem}\n")
            time.sleep(pause)
            pause = min(2 * pause, 60)
        else:
            return 0


if __name__ == "__main__":
    sys.exit(main())
