"""Blob Storage in the lab, as far as the official clients and the Pulumi engine use it; nobody's signature is checked.

Accounts are the first step of the path, as Azurite has them. Operations, headers and codes of errors:
https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import uuid
import xml.etree.ElementTree as Xml
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from tests.lab.azure.server.resource_manager import Answer


@dataclass
class Blob:
    """One blob: its content, and what is told of it."""

    content: bytes
    kind: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    changed: float = field(default_factory=time.time)
    etag: str = field(default_factory=lambda: f'"0x{uuid.uuid4().hex[:16].upper()}"')

    def headers(self) -> dict[str, str]:
        """Return what HEAD tells of it."""
        return {
            "ETag": self.etag,
            "Last-Modified": formatdate(self.changed, usegmt=True),
            "Content-Type": self.kind,
            "x-ms-blob-type": "BlockBlob",
            "x-ms-creation-time": formatdate(self.changed, usegmt=True),
            "Accept-Ranges": "bytes",
            **{f"x-ms-meta-{name}": value for name, value in self.metadata.items()},
        }


class Blobs:
    """The containers of all accounts, by `account/container`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._containers: dict[str, dict[str, Blob]] = {}
        self._blocks: dict[tuple[str, str, str], bytes] = {}

    def make(self, account: str, container: str) -> None:
        """Make a container unless it is there."""
        with self._lock:
            self._containers.setdefault(f"{account}/{container}", {})

    def drop(self, account: str, container: str | None = None) -> None:
        """Remove a container, or all of an account."""
        with self._lock:
            for name in list(self._containers):
                if name == f"{account}/{container}" or (container is None and name.startswith(f"{account}/")):
                    del self._containers[name]

    def put(self, account: str, container: str, path: str, content: bytes) -> None:
        """Write a blob, in a container that is made when it is needed."""
        with self._lock:
            self.make(account, container)
            self._containers[f"{account}/{container}"][path] = Blob(content)

    def below(self, account: str, container: str, prefix: str) -> list[tuple[str, bytes]]:
        """Return what is under a prefix: paths below it, and contents."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        with self._lock:
            blobs = self._containers.get(f"{account}/{container}", {})
            return [(name[len(start) :], blob.content) for name, blob in blobs.items() if name.startswith(start)]

    def names(self) -> list[str]:
        """Return every container, `account/container`."""
        with self._lock:
            return sorted(self._containers)

    def answer(
        self, method: str, path: str, question: Mapping[str, str], headers: Mapping[str, str], content: bytes
    ) -> Answer:
        """Answer a request to `/account/container/path`."""
        account, _, rest = path.strip("/").partition("/")
        container, _, name = rest.partition("/")
        with self._lock:
            if not container:
                return self._account(account, question)
            if not name:
                return self._container(method, account, container, question)
            blobs = self._containers.get(f"{account}/{container}")
            if blobs is None:
                return _wrong(404, "ContainerNotFound", "The specified container does not exist.")
            place = (account, container, unquote(name))
            match method:
                case "PUT":
                    return self._write(blobs, place, question, headers, content)
                case "GET" | "HEAD":
                    return _read(blobs, place[2], headers, method == "HEAD")
                case "DELETE":
                    if blobs.pop(place[2], None) is None:
                        return _wrong(404, "BlobNotFound", "The specified blob does not exist.")
                    return Answer(202)
        return _wrong(405, "UnsupportedHttpVerb", f"The lab knows no {method} of a blob.")

    def _account(self, account: str, question: Mapping[str, str]) -> Answer:
        if question.get("comp") != "list":
            headers = {
                "x-ms-sku-name": "Standard_LRS",
                "x-ms-account-kind": "StorageV2",
                "x-ms-is-hns-enabled": "false",
            }
            return Answer(200, b"", headers)
        names = [name.partition("/")[2] for name in self._containers if name.startswith(f"{account}/")]
        listed = "".join(
            f"<Container><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(usegmt=True)}"
            "</Last-Modified><Etag>0x1</Etag></Properties></Container>"
            for name in sorted(names)
        )
        return _xml(f"<EnumerationResults><Containers>{listed}</Containers><NextMarker/></EnumerationResults>")

    def _container(self, method: str, account: str, container: str, question: Mapping[str, str]) -> Answer:
        key = f"{account}/{container}"
        if method == "PUT":
            if key in self._containers:
                return _wrong(409, "ContainerAlreadyExists", "The specified container already exists.")
            self._containers[key] = {}
            return Answer(201, b"", {"ETag": '"0x1"', "Last-Modified": formatdate(usegmt=True)})
        if key not in self._containers:
            return _wrong(404, "ContainerNotFound", "The specified container does not exist.")
        if method == "DELETE":
            del self._containers[key]
            return Answer(202)
        if question.get("comp") == "list":
            return _listing(key, self._containers[key], question)
        return Answer(200, b"", {"ETag": '"0x1"', "Last-Modified": formatdate(usegmt=True)})

    def _write(
        self,
        blobs: dict[str, Blob],
        place: tuple[str, str, str],
        question: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes,
    ) -> Answer:
        name = place[2]
        there = blobs.get(name)
        metadata = {key[10:]: value for key, value in headers.items() if key.startswith("x-ms-meta-")}
        if question.get("comp") == "block":
            self._blocks[("/".join(place[:2]), name, question["blockid"])] = content
            return Answer(201, b"", {"Content-MD5": base64.b64encode(hashlib.md5(content).digest()).decode()})
        if (refused := _condition(there, headers)) is not None:
            return refused
        if question.get("comp") == "metadata":
            if there is None:
                return _wrong(404, "BlobNotFound", "The specified blob does not exist.")
            blobs[name] = Blob(there.content, there.kind, metadata)
        elif question.get("comp") == "blocklist":
            content = self._joined(place, content)
            blobs[name] = Blob(content, headers.get("x-ms-blob-content-type", ""), metadata)
        elif source := headers.get("x-ms-copy-source"):
            account, container, path = unquote(urlsplit(source).path).strip("/").split("/", 2)
            found = self._containers.get(f"{account}/{container}", {}).get(path)
            if found is None:
                return _wrong(404, "BlobNotFound", "The specified blob does not exist.")
            blobs[name] = Blob(found.content, found.kind, metadata or found.metadata)
            copied = {"x-ms-copy-id": str(uuid.uuid4()), "x-ms-copy-status": "success"}
            return Answer(202, b"", {**blobs[name].headers(), **copied})
        elif question.get("comp"):
            return _wrong(400, "InvalidQueryParameterValue", f"The lab knows no comp={question['comp']}.")
        else:
            kind = headers.get("x-ms-blob-content-type") or headers.get("content-type") or "application/octet-stream"
            blobs[name] = Blob(content, kind, metadata)
        made = blobs[name]
        return Answer(201, b"", {"ETag": made.etag, "Last-Modified": formatdate(made.changed, usegmt=True)})

    def _joined(self, place: tuple[str, str, str], content: bytes) -> bytes:
        key = "/".join(place[:2])
        wanted = [element.text or "" for element in Xml.fromstring(content)]
        return b"".join(self._blocks.pop((key, place[2], block)) for block in wanted)


def _condition(there: Blob | None, headers: Mapping[str, str]) -> Answer | None:
    """Refuse what a condition forbids.

    https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
    """
    if headers.get("if-none-match") == "*" and there is not None:
        return _wrong(409, "BlobAlreadyExists", "The specified blob already exists.")
    wanted = headers.get("if-match")
    if wanted and (there is None or wanted not in ("*", there.etag)):
        return _wrong(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
    return None


def _read(blobs: Mapping[str, Blob], name: str, headers: Mapping[str, str], head: bool) -> Answer:
    blob = blobs.get(name)
    if blob is None:
        return _wrong(404, "BlobNotFound", "The specified blob does not exist.")
    told, content = blob.headers(), blob.content
    asked = headers.get("x-ms-range") or headers.get("range") or ""
    if head:
        return Answer(200, b"", {**told, "Content-Length": str(len(content))})
    if asked.startswith("bytes="):
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first)
        end = min(int(last) if last else len(content) - 1, len(content) - 1)
        if start >= len(content):
            return _wrong(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        told["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return Answer(206, content[start : end + 1], told)
    return Answer(200, content, told)


def _listing(key: str, blobs: Mapping[str, Blob], question: Mapping[str, str]) -> Answer:
    account, _, container = key.partition("/")
    prefix, delimiter = question.get("prefix", ""), question.get("delimiter", "")
    most, after = int(question.get("maxresults", "5000")), question.get("marker", "")
    items: dict[str, Blob | None] = {}
    for name in sorted(blobs):
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :]
        if delimiter and delimiter in rest:
            items.setdefault(prefix + rest.partition(delimiter)[0] + delimiter, None)
        else:
            items[name] = blobs[name]
    names = [name for name in sorted(items) if name > after]
    listed = "".join(_item(name, items[name]) for name in names[:most])
    marker = names[most - 1] if len(names) > most else ""
    return _xml(
        f'<EnumerationResults ServiceEndpoint="http://127.0.0.1/{account}" ContainerName="{container}">'
        f"<Prefix>{escape(prefix)}</Prefix><Blobs>{listed}</Blobs>"
        f"<NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    )


def _item(name: str, blob: Blob | None) -> str:
    if blob is None:
        return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
    changed = formatdate(blob.changed, usegmt=True)
    metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{changed}</Creation-Time>"
        f"<Last-Modified>{changed}</Last-Modified><Etag>{escape(blob.etag.strip(chr(34)))}</Etag>"
        f"<Content-Length>{len(blob.content)}</Content-Length><Content-Type>{escape(blob.kind)}</Content-Type>"
        f"<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        f"</Properties><Metadata>{metadata}</Metadata></Blob>"
    )


def _xml(text: str) -> Answer:
    return Answer(200, f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode(), {"Content-Type": "application/xml"})


def _wrong(status: int, code: str, message: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return Answer(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code})
