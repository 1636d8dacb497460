"""Where everything of the local target lies: every path of one environment, decided in this one place."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from mlinfra.problems import MlinfraError

RUNTIME_FOLDER = ".mlinfra"
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def segments(name: str) -> tuple[str, ...]:
    """Return the parts of a name such as `server/flight-delay/3f9c2ab1d04e`, each safe as a file name.

    Raises:
        ValueError: a part is empty, or holds something else than letters, digits, `_`, `-` and `.`.
    """
    parts = tuple(name.split("/"))
    if not all(_SEGMENT.fullmatch(part) for part in parts):
        raise ValueError(f"{name!r}: a name has parts of letters, digits, '_', '-' and '.', separated by '/'")
    return parts


@dataclass(frozen=True)
class Layout:
    """Every path of the local target for one environment of one repository.

    Nothing is created by asking for a path, except by `make_sockets()`.
    """

    repository: Path
    environment: str

    def __post_init__(self) -> None:
        # A repository reached through a symbolic link must give the same sockets and processes.
        object.__setattr__(self, "repository", self.repository.resolve())
        if len(segments(self.environment)) != 1:
            raise ValueError(f"{self.environment!r}: the name of an environment holds no '/'")

    # Shared by all environments of the repository.

    @property
    def runtime(self) -> Path:
        """The folder of everything that is kept outside git."""
        return self.repository / RUNTIME_FOLDER

    @property
    def artifacts(self) -> Path:
        """The local artifact store: `trees/<hex digest>/`, `releases/<stack>/<hex digest>.json`."""
        return self.runtime / "artifacts"

    @property
    def artifacts_url(self) -> str:
        """The artifact store as an fsspec URL."""
        return self.artifacts.as_uri()

    # Of this environment.

    @property
    def folder(self) -> Path:
        """The folder of this environment."""
        return self.runtime / self.environment

    @property
    def features(self) -> Path:
        """Feast: registry, online store, offline Parquet files."""
        return self.folder / "features"

    @property
    def registry(self) -> Path:
        """MLflow: the SQLite database and its artifacts."""
        return self.folder / "registry"

    @property
    def runs(self) -> Path:
        """Training runs, one folder each."""
        return self.folder / "runs"

    def run(self, identifier: str) -> Path:
        """The folder of one training run."""
        return self.runs.joinpath(*segments(identifier))

    @property
    def logs(self) -> Path:
        """Log files of every process, each of bounded size."""
        return self.folder / "logs"

    def log(self, program: str) -> Path:
        """The log file of a program: `logs/server/flight-delay/3f9c2ab1d04e.log`."""
        *folders, last = segments(program)
        return self.logs.joinpath(*folders, f"{last}.log")

    @property
    def ports(self) -> Path:
        """The ports that were chosen for this environment, by name."""
        return self.folder / "ports.json"

    @property
    def lock(self) -> Path:
        """A lock file for whoever changes this environment outside the engine's own lock."""
        return self.folder / "environment.lock"

    # Endpoints.

    @property
    def endpoints(self) -> Path:
        return self.folder / "endpoints"

    def endpoint(self, name: str) -> Path:
        """The folder of one endpoint."""
        return self.endpoints.joinpath(*segments(name))

    def capture(self, endpoint: str) -> Path:
        """Captured requests: `<release short>/date=YYYY-MM-DD/*.parquet`."""
        return self.endpoint(endpoint) / "capture"

    def router(self, endpoint: str) -> Path:
        """The folder of an endpoint's Envoy."""
        return self.endpoint(endpoint) / "router"

    def bootstrap(self, endpoint: str) -> Path:
        """Envoy's static configuration."""
        return self.router(endpoint) / "envoy.json"

    def xds(self, endpoint: str) -> Path:
        """The folder that Envoy watches for its dynamic configuration."""
        return self.router(endpoint) / "xds"

    def router_lock(self, endpoint: str) -> Path:
        return self.router(endpoint) / "router.lock"

    def traffic(self, endpoint: str) -> Path:
        """The split that was asked for last, with its generation."""
        return self.router(endpoint) / "traffic.json"

    def access_log(self, endpoint: str) -> Path:
        """Envoy's access log: one JSON object a line. Older lines are in the same name with `.1` appended."""
        return self.logs / "access" / f"{'.'.join(segments(endpoint))}.jsonl"

    # Drift monitors.

    @property
    def monitors(self) -> Path:
        return self.folder / "monitors"

    def monitor(self, name: str) -> Path:
        """The folder of one drift monitor: baseline, results, reports."""
        return self.monitors.joinpath(*segments(name))

    # The supervisor.

    @property
    def supervisor(self) -> Path:
        return self.folder / "supervisor"

    @property
    def supervisor_configuration(self) -> Path:
        return self.supervisor / "supervisord.ini"

    @property
    def supervisor_programs(self) -> Path:
        """One ini file for each program."""
        return self.supervisor / "programs"

    @property
    def supervisor_pid(self) -> Path:
        return self.supervisor / "supervisord.pid"

    @property
    def supervisor_wanted(self) -> Path:
        """There while the supervisor is to run: whoever finds it dead starts it again."""
        return self.supervisor / "wanted"

    @property
    def supervisor_lock(self) -> Path:
        return self.supervisor / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.logs / "supervisord.log"

    @property
    def identity(self) -> str:
        """12 hexadecimal digits that name this environment of this repository on this machine."""
        return hashlib.sha256(f"{self.repository}\0{self.environment}".encode()).hexdigest()[:12]

    @property
    def sockets(self) -> Path:
        """The folder of Unix sockets. Short, because a socket's path is limited to about 107 bytes."""
        return machine_folder() / self.identity

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / "supervisor.sock"

    def admin_socket(self, endpoint: str) -> Path:
        """The socket of an endpoint's Envoy for questions about it: `curl --unix-socket`."""
        # A hash, because the name of an endpoint may be longer than what is left of the 107 bytes.
        return self.sockets / f"envoy-{hashlib.sha256(endpoint.encode()).hexdigest()[:12]}.sock"

    def make_sockets(self) -> Path:
        """Create the folder of sockets, for this user alone, and return it.

        Raises:
            MlinfraError: somebody else owns the folder, or others may write to it.
        """
        make_private(machine_folder())
        return make_private(self.sockets)


def machine_folder() -> Path:
    """The folder under `/tmp` that this user's environments, of every repository, share."""
    return Path("/tmp") / f"mlinfra-{os.getuid()}"


def make_private(folder: Path) -> Path:
    """Create `folder` with mode 0700 and return it; its parent exists.

    Raises:
        MlinfraError: the folder is a link, belongs to somebody else, or is open to others. In a shared `/tmp`
            anyone can create a folder of any name first, and would then own the sockets.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise MlinfraError(
            f"{folder}: not a folder of this user alone (owner {found.st_uid}, mode {stat.filemode(found.st_mode)})",
            remedy=f"look at what is in it, then remove it: rm -r {folder}",
        )
    return folder
