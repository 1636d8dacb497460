"""Log lines of a target as files here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mlinfra.files import write_atomically
from mlinfra_providers.local.layout import Layout

_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")


def write(repository: Path, environment: str, name: str, lines: Sequence[str]) -> Path:
    """Write the lines of one stream into its file under `.mlinfra/<environment>/logs`, and return it.

    `name` has parts separated by `/`, such as `train/pipelines-abc/algo-1`; what no file name has becomes `_`.
    """
    parts = [_OTHER.sub("_", part).strip(".") or "_" for part in name.split("/")]
    path = Layout(repository, environment).log("/".join(parts))
    write_atomically(path, "".join(f"{line}\n" for line in lines))
    return path


def of_runs(repository: Path, environment: str, job: str) -> list[Path]:
    """Return the logs of a job's runs that were waited for here, oldest first."""
    kept = Layout(repository, environment).run(job).glob("*/*/log.txt")
    return sorted(kept, key=lambda path: path.stat().st_mtime)
