"""Git as promotion needs it: commits, pushes and reads that leave the user's work tree, index, HEAD and refs alone."""

from __future__ import annotations

from mlinfra.git.command import GitError, without_credentials
from mlinfra.git.commit import Commit
from mlinfra.git.repository import GitRepository, Raced

__all__ = ["Commit", "GitError", "GitRepository", "Raced", "without_credentials"]
