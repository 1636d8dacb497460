"""What registers a foundation: the component of one thing, and whether a URL of another kind of place is reached."""

from __future__ import annotations

import pulumi

from mlinfra.foundation import THING_TYPE, Found

_AS_FILES = {"azblob": "abfs", "az": "abfs", "gcs": "gs"}
"""Schemes of Pulumi's backends that fsspec calls otherwise."""


class Footing(pulumi.ComponentResource):
    """The parent of the resources that make one thing."""

    def __init__(self, key: str) -> None:
        super().__init__(THING_TYPE, key)

    def options(
        self, provider: pulumi.ProviderResource, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        """Return the options of a resource: what is declared no more stays where it is, and is only forgotten."""
        return pulumi.ResourceOptions(parent=self, provider=provider, retain_on_delete=True, depends_on=depends_on)


def reached(url: str) -> Found:
    """Return whether a folder of another kind of place is reached with the credentials that are here."""
    scheme = url.partition("://")[0]
    if scheme in ("http", "https"):
        return _answers(url)
    import fsspec  # type: ignore[import-untyped]

    bare = url.partition("?")[0].replace(f"{scheme}://", f"{_AS_FILES.get(scheme, scheme)}://", 1)
    try:
        files, root = fsspec.core.url_to_fs(bare)
        there = bool(files.exists(root.split("/", 1)[0] if scheme == "s3" else root))
    except ImportError as error:
        return Found(None, f"cannot be asked from here: {error}")
    except Exception as error:  # noqa: BLE001  each library has errors of its own, and all say that it is not reached
        return Found(None, f"is not reached: {_first(error)}")
    return Found(there, "is reached" if there else "is not there")


def _answers(url: str) -> Found:
    import httpx

    try:
        status = httpx.get(url, timeout=10, follow_redirects=True).status_code
    except httpx.HTTPError as error:
        return Found(None, f"is not reached: {_first(error)}")
    return Found(True, f"answers {status}")


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
