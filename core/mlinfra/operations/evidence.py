"""evidence: one folder with all that is known of a release in an environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlinfra.digests import digest_bytes
from mlinfra.evidence.gather import gather
from mlinfra.evidence.page import page
from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError, WrongUse
from mlinfra.repository import Repository

DOCUMENT, PAGE = "evidence.json", "index.html"


@dataclass(frozen=True)
class Written:
    """The folder, the digest of its evidence.json, and what is unknown: pairs of fact and reason."""

    folder: Path
    digest: str
    unknown: Sequence[tuple[str, str]]


def evidence(repository: Repository, release: str, name: str, folder: Path | None = None) -> Written:
    """Write the evidence of a release in the environment `name` to a folder; that of before is replaced.

    Without a `folder` it is evidence/ENV-RELEASE in the current one. The page holds the digest of the document that it
    was made from.

    Raises:
        WrongUse: no such environment; no such release, or several; or the folder holds something else.
        MlinfraError: the folder cannot be written.
    """
    document = gather(repository, release, name)
    short = document["release"]["digest"].removeprefix("sha256:")[:12]
    folder = folder or Path("evidence") / f"{name}-{short}"
    _refuse_other(folder)
    data = (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    digest = digest_bytes(data)
    html = page(document, digest)
    try:
        write_atomically(folder / DOCUMENT, data, private=False)
        write_atomically(folder / PAGE, html, private=False)
    except OSError as error:
        raise MlinfraError(
            f"{folder} cannot be written: {error.strerror}", remedy="name another folder: --out FOLDER"
        ) from error
    return Written(folder, digest, [(item["fact"], item["reason"]) for item in document["unknown"]])


def _refuse_other(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise WrongUse(f"{folder} is no folder", remedy="name another one: --out FOLDER")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DOCUMENT).is_file():
        raise WrongUse(f"{folder} holds something else than evidence", remedy="name a new folder: --out FOLDER")
