"""The passphrase that encrypts secrets in a state that is kept in the repository's own folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mlinfra.repository import Repository


def passphrase_file(repository: Repository) -> Path:
    """Return the file with the passphrase of this clone's secrets, made once with mode 0600, outside git."""
    path = repository.data / "passphrase"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / ".gitignore").write_text("*\n")
        temporary = path.with_name(f"passphrase.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # two first runs at once must agree on one passphrase
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path
