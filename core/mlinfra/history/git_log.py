"""The main line of a branch, as far as it touched one file: what each of its commits made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from mlinfra.git.command import must, run
from mlinfra.git.commit import FORMAT, Commit, parse
from mlinfra.git.repository import GitRepository
from mlinfra.history.locks import LockCommit


class GitLog:
    """The history of the branch that is checked out around `folder`."""

    def __init__(self, folder: Path) -> None:
        """Look whether git can read the folder.

        Raises:
            GitError: git is not installed, or there is no repository, or it is somebody else's.
        """
        self._folder = folder
        self._repository = GitRepository.open(folder)
        self.shallow = run(folder, "rev-parse", "--is-shallow-repository").text == "true"

    def main_line(self, file: str) -> list[LockCommit]:
        """Return the commits of the main line that changed `file`, oldest first, each with what it merged.

        A merge counts as one change, of the time when it came to this branch. Where the clone is cut off, what the
        oldest commit changed is not known.
        """
        if self._repository.resolve("HEAD") is None:
            return []
        commits = self._log("--first-parent", "HEAD", "--", f":(literal){file}")
        brought = {
            commit.sha: self._log(
                "--no-merges", "--topo-order", f"{commit.parents[0]}..{commit.sha}", "--", f":(literal){file}"
            )
            for commit in commits
            if len(commit.parents) > 1
        }
        every = [*commits, *(commit for merged in brought.values() for commit in merged)]
        contents = self._contents({commit.sha for commit in every}, file)
        held = {commit.sha: _lock_commit(commit, contents[commit.sha]) for commit in every}
        return [
            replace(
                held[commit.sha],
                brought=[held[merged.sha] for merged in brought.get(commit.sha, ())],
                known=bool(commit.parents) or not self.shallow,
            )
            for commit in reversed(commits)
        ]

    def time_of(self, revision: str) -> datetime | None:
        """Return when a commit was made, or None where it is not in this clone."""
        found = self._repository.resolve(revision) if revision else None
        commits = self._log("--max-count=1", found) if found else []
        return commits[0].time if commits else None

    def first_of(self, file: str) -> Commit | None:
        """Return the commit that brought a file to this branch, or None where none has."""
        if self._repository.resolve("HEAD") is None:
            return None
        commits = self._log("--diff-filter=A", "HEAD", "--", f":(literal){file}")
        return commits[-1] if commits else None

    def differs(self, file: str) -> bool:
        """Whether a file of the work tree is not what is committed."""
        return self._repository.is_dirty(file)

    def _log(self, *arguments: str) -> list[Commit]:
        ran = run(self._folder, "-c", "log.showSignature=false", "log", "-z", f"--format={FORMAT}", *arguments)
        return parse(must(ran, "the history cannot be read").output)

    def _contents(self, revisions: Iterable[str], file: str) -> dict[str, bytes | None]:
        """Return what a file holds in each revision, None where it is not there; in one go."""
        wanted: Sequence[str] = sorted(revisions)
        asked = "".join(f"{revision}:./{file}\n" for revision in wanted).encode()
        rest = must(run(self._folder, "cat-file", "--batch", stdin=asked), f"{file} cannot be read").output
        found: dict[str, bytes | None] = {}
        for revision in wanted:
            head, _, rest = rest.partition(b"\n")
            words = head.rsplit(b" ", 2)
            size = int(words[2]) if words[1:2] == [b"blob"] else None
            found[revision] = None if size is None else rest[:size]
            rest = rest if size is None else rest[size + 1 :]
        return found


def _lock_commit(commit: Commit, content: bytes | None) -> LockCommit:
    return LockCommit(commit.sha, commit.author, commit.time, commit.subject, commit.body, content)
