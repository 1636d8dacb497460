"""ci: the pipelines of a git host, as text, as a file, and whether the file is that of today's environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlinfra.files import write_atomically
from mlinfra.pipelines import gitea, github, gitlab
from mlinfra.pipelines.lanes import Lane, read_lanes
from mlinfra.pipelines.text import OURS
from mlinfra.pipelines.workflow import workflow
from mlinfra.problems import Refused, WrongUse, nearest
from mlinfra.repository import Repository

HOSTS: dict[str, Callable[[Sequence[Lane], bool], str]] = {
    "github": lambda lanes, requirements: workflow(lanes, github.GITHUB, requirements=requirements),
    "gitlab": lambda lanes, requirements: gitlab.gitlab(lanes, requirements=requirements),
    "gitea": lambda lanes, requirements: workflow(lanes, gitea.GITEA, requirements=requirements),
}


@dataclass(frozen=True)
class Pipelines:
    """What a host should run: `text` belongs into `path` of the repository, `include` into the user's own file."""

    root: Path
    path: str
    text: str
    include: str = ""

    @property
    def current(self) -> bool:
        """Whether the file holds just this text."""
        try:
            return (self.root / self.path).read_bytes() == self.text.encode()
        except FileNotFoundError:
            return False

    def write(self) -> None:
        """Write the file.

        Raises:
            Refused: somebody else wrote the file that is there.
        """
        path = self.root / self.path
        if path.exists() and not _ours(path):
            raise Refused(
                f"{self.path} was not written by mlinfra ci", remedy="rename it, or take its jobs over by hand"
            )
        write_atomically(path, self.text, private=False)


def pipelines(repository: Repository, host: str) -> Pipelines:
    """Return the pipelines of a host for the repository's environments; the same environments give the same text.

    Raises:
        WrongUse: no such host, or there is no environment.
        Problems: all problems of all environments' files.
    """
    if host not in HOSTS:
        near = nearest(host, HOSTS)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise WrongUse(f"no pipelines for {host!r}{hint}; there are: {', '.join(HOSTS)}")
    text = HOSTS[host](read_lanes(repository), (repository.root / "requirements.txt").is_file())
    path = {"github": github.PATH, "gitlab": gitlab.PATH, "gitea": gitea.PATH}[host]
    if host == "gitlab" and (repository.root / path).exists() and not _ours(repository.root / path):
        return Pipelines(repository.root, gitlab.INCLUDED, text, f"include: [{{local: {gitlab.INCLUDED}}}]")
    return Pipelines(repository.root, path, text)


def _ours(path: Path) -> bool:
    return path.read_text(encoding="utf-8", errors="replace").startswith(OURS)
