"""Where a model comes from: a folder of this machine, or a URL that fsspec can read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlinfra.problems import MlinfraError
from mlinfra_serving.signature import SIGNATURE_FILE


def fetch(source: str) -> Path:
    """Return a local folder with the model that `source` names: a path, a file:// URL, or another URL.

    A platform may mount a model in a folder of its own name inside the given one: that one is returned.

    Raises:
        MlinfraError: there is nothing there, or it cannot be read.
    """
    parts = urlsplit(source)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
    elif "://" in source:
        folder = _download(source)
    else:
        folder = Path(source)
    if not folder.is_dir():
        raise MlinfraError(f"{source}: there is no such folder")
    inner = [path for path in folder.iterdir() if (path / SIGNATURE_FILE).is_file()]
    return inner[0] if len(inner) == 1 and not (folder / SIGNATURE_FILE).exists() else folder


def _download(url: str) -> Path:
    import fsspec  # type: ignore[import-untyped]

    folder = Path(tempfile.mkdtemp(prefix="mlinfra-model-"))
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.get(path.rstrip("/") + "/", str(folder), recursive=True)
    except Exception as error:  # noqa: BLE001 - every storage library has errors of its own
        raise MlinfraError(
            f"{url}: cannot be read: {type(error).__name__}: {error}",
            remedy="check the URL, and that the container's identity may read it",
        ) from None
    return folder
