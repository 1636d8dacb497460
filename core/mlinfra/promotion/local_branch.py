"""A commit where there is no remote: branch, index and work tree move together, for the promoted files alone."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra.files import write_atomically
from mlinfra.git import GitError, GitRepository, Raced
from mlinfra.git.command import must, run


def current_branch(git: GitRepository) -> str:
    """Return the branch that is checked out.

    Raises:
        GitError: none is.
    """
    ran = run(git.root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if ran.code != 0:
        raise GitError("no branch is checked out to commit to", remedy="git switch BRANCH, then run this again")
    return ran.text


def commit_here(git: GitRepository, parent: str, files: Mapping[str, bytes], message: str) -> str:
    """Commit files to the branch that is checked out at `parent`, and write them; all other changes stay as they are.

    A kill, or a branch that moved, leaves the files written and staged at worst.

    Raises:
        Raced: the branch moved meanwhile.
        GitError: git cannot write.
    """
    branch = current_branch(git)
    made = git.commit(parent, files, message)
    for path, content in files.items():
        write_atomically(git.root / path, content, private=False)
    must(run(git.root, "update-index", "--add", "--", *files), "the files cannot be staged")
    moved = run(git.root, "update-ref", "-m", message.splitlines()[0], f"refs/heads/{branch}", made, parent)
    if moved.code != 0:
        raise Raced(f"{branch} moved meanwhile; nothing was committed", remedy="run this again: it goes on")
    return made
