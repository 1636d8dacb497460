"""Bring a tree from the artifact store into a folder, and check its digest: `python -m mlinfra_serving.bring`.

For the init step of a pod: what is served or run after it is what was meant. Exit code 0, or 1 with a message.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving.storage import fetch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlinfra_serving.bring", description=__doc__.split("\n")[0])
    parser.add_argument("--from", required=True, dest="source", metavar="URL")
    parser.add_argument("--digest", required=True, metavar="sha256:…")
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        bring(options.source, options.digest, options.to)
    except (MlinfraError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def bring(source: str, digest: str, folder: Path) -> None:
    """Copy the tree at `source` into `folder`, once it has been found to have its digest.

    Raises:
        Refused: it has another digest; nothing is copied.
        MlinfraError: it cannot be read.
    """
    found = fetch(source)
    if (actual := digest_tree(found)) != digest:
        raise Refused(f"{source} has the digest {actual}, wanted is {digest}")
    shutil.copytree(found, folder, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
