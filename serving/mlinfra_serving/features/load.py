"""Load the rows of a feature store, and bring the newest online: `python -m mlinfra_serving.features.load`.

It is told by variables of the environment (settings.py). It may be run again at any time: the same rows give the same
table. Exit codes: 0 all is there; 2 it could not be done, with one line that says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving.features import online, table
from mlinfra_serving.features.settings import Settings, read
from mlinfra_serving.storage import fetch

ROWS_FILE = "rows.parquet"
EXIT_FAILED = 2


def main(environment: Mapping[str, str] | None = None) -> int:
    """Load as the environment says (`os.environ`), and return the exit code."""
    try:
        run(read(os.environ if environment is None else environment))
    except (MlinfraError, OSError) as error:
        remedy = error.remedy if isinstance(error, MlinfraError) else ""
        sys.stderr.write(f"error: {error}\n" + (f"  → {remedy}\n" if remedy else ""))
        return EXIT_FAILED
    return 0


def run(settings: Settings) -> None:
    """Make the rows those of the table; then bring them online, where something is.

    Raises:
        MlinfraError: the rows cannot be fetched or are others than meant, or the database or Feast does not take them.
    """
    folder = fetch(settings.rows)
    try:
        found = digest_tree(folder)
    except ValueError as error:
        raise MlinfraError(str(error)) from None
    if found != settings.digest:
        raise Refused(f"{settings.rows} has the digest {found}, wanted is {settings.digest}")
    with table.connected(settings.database) as connection:
        loaded = table.load(connection, settings, folder / ROWS_FILE)
    _say(f"{settings.table}: {loaded.rows:,} rows are in the table")
    if settings.server and loaded.first is not None and loaded.last is not None:
        online.materialize(settings.server, settings.table, loaded.first, loaded.last)
        _say(f"{settings.table}: the newest are online")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
