"""The artifact store: folder trees and releases under names made of their content, on anything that fsspec reaches.

    <url>/trees/<hex digest>/…             the files
    <url>/trees/<hex digest>.json          {relative path: digest of content}, written last: the tree is complete
    <url>/releases/<stack>/<hex digest>.json
    <url>/signatures/<stack>/<hex digest>.json
    <url>/runs/<environment>/<job>/<12 digits>.json    training runs on targets elsewhere
    <url>/features/<environment>/<store>.json          which rows a feature store elsewhere holds

The digest of a tree is the digest of that JSON (see `mlinfra.digests.digest_tree`), so that the listing proves
itself, and each file is proved on arrival. Files in a local store appear by renaming; object stores show a file
when it is whole.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from mlinfra.digests import PREFIX, canonical_json, digest_bytes, digest_file, digest_json, digest_tree, short
from mlinfra.problems import MlinfraError, Refused

_ABANDONED_SECONDS = 24 * 3600


class Condition(StrEnum):
    """What became of a tree. `WHOLE`: every byte was read; `THERE`: every file is listed, none was read."""

    WHOLE = "whole"
    THERE = "there"
    CHANGED = "changed"
    MISSING = "missing"


class ArtifactStore:
    """Trees and releases under one fsspec URL (`file:///…`, `s3://…`, `gs://…`, `abfs://…`, `memory://…`)."""

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]
        from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise MlinfraError(f"artifact store {url}: {error}") from None
        self._local = isinstance(self._files, LocalFileSystem)

    def has(self, digest: str) -> bool:
        """Say whether the whole tree is in the store. Its content is checked by whoever reads it."""
        return bool(self._files.exists(self._listing_path(digest)))

    def condition(self, digest: str) -> Condition:
        """Return what became of a tree. Only in a local store its files are read: others would have to send them."""
        if not self.has(digest):
            return Condition.MISSING
        try:
            listing = self._listing(digest)
        except Refused:
            return Condition.CHANGED
        if self._local:
            return Condition.CHANGED if self._changed_since(digest) else Condition.WHOLE
        with self._explained("read"):
            tree = self._tree_path(digest)
            there = {str(path).removeprefix(f"{tree}/") for path in self._files.find(tree)}
        return Condition.THERE if there == set(listing) else Condition.CHANGED

    def put_tree(self, folder: Path) -> str:
        """Store a folder's files and return the digest of the tree.

        A tree that is there already is not sent again; in a local store, one that was changed is replaced.

        Raises:
            MlinfraError: the folder is empty or holds links, or the store cannot be written.
        """
        try:
            digest = digest_tree(folder)
        except (FileNotFoundError, ValueError) as error:
            raise MlinfraError(str(error)) from None
        if self.has(digest) and not self._changed_since(digest):
            return digest
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        listing = {name: digest_file(folder / name) for name in names}
        if digest_json(listing) != digest:
            raise MlinfraError(f"{folder} changed while it was stored", remedy="store it again when it is complete")
        with self._explained("write"):
            if self._local:
                target = Path(self._tree_path(digest))
                if target.exists() and self._changed_since(digest):
                    shutil.rmtree(target)
                self._put_local(folder, names, target)
            else:
                for name in names:
                    self._files.put_file(str(folder / name), f"{self._tree_path(digest)}/{name}")
            self._write(self._listing_path(digest), canonical_json(listing))
        return digest

    def get_tree(self, digest: str, to: Path) -> Path:
        """Fetch a tree into the folder `to` and return it; every file is checked before `to` appears.

        Where `to` exists it must hold this tree already.

        Raises:
            Refused: what was found, in the store or in `to`, is not what the digest names.
            MlinfraError: the store does not hold the tree, or cannot be read, or `to` cannot be written.
        """
        if to.exists():
            check_tree(to, digest)
            return to
        listing = self._listing(digest)
        to.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
        try:
            with self._explained("read"):
                for name, expected in listing.items():
                    target = partial / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._fetch(f"{self._tree_path(digest)}/{name}", target)
                    if (found := digest_file(target)) != expected:
                        raise _changed(f"{self.url}/trees/{_hex(digest)}/{name}", expected, found)
            partial.chmod(0o755)
            try:
                partial.rename(to)
            except OSError:
                check_tree(to, digest)  # somebody else fetched it at the same time
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return to

    def forget_tree(self, digest: str) -> None:
        """Forget that a tree is whole, so that it is stored again; its files stay until then."""
        with self._explained("write"):
            if self.has(digest):
                self._files.rm(self._listing_path(digest))

    def put_release(self, stack: str, digest: str, data: bytes) -> None:
        """Store a release's JSON under the release's digest. Releases never change: what is there stays."""
        path = f"{self._root}/releases/{stack}/{_hex(digest)}.json"
        with self._explained("write"):
            if not self._files.exists(path):
                self._write(path, data)

    def release(self, stack: str, digest: str) -> bytes:
        """Return a release's JSON.

        Raises:
            MlinfraError: there is no such release in the store.
        """
        data = self._kept(f"releases/{stack}/{_hex(digest)}.json")
        if data is None:
            raise MlinfraError(f"{self.url} holds no release {short(digest)} of {stack}")
        return data

    def releases(self, stack: str) -> list[str]:
        """Return the digests of a stack's releases, sorted."""
        return [PREFIX + name.removesuffix(".json") for name in self._names(f"releases/{stack}")]

    def put_signature(self, stack: str, digest: str, data: bytes) -> None:
        """Keep the signature of a release; one that was there is replaced."""
        with self._explained("write"):
            self._write(f"{self._root}/signatures/{stack}/{_hex(digest)}.json", data)

    def signature(self, stack: str, digest: str) -> bytes | None:
        """Return the signature of a release, or None where it has none."""
        return self._kept(f"signatures/{stack}/{_hex(digest)}.json")

    def put_run(self, environment: str, job: str, run: str, data: bytes) -> None:
        """Keep what is known of a training run that ended on a target elsewhere; the newest counts."""
        with self._explained("write"):
            self._write(f"{self._root}/runs/{environment}/{job}/{run}.json", data)

    def run(self, environment: str, job: str, run: str) -> bytes | None:
        """Return what `put_run` kept, or None where there is no such run."""
        return self._kept(f"runs/{environment}/{job}/{run}.json")

    def put_ingested(self, environment: str, store: str, data: bytes) -> None:
        """Keep what is known of the rows that a feature store on a target elsewhere holds."""
        with self._explained("write"):
            self._write(f"{self._root}/features/{environment}/{store}.json", data)

    def ingested(self, environment: str, store: str) -> bytes | None:
        """Return what `put_ingested` kept, or None where nothing was ingested."""
        return self._kept(f"features/{environment}/{store}.json")

    def stacks(self) -> list[str]:
        """Return the names of the stacks that have releases here, sorted."""
        return self._names("releases")

    def put_newest(self, environment: str, stack: str, endpoint: str, digest: str, **lines: Any) -> None:
        """Remember which release of an endpoint was accepted last: what `releases: latest` follows.

        `lines` are the other lines that a lock has: the previous release, how long it is warm, a hold.
        """
        text = json.dumps({"release": digest, **{name: value for name, value in lines.items() if value is not None}})
        self._write(f"{self._root}/newest/{environment}/{stack}/{endpoint}", text.encode())

    def forget_newest(self, environment: str) -> None:
        """Forget which releases an environment followed; the releases themselves stay."""
        with self._explained("write"):
            if self._files.exists(folder := f"{self._root}/newest/{environment}"):
                self._files.rm(folder, recursive=True)

    def newest(self, environment: str, stack: str) -> dict[str, Mapping[str, Any]]:
        """Return what `put_newest` kept, by endpoint: `release` is the digest of the one that was accepted last."""
        folder, found = f"newest/{environment}/{stack}", dict[str, Mapping[str, Any]]()
        for name in self._names(folder):
            if (data := self._kept(f"{folder}/{name}")) is None:
                continue  # forgotten meanwhile
            try:
                found[name] = _followed(data.decode(errors="replace"))
            except MlinfraError as error:
                raise MlinfraError(
                    f"{self.url}/{folder}/{name} is damaged: {error.message}",
                    remedy=f"remove it, then mlinfra train {environment}: the newest run gives it again",
                ) from None
        return found

    def _names(self, folder: str) -> list[str]:
        with self._explained("read"):
            try:
                self._files.invalidate_cache()
                paths = self._files.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
        names = (PurePosixPath(str(path)).name for path in paths)
        return sorted(name for name in names if not name.startswith("."))

    def _listing(self, digest: str) -> Mapping[str, str]:
        with self._explained("read"):
            try:
                data = bytes(self._files.cat_file(self._listing_path(digest)))
            except FileNotFoundError:
                raise MlinfraError(
                    f"{self.url} does not hold the artifact {short(digest)}",
                    remedy="train it again with `mlinfra train --retrain`, or copy it from where it was stored first",
                ) from None
        if (found := digest_bytes(data)) != digest:
            raise _changed(f"{self.url}/trees/{_hex(digest)}.json", digest, found)
        listing: dict[str, str] = json.loads(data)
        return listing

    def _changed_since(self, digest: str) -> bool:
        """Whether a tree of a local store is not what was stored. Of others it is left to whoever reads it."""
        if not self._local:
            return False
        try:
            return digest_tree(Path(self._tree_path(digest))) != digest
        except (FileNotFoundError, ValueError):
            return True

    def _put_local(self, folder: Path, names: list[str], target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        partial = target.parent / f".incoming-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            for name in names:
                copy = partial / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, copy)
                _sync(copy)
            try:
                partial.rename(target)
            except OSError as error:
                # Stored by somebody else, or by a process that was killed before it wrote the listing.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            _sync(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _kept(self, path: str) -> bytes | None:
        with self._explained("read"):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{path}"))
            except FileNotFoundError:
                return None

    def _write(self, path: str, data: bytes) -> None:
        if not self._local:
            self._files.pipe_file(path, data)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".incoming-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}")
        try:
            partial.write_bytes(data)
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
        finally:
            partial.unlink(missing_ok=True)

    def _fetch(self, path: str, target: Path) -> None:
        try:
            self._files.get_file(path, str(target))
        except FileNotFoundError:
            raise Refused(
                f"{path}: the file belongs to an artifact and is gone",
                remedy="copy the artifact again from where it was stored first",
            ) from None

    def _tree_path(self, digest: str) -> str:
        return f"{self._root}/trees/{_hex(digest)}"

    def _listing_path(self, digest: str) -> str:
        return f"{self._tree_path(digest)}.json"

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MlinfraError(
                f"artifact store {self.url}: cannot {verb}: {error.strerror or error}",
                remedy="make room on the disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "",
            ) from error


def check_tree(folder: Path, digest: str) -> None:
    """Check that `folder` holds exactly what `digest` names, before anything in it is used.

    Raises:
        Refused: it holds something else; the message names the expected and the found digest.
        MlinfraError: there is no such folder.
    """
    try:
        found = digest_tree(folder)
    except (FileNotFoundError, ValueError) as error:
        raise MlinfraError(str(error)) from None
    if found != digest:
        raise _changed(str(folder), digest, found)


def _changed(where: str, expected: str, found: str) -> Refused:
    return Refused(
        f"{where} was changed: expected {expected}, found {found}",
        remedy="nothing of it was used; copy the artifact again from where it was stored first, or train again",
    )


def _followed(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = {"release": text}  # as earlier versions kept it
    if not isinstance(found, dict) or not isinstance(found.get("release"), str):
        raise MlinfraError(f"{text[:80]!r} names no release")
    _hex(found["release"])
    return found


def _hex(digest: str) -> str:
    digits = digest.removeprefix(PREFIX)
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise MlinfraError(f"{digest!r} is not a digest: expected sha256: and 64 hexadecimal digits")
    return digits


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove what an interrupted `put_tree` left: of a process of this machine that is gone, or older than a day."""
    for path in folder.glob(".incoming-*"):
        host, process, _ = path.name.removeprefix(".incoming-").rsplit("-", 2)
        try:
            dead = host == socket.gethostname() and not psutil.pid_exists(int(process))
            abandoned = dead or time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        except (FileNotFoundError, ValueError):
            continue
        if abandoned:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
