"""Where images and models come from: reading a reference, and whether it lies inside a list of prefixes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_DEFAULT_HOST = "docker.io"


@dataclass(frozen=True)
class Image:
    """An image's reference. `name` has the registry's host, `docker.io` where none is written; tag and digest or ""."""

    name: str
    tag: str
    digest: str

    @property
    def pinned(self) -> bool:
        """Whether it always means the same image, as far as its tag can tell. A digest wins over the tag."""
        return bool(self.digest) or self.tag not in ("", "latest")

    def inside(self, registries: Iterable[str]) -> bool:
        """Whether it lies inside one of some registries (`ghcr.io`) or parts of them (`ghcr.io/acme`)."""
        name = self.name.removeprefix(f"{_DEFAULT_HOST}/library/")
        names = (self.name, f"{_DEFAULT_HOST}/{name}") if name != self.name else (self.name,)
        exact = f"{self.name}{':' * bool(self.tag)}{self.tag}{'@' * bool(self.digest)}{self.digest}"
        allowed = [_with_host(registry.strip().rstrip("/")) for registry in registries]
        return exact in allowed or any(inside(each, allowed) for each in names)


def image(reference: str) -> Image:
    """Return the pieces of an image's reference. A port in the registry's name is no tag."""
    rest, _, digest = reference.strip().partition("@")
    folder, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    name = _with_host(folder + slash + last) if slash else f"{_DEFAULT_HOST}/{last}"
    host, _, path = name.partition("/")
    if host == _DEFAULT_HOST and "/" not in path:
        name = f"{host}/library/{path}"
    return Image(name, tag, digest)


def inside(location: str, prefixes: Iterable[str]) -> bool:
    """Whether a location lies inside one of some prefixes, which end at a path's boundary or before a version.

    `s3://models` covers `s3://models/churn`, and not `s3://models-dev`.
    """
    ends = [prefix.strip().rstrip("/") for prefix in prefixes]
    return any(location == end or location.startswith((f"{end}/", f"{end}@")) for end in ends)


def _with_host(name: str) -> str:
    """Return a name or a prefix with its registry's host, as the reference grammar of containers finds it."""
    first = name.partition("/")[0]
    if "." in first or ":" in first or first == "localhost":
        return name
    return f"{_DEFAULT_HOST}/{name}"
