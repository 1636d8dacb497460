"""Cloud Storage: the JSON API as its clients use it, and the XML API's reading of an object.

https://cloud.google.com/storage/docs/json_api/v1/objects (insert, get, list, delete, rewrite, preconditions),
https://cloud.google.com/storage/docs/performing-resumable-uploads, https://cloud.google.com/storage/docs/xml-api/get-object-download.
Of an object only the newest generation is kept.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import google_crc32c

from tests.lab.gcp.server.answers import Answer, Asked, Failed

_LISTED = 1000
_UPLOADS, _DOWNLOADS, _BASE = "/upload/storage/v1/b/", "/download/storage/v1/b/", "/storage/v1/b"


@dataclass
class Object:
    """One object: its content, and what is said of it."""

    content: bytes
    generation: int
    said: dict[str, Any]
    changes: int = 1
    updated: float = field(default_factory=time.time)

    @property
    def checksum(self) -> str:
        return base64.b64encode(google_crc32c.value(self.content).to_bytes(4, "big")).decode()

    @property
    def digest(self) -> str:
        return base64.b64encode(hashlib.md5(self.content, usedforsecurity=False).digest()).decode()


class Storage:
    """All buckets. `buckets` holds the metadata of each, `objects` what is in it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.buckets: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Object]] = {}
        self._generations = itertools.count(int(time.time() * 1_000_000))
        self._sessions: dict[str, tuple[str, Asked, dict[str, Any], bytearray]] = {}

    def make(self, bucket: str, said: Mapping[str, Any] | None = None) -> None:
        """Make a bucket. Raises Failed: names of buckets are everybody's."""
        if bucket in self.buckets:
            raise Failed("ALREADY_EXISTS", "Your previous request to create the named bucket succeeded.")
        self.buckets[bucket] = {"kind": "storage#bucket", "id": bucket, "name": bucket, **(said or {})}
        self.objects[bucket] = {}

    def remove(self, bucket: str) -> None:
        """Remove a bucket. Raises Failed: something is in it."""
        if self._in(bucket):
            raise Failed("ALREADY_EXISTS", "The bucket you tried to delete is not empty.")
        del self.buckets[bucket], self.objects[bucket]

    def under(self, uri: str) -> list[tuple[str, bytes]]:
        """Return what lies under a `gs://` prefix: path below it, and content."""
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        there = sorted(self.objects.get(bucket, {}).items())
        return [(name.removeprefix(prefix), item.content) for name, item in there if name.startswith(prefix)]

    def put(self, uri: str, content: bytes) -> None:
        """Put an object at a `gs://` address."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        self._in(bucket)[name] = Object(content, next(self._generations), {})

    def answer(self, asked: Asked) -> Answer:
        """Answer a request. Raises Failed."""
        path = asked.path
        if path.startswith(_UPLOADS):
            return self._upload(asked, _parts(path, _UPLOADS)[0])
        if path.startswith(_DOWNLOADS):
            return self._content(asked, *_parts(path, _DOWNLOADS))
        if path.startswith(_BASE):
            return self._metadata(asked, *_parts(path, _BASE + "/"))
        bucket, _, name = path.lstrip("/").partition("/")
        return self._content(asked, unquote(bucket), unquote(name))

    def _in(self, bucket: str) -> dict[str, Object]:
        if bucket not in self.objects:
            raise Failed("NOT_FOUND", f"The specified bucket does not exist: {bucket}")
        return self.objects[bucket]

    def _get(self, bucket: str, name: str) -> Object:
        there = self._in(bucket).get(name)
        if there is None:
            raise Failed("NOT_FOUND", f"No such object: {bucket}/{name}")
        return there

    def _metadata(self, asked: Asked, bucket: str, name: str | None) -> Answer:
        if name is None and asked.path.rstrip("/").endswith("/o"):
            return self._list(asked, bucket)
        if not bucket:
            return Answer.json({"kind": "storage#buckets", "items": list(self.buckets.values())})
        if name is None:
            self._in(bucket)
            return Answer.json(self.buckets[bucket])
        if "/rewriteTo/b/" in asked.path or "/copyTo/b/" in asked.path:
            return self._copy(asked, bucket)
        if asked.one("alt") == "media":
            return self._content(asked, bucket, name)
        self._condition(asked, self._in(bucket).get(name))
        there = self._get(bucket, name)
        if asked.method == "DELETE":
            del self._in(bucket)[name]
            return Answer(status=204)
        if asked.method in ("PATCH", "PUT"):
            there.said |= asked.json()
            there.changes += 1
        return Answer.json(self._shown(bucket, name, there))

    def _condition(self, asked: Asked, there: Object | None) -> None:
        """`ifGenerationMatch=0`: only where there is none (storage/docs/request-preconditions)."""
        wanted = asked.one("ifGenerationMatch")
        if wanted and int(wanted) != (there.generation if there else 0):
            raise Failed("CONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.")

    def _shown(self, bucket: str, name: str, there: Object) -> dict[str, Any]:
        moment = datetime.fromtimestamp(there.updated, UTC).isoformat().replace("+00:00", "Z")
        said = {key: value for key, value in there.said.items() if key in ("contentType", "metadata", "cacheControl")}
        return {
            "kind": "storage#object", "id": f"{bucket}/{name}/{there.generation}", "name": name, "bucket": bucket,
            "generation": str(there.generation), "metageneration": str(there.changes), "size": str(len(there.content)),
            "contentType": "application/octet-stream", "storageClass": "STANDARD", "timeCreated": moment,
            "updated": moment, "md5Hash": there.digest, "crc32c": there.checksum, "etag": str(there.generation),
            "mediaLink": f"{self._url}{_DOWNLOADS}{bucket}/o/{_quoted(name)}?alt=media", **said,
        }  # fmt: skip

    def _list(self, asked: Asked, bucket: str) -> Answer:
        prefix, delimiter, after = asked.one("prefix"), asked.one("delimiter"), asked.one("pageToken")
        most = int(asked.one("maxResults") or _LISTED)
        items: list[dict[str, Any]] = []
        folders: list[str] = []
        last = ""
        for name, there in sorted(self._in(bucket).items()):
            inside, _, more = name.removeprefix(prefix).partition(delimiter) if delimiter else (name, "", "")
            folder = f"{prefix}{inside}{delimiter}" if delimiter and (more or name.endswith(delimiter)) else ""
            if not name.startswith(prefix) or (folder or name) <= after or (folder and folder in folders):
                continue
            if len(items) + len(folders) == most:
                return Answer.json(_page(items, folders) | {"nextPageToken": last})
            last = folder or name
            if folder:
                folders.append(folder)
            else:
                items.append(self._shown(bucket, name, there))
        return Answer.json(_page(items, folders))

    def _copy(self, asked: Asked, bucket: str) -> Answer:
        found = re.fullmatch(rf"{_BASE}/[^/]+/o/([^/]+)/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)", asked.path)
        if found is None:
            raise Failed("INVALID_ARGUMENT", asked.path)
        source = self._get(bucket, unquote(found[1]))
        target, name = unquote(found[2]), unquote(found[3])
        made = self._in(target)[name] = Object(source.content, next(self._generations), dict(source.said))
        size = str(len(source.content))
        resource = self._shown(target, name, made)
        if "/copyTo/" in asked.path:
            return Answer.json(resource)
        return Answer.json({"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": resource})

    def _content(self, asked: Asked, bucket: str, name: str | None) -> Answer:
        there = self._get(bucket, name or "")
        headers = {
            "X-Goog-Generation": str(there.generation),
            "X-Goog-Metageneration": str(there.changes),
            "X-Goog-Hash": f"crc32c={there.checksum},md5={there.digest}",
            "X-Goog-Stored-Content-Length": str(len(there.content)),
            "ETag": str(there.generation),
            "Last-Modified": datetime.fromtimestamp(there.updated, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        type_ = there.said.get("contentType", "application/octet-stream")
        ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        if ranged and there.content:
            first, last = int(ranged[1]), int(ranged[2] or len(there.content) - 1)
            if first >= len(there.content):
                return Answer(b"", 416, type_, headers)
            part = there.content[first : last + 1]
            span = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(there.content)}"}
            return Answer(part, 206, type_, headers | span)
        return Answer(there.content, 200, type_, headers)

    def _upload(self, asked: Asked, bucket: str) -> Answer:
        if asked.one("upload_id"):
            return self._continued(asked)
        kind = asked.one("uploadType", "media")
        if kind == "media":
            return self._made(bucket, asked, {"name": asked.one("name")}, asked.body)
        if kind == "resumable":
            said = asked.json()
            id_ = str(next(self._generations))
            self._sessions[id_] = (bucket, asked, said, bytearray())
            place = f"{self._url}{_UPLOADS}{bucket}/o?uploadType=resumable&upload_id={id_}"
            return Answer(b"{}", 200, headers={"Location": place, "X-GUploader-UploadID": id_})
        said, content = _multipart(asked)
        return self._made(bucket, asked, said, content)

    def _continued(self, asked: Asked) -> Answer:
        bucket, first, said, content = self._sessions[asked.one("upload_id")]
        span = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", asked.headers.get("content-range", ""))
        content += asked.body
        whole = span is None or (span[3] != "*" and len(content) >= int(span[3]))
        if not whole:
            held = {"Range": f"bytes=0-{len(content) - 1}"} if content else {}
            return Answer(b"", 308, headers=held)
        del self._sessions[asked.one("upload_id")]
        return self._made(bucket, first, said, bytes(content))

    def _made(self, bucket: str, asked: Asked, said: dict[str, Any], content: bytes) -> Answer:
        name = said.get("name") or asked.one("name")
        if not name:
            raise Failed("INVALID_ARGUMENT", "Required parameter: name")
        there = self._in(bucket)
        self._condition(asked, there.get(name))
        made = there[name] = Object(content, next(self._generations), said)
        return Answer.json(self._shown(bucket, name, made))


def _parts(path: str, base: str) -> tuple[str, str | None]:
    """Return bucket and object of `<base><bucket>/o/<object>`."""
    bucket, _, rest = path.removeprefix(base).partition("/")
    name = rest.removeprefix("o/").partition("/")[0] if rest.startswith("o/") else None
    return unquote(bucket if path.startswith(base) else ""), unquote(name) if name else None


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _page(items: list[dict[str, Any]], folders: list[str]) -> dict[str, Any]:
    return {"kind": "storage#objects", "items": items, "prefixes": folders}


def _multipart(asked: Asked) -> tuple[dict[str, Any], bytes]:
    """Return metadata and content of a `multipart/related` upload."""
    kind = asked.headers.get("content-type", "")
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if found is None:
        raise Failed("INVALID_ARGUMENT", "a multipart upload without a boundary")
    _, first, second, *_ = asked.body.split(f"--{found[1]}".encode())
    said = json.loads(_after_headers(first))
    headers, _, _ = second.lstrip(b"\r\n").partition(b"\r\n\r\n")
    told = email.message_from_bytes(headers, policy=email.policy.HTTP).get("content-type")
    if told and "contentType" not in said:
        said["contentType"] = str(told)
    return said, _after_headers(second)


def _after_headers(part: bytes) -> bytes:
    """Return what follows the headers of a part, without the line ends around it."""
    for line in (b"\r\n", b"\n"):
        _, found, body = part.removeprefix(line).partition(line * 2)
        if found:
            return body.removesuffix(line)
    return b""
