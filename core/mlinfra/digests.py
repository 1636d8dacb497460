"""Digests: the one way in which mlinfra names content.

A digest is written `sha256:<64 hexadecimal digits>`; its short form, the first 12 digits without the prefix,
is for people and file names. Canonical JSON is RFC 8785 (JSON Canonicalization Scheme).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rfc8785

PREFIX = "sha256:"
_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """Return `value` as RFC 8785 canonical JSON: the same value always gives the same bytes."""
    return rfc8785.dumps(value)


def digest_bytes(data: bytes) -> str:
    """Return the digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """Return the digest of the canonical JSON of `value`."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in pieces of one MiB."""
    running = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            running.update(chunk)
    return PREFIX + running.hexdigest()


def digest_tree(folder: Path, *, exclude: Iterable[str] = ()) -> str:
    """Return the digest of a folder: of the sorted pairs of relative POSIX path and digest of content.

    Times, owners and modes do not count, so that a folder and a tar of it are the same artifact.
    `exclude` names files (by relative path) that do not count.

    Raises:
        FileNotFoundError: `folder` is not a folder, or holds no file.
        ValueError: the tree holds a symbolic link, whose target could change without the digest.
    """
    excluded = set(exclude)
    entries: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{path}: a symbolic link cannot be part of an artifact")
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and relative not in excluded:
            entries[relative] = digest_file(path)
    if not entries:
        raise FileNotFoundError(f"{folder}: no files to take a digest of")
    return digest_json(entries)


def short(digest: str) -> str:
    """Return the form of a digest that people read: its first 12 hexadecimal digits."""
    return digest.removeprefix(PREFIX)[:12]
