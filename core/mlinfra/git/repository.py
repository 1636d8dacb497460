"""A folder in a git repository, by plumbing alone.

A commit is made in a temporary index and pushed from there. The work tree, the index, HEAD and the refs, those of the
remote's branches included, stay as the user left them. Such commits are not signed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlinfra.git import command, commit
from mlinfra.git.command import GitError, Ran, must
from mlinfra.git.commit import Commit
from mlinfra.problems import MlinfraError

REMOTE = "origin"
_AUTHOR = re.compile(r"(?P<name>[^<>\n]+?)\s*<(?P<email>[^<>\n]*)>")
_FETCH_ATTEMPTS = 3


class Raced(MlinfraError):
    """Somebody else was faster; nothing of theirs was overwritten."""


@dataclass(frozen=True)
class GitRepository:
    """The folder `root` of a git repository. All paths are relative to it, with `/`."""

    root: Path

    @classmethod
    def open(cls, path: Path) -> GitRepository:
        """Return the folder `path` as a part of its repository. Raises GitError outside of one."""
        if not path.is_dir():
            raise GitError(f"there is no folder {path}")
        repository = cls(path.resolve())
        must(
            repository._git("rev-parse", "--show-toplevel"),
            f"{path} cannot be used as a git repository",
            remedy="run this in a clone of the platform's repository, or start one: git init",
        )
        return repository

    def head(self) -> str:
        """Return the commit that is checked out. Raises GitError where there is none yet."""
        found = self.resolve("HEAD")
        if found is None:
            raise GitError("there is no commit yet", remedy="commit what there is, then run this again")
        return found

    def resolve(self, revision: str) -> str | None:
        """Return the commit that `revision` (a branch, a tag, the start of a commit) names here, or None."""
        ran = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return ran.text if ran.code == 0 else None

    def remote(self, name: str = REMOTE) -> str | None:
        """Return the URL of a remote without credentials, or None."""
        ran = self._git("remote", "get-url", "--", name)
        if ran.code != 0:
            return None
        scheme, separator, rest = ran.text.partition("://")
        if not separator:
            return ran.text
        userinfo, at, place = rest.rpartition("@") if "@" in rest.partition("/")[0] else ("", "", rest)
        if at and scheme.endswith("ssh"):  # ssh's user is a part of the address
            return f"{scheme}://{userinfo.partition(':')[0]}@{place}"
        return f"{scheme}://{place}"

    def default_branch(self) -> str:
        """Return the branch that the remote names as its own. Raises GitError where it names none."""
        ran = self._ask_remote("ls-remote", "--symref", REMOTE, "HEAD")
        found = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", ran.text, re.MULTILINE)
        if found is None:
            raise GitError(
                f"the remote {REMOTE} names no default branch",
                remedy=f"push a first branch, and make it the default on the git host: {self.remote() or REMOTE}",
            )
        return found[1]

    def known_default_branch(self) -> str | None:
        """Return the remote's default branch as this clone knows it, without asking; None where it does not."""
        ran = self._git("symbolic-ref", "--quiet", "--short", f"refs/remotes/{REMOTE}/HEAD")
        return ran.text.removeprefix(f"{REMOTE}/") if ran.code == 0 else None

    def fetch(self, branch: str) -> str | None:
        """Return the commit at which the remote's branch is now, with its content here; None where there is none."""
        for _ in range(_FETCH_ATTEMPTS):
            found = self._remote_commit(branch)
            if found is None or self.resolve(found):
                return found
            self._ask_remote(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=",
                REMOTE, f"refs/heads/{branch}",
            )  # fmt: skip
            if self.resolve(found):
                return found
        raise Raced(f"the remote branch {branch} moves faster than it can be fetched", remedy="run this again")

    def read(self, revision: str, path: str) -> bytes | None:
        """Return a file as it is in `revision`, None where it is not. Raises GitError for an unknown revision."""
        tree = self._known(revision)
        ran = must(
            self._git("cat-file", "--batch", stdin=f"{tree}:{self._prefix}{path}\n".encode()), f"{path} cannot be read"
        )
        head, _, rest = ran.output.partition(b"\n")
        words = head.rsplit(b" ", 2)
        return rest[: int(words[2])] if words[1:2] == [b"blob"] else None

    def listed(self, revision: str, folder: str) -> list[str]:
        """Return the paths of all files below `folder` in `revision`, sorted; none where there is no such folder."""
        where = f"{self._prefix}{folder}".strip("/")
        only = [f"{where}/"] if where not in ("", ".") else []
        ran = must(
            self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._known(revision), "--", *only),
            f"{folder} cannot be listed",
        )
        names = ran.output.decode("utf-8", "surrogateescape").split("\0")[:-1]
        return sorted(name.removeprefix(self._prefix) for name in names)

    def log(self, path: str, limit: int | None = None) -> list[Commit]:
        """Return the commits up to HEAD that changed `path`, newest first, at most `limit`."""
        count = [] if limit is None else [f"--max-count={limit}"]
        literal = f":(literal){path}"
        ran = self._git("log", "-z", f"--format={commit.FORMAT}", *count, self.head(), "--", literal)
        return commit.parse(must(ran, f"the history of {path} cannot be read").output)

    def commit(self, parent: str, files: Mapping[str, bytes | None], message: str, *, author: str | None = None) -> str:
        """Return a commit on `parent` with `files` written, or removed where the content is None.

        It is `parent` itself where nothing changes. A file keeps its mode. `author` is `Name <email>`; the user of
        git's own configuration, if it is not given. Raises GitError for what git cannot write.
        """
        who = self._identity(author)
        base = self._known(parent)
        with tempfile.TemporaryDirectory(prefix="mlinfra-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}

            def plumb(*arguments: str, stdin: bytes | None = None) -> str:
                ran = command.run(self.root, *arguments, stdin=stdin, environment=index | who)
                return must(ran, "the commit cannot be written").text

            plumb("read-tree", base)
            for path, content in files.items():
                full = f"{self._prefix}{path}"
                if content is None:
                    plumb("update-index", "--force-remove", "--", path)
                    continue
                blob = plumb("hash-object", "-w", "--stdin", stdin=content)
                plumb("update-index", "--add", "--cacheinfo", f"{self._mode(base, full)},{blob},{full}")
            tree = plumb("write-tree")
            if tree == plumb("rev-parse", f"{base}^{{tree}}"):
                return base
            return plumb("commit-tree", tree, "-p", base, "-F", "-", stdin=message.encode())

    def push(self, commit: str, branch: str, *, expect: str | None) -> None:
        """Make the remote's branch `commit`, if it is `expect` there now (None: if it is not there).

        Raises:
            Raced: the branch is something else; nothing was pushed.
            GitError: the remote refused, or cannot be reached.
        """
        ref = f"refs/heads/{branch}"
        ran = self._git(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no",
            f"--force-with-lease={ref}:{expect or ''}", self._push_url(), f"{commit}:{ref}",
            seconds=command.NETWORK_SECONDS,
        )  # fmt: skip
        if ran.code == 0:
            return
        rejected = re.search(r"^!\t\S+\t(.*)$", ran.text, re.MULTILINE)
        if rejected is None:
            must(ran, f"{branch} cannot be pushed to {self.remote() or REMOTE}", remedy=_REACH)
        there = self._remote_commit(branch)
        if there == commit:
            return
        if there != expect:
            raise Raced(
                f"somebody else was faster: the remote branch {branch} is {_at(there)}, not {_at(expect)}",
                remedy="run this again: it starts from what is there now",
            )
        why = "; ".join(dict.fromkeys(line for line in (rejected and rejected[1], _said(ran)) if line))
        raise GitError(
            f"{branch} cannot be pushed to {self.remote()}: {why}",
            remedy="a protected branch takes changes by pull request alone; or ask who administers the repository",
        )

    def is_dirty(self, path: str) -> bool:
        """Whether `path` has changes that are not committed: staged, not staged, or not tracked."""
        ran = self._git("status", "--porcelain", "--untracked-files=all", "--", f":(literal){path}")
        return bool(must(ran, f"the changes of {path} cannot be read").output)

    @cached_property
    def _prefix(self) -> str:
        """Where `root` is in the repository: empty at its top, else with `/` at the end."""
        return must(self._git("rev-parse", "--show-prefix"), f"{self.root} is in no git repository").text

    def _git(self, *arguments: str, stdin: bytes | None = None, seconds: float = command.LOCAL_SECONDS) -> Ran:
        return command.run(self.root, *arguments, stdin=stdin, seconds=seconds)

    def _ask_remote(self, *arguments: str) -> Ran:
        if self.remote() is None:
            raise _no_remote()
        ran = self._git(*arguments, seconds=command.NETWORK_SECONDS)
        return must(ran, f"{self.remote()} cannot be read", remedy=_REACH)

    def _push_url(self) -> str:
        """Return where to push to. By its URL instead of its name, the copy of the remote's branch here stays."""
        for key in ("pushurl", "url"):
            found = self._git("config", "--get", f"remote.{REMOTE}.{key}")
            if found.code == 0:
                return found.text
        raise _no_remote()

    def _remote_commit(self, branch: str) -> str | None:
        ref = f"refs/heads/{branch}"
        for line in self._ask_remote("ls-remote", REMOTE, ref).text.splitlines():
            sha, _, name = line.partition("\t")
            if name == ref:
                return sha
        return None

    def _known(self, revision: str) -> str:
        found = self.resolve(revision)
        if found is None:
            raise GitError(
                f"the revision {revision!r} is not here",
                remedy="fetch it: git fetch (with --unshallow in a shallow clone)",
            )
        return found

    def _mode(self, base: str, full: str) -> str:
        entry = self._git("ls-tree", "--full-tree", base, "--", full).text.split()
        return entry[0] if entry[1:2] == ["blob"] else "100644"

    def _identity(self, author: str | None) -> dict[str, str]:
        """Return the variables that name the author, and the committer where git's configuration names none."""
        configured = self._git("var", "GIT_COMMITTER_IDENT").code == 0
        if author is None:
            if configured:
                return {}
            raise GitError(
                "git does not know who you are",
                remedy='git config --global user.name "Your Name", and user.email; or set GIT_AUTHOR_NAME, '
                "GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL",
            )
        found = _AUTHOR.fullmatch(author.strip())
        if found is None:
            raise GitError(f"the author {author!r} is not of the form 'Name <email>'")
        roles = ["AUTHOR"] if configured else ["AUTHOR", "COMMITTER"]
        return {f"GIT_{role}_{part.upper()}": found[part] for role in roles for part in ("name", "email")}


_REACH = (
    "see whether it can be reached, and whether git has credentials for it (git ls-remote asks for them; "
    "mlinfra never does)"
)


def _no_remote() -> GitError:
    return GitError(f"there is no remote {REMOTE}", remedy=f"add it: git remote add {REMOTE} URL")


def _at(commit: str | None) -> str:
    return f"at {commit[:12]}" if commit else "absent"


def _said(ran: Ran) -> str:
    """Return what the remote itself said of a refusal."""
    lines = [line.removeprefix("remote:").strip() for line in ran.errors.splitlines() if line.startswith("remote:")]
    return "; ".join(line for line in lines if line)[:500]
