"""The Pulumi stack of one environment, driven by the engine's own command line.

The Automation API would do, but its `up` skips the preview (a mandatory policy would then fire after everything was
created), and it asks the engine three more times per operation; one `pulumi up` previews with the pack and applies.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psutil

from mlinfra.engine_events import PLUGIN_ENDED, Outcome, Watch, read_events
from mlinfra.environment import Environment
from mlinfra.passphrase import passphrase_file
from mlinfra.problems import NO_ROOM, MlinfraError, Refused, tells_no_room
from mlinfra.releases import Pin
from mlinfra.repository import PINS, Repository
from mlinfra.state import PROJECT, backend_of, checkpoint_of, read_checkpoint
from mlinfra.taken_over import IdOf, taken_over

if TYPE_CHECKING:
    from mlinfra_engine.install import Engine

_INTERRUPTED = 130
_CLOCK_SECONDS = 2.0
_SHOWN_LINES = 5
_WRITING_SECONDS = 0.1
_LOCKED = "the stack is currently locked"
_HOLDER = re.compile(r"created by \S+@(\S+) \(pid (\d+)\) at (\S+)")
_PACK = ("--policy-pack", str(Path(__file__).with_name("policy") / "pack"))


class PulumiStack:
    """`pulumi` for one environment: its state backend, its secrets, its program.

    `project` is the name in the Pulumi.yaml of the `folder` in which the engine is run; `goes_on` the command that
    continues what was interrupted.
    """

    project = PROJECT
    goes_on = "up"

    def __init__(self, repository: Repository, environment: Environment, engine: Engine) -> None:
        self._repository = repository
        self._environment = environment
        self._engine = engine
        self.name = environment.name
        self.folder = repository.root
        self._destroyed: Sequence[str] = ()
        self._pins: Mapping[str, Pin] = {}

        self.backend = backend_of(repository, environment)
        self.checkpoint = checkpoint_of(repository, environment)

    def variables(self) -> dict[str, str]:
        """Return the environment variables with which plain `pulumi` does the same as mlinfra."""
        made = {
            **self._engine.environment(),
            "PULUMI_BACKEND_URL": self.backend,
            "MLINFRA_REPOSITORY": str(self._repository.root),
            "PULUMI_DEBUG_COMMANDS": "true",  # without it the engine hides the option --event-log
        }
        if self._destroyed:
            made["MLINFRA_DESTROY_DATA"] = " ".join(self._destroyed)
        if self._pins:
            made[PINS] = json.dumps({name: pin.model_dump() for name, pin in self._pins.items()})
        if self._environment.secrets_provider is None and "PULUMI_CONFIG_PASSPHRASE" not in os.environ:
            made["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file(self._repository))
        return made

    def exists(self) -> bool:
        """Whether there ever was an `up`."""
        return bool(self.export())

    def export(self) -> Mapping[str, Any]:
        """Return the exported state, secrets encrypted; empty before the first `up`."""
        if self.checkpoint is not None:
            return read_checkpoint(self.checkpoint)
        done = self._run(["stack", "export", "--stack", self.name])
        if done.returncode:
            if "no stack named" in done.stderr:
                return {}
            raise MlinfraError(f"the state of {self.name} cannot be read: {_last_words(done.stderr)}")
        answered: dict[str, Any] = json.loads(done.stdout)
        return answered

    def init(self) -> None:
        """Create the Pulumi stack if it is not there; do nothing if it is."""
        if self.checkpoint is not None:
            if self.checkpoint.exists():
                return
            Path(self.backend.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
        provider = self._environment.secrets_provider or "passphrase"
        done = self._run(["stack", "init", self.name, "--secrets-provider", provider, "--no-select"])
        if done.returncode and "already exists" not in done.stderr:
            way_out = "check that the backend exists and that your credentials may write to it"
            if "incorrect passphrase" in done.stderr:
                way_out = (
                    f"Pulumi.{self.name}.yaml holds the salt of another passphrase: bring "
                    f"{passphrase_file(self._repository)} back from a copy; or, where no state is left, remove the file"
                )
            raise MlinfraError(
                f"the state of {self.name} cannot be created in {self.backend}: {_last_words(done.stderr)}",
                remedy=NO_ROOM if tells_no_room(done.stderr) else way_out,
            )

    def preview(self) -> Mapping[str, Any]:
        """Return what `pulumi preview --json` prints, unchanged resources included; nothing is changed, nor judged.

        Raises:
            MlinfraError: the program or the engine failed.
        """
        self.init()
        done = self._run(["preview", "--json", "--show-sames", "--stack", self.name])
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            found = {}
        if done.returncode:
            errors = [item for item in found.get("diagnostics", ()) if item.get("severity") == "error"]
            said = [text for item in errors if (text := str(item.get("message", "")).strip())]
            raise self._failure(done.returncode, done.stderr, Outcome(errors=said))
        return found

    def up(self, watch: Watch) -> Outcome:
        """Preview with the policy pack, then apply; `watch` is told each step.

        Raises:
            Refused: a mandatory policy is violated; nothing was changed.
            MlinfraError: anything failed; the next `up` goes on from there.
        """
        self.init()
        from mlinfra.policy.analyzer import serving

        with serving(self._repository.root) as port:
            told = {"MLINFRA_RULES_PORT": str(port)}
            return self._operate(["up", "--yes", "--skip-preview=false", *_PACK], watch, told)

    def refresh(self, watch: Watch, targets: Sequence[str] = ()) -> Outcome:
        """Bring the state in line with what is really there; only that of `targets` (URNs), where some are named.

        What a killed run was creating is forgotten, unless it was taken over: creating it again finds it done, or does
        it.
        """
        only = [piece for urn in targets for piece in ("--target", urn)]
        return self._operate(["refresh", "--yes", "--skip-preview", "--clear-pending-creates", *only], watch)

    def take_over(self, state: Mapping[str, Any], id_of: IdOf) -> int:
        """Take what a killed run was creating into the state, as far as its ids are known; return how many.

        The next refresh finds it as it is, or gone.

        Raises:
            MlinfraError: the state cannot be written.
        """
        changed, taken = taken_over(state, id_of)
        if not taken:
            return 0
        with tempfile.TemporaryDirectory(prefix="mlinfra-") as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(changed))
            done = self._run(["stack", "import", "--stack", self.name, "--file", str(file)])
        if done.returncode:
            raise MlinfraError(
                f"what the killed run was creating cannot be taken into the state of {self.name}: "
                f"{_last_words(done.stderr)}",
                remedy=f"mlinfra {self.goes_on} {self.name} tries again",
            )
        return len(taken)

    def destroy(self, watch: Watch, *, keep_protected: bool) -> Outcome:
        """Remove everything; with `keep_protected`, all but what holds data."""
        extra = ["--exclude-protected"] if keep_protected else []
        return self._operate(["destroy", "--yes", "--skip-preview", *extra], watch)

    def pin(self, pins: Mapping[str, Pin]) -> None:
        """Let the next operations read these pins instead of those that the lock has for the same endpoints."""
        self._pins = pins

    def let_destroy(self, urns: Sequence[str]) -> None:
        """Let the next operations destroy the data of these resources."""
        self._destroyed = urns
        for urn in urns:
            self._unprotect(urn)

    def unprotect(self) -> None:
        """Take the protection off all resources, so that `destroy` removes them too."""
        self._unprotect("--all")

    def _unprotect(self, which: str) -> None:
        done = self._run(["state", "unprotect", which, "--yes", "--stack", self.name])
        if done.returncode:
            raise MlinfraError(f"the protection cannot be taken off: {_last_words(done.stderr)}")

    def forget(self) -> None:
        """Remove the empty Pulumi stack itself."""
        self._run(["stack", "rm", self.name, "--yes", "--preserve-config"])

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self._free_dead_locks()
        done = self._run_once(arguments)
        return self._run_once(arguments) if done.returncode and self._freed(done.stderr) else done

    def _run_once(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._engine.path), *arguments, "--non-interactive"],
            cwd=self.folder,
            env={**os.environ, **self.variables()},
            capture_output=True,
            text=True,
            check=False,
        )

    def _operate(
        self, arguments: Sequence[str], watch: Watch, more: Mapping[str, str] = MappingProxyType({})
    ) -> Outcome:
        self._free_dead_locks()
        code, output, outcome = self._operate_once(arguments, watch, more)
        if code and self._freed(output):
            code, output, outcome = self._operate_once(arguments, watch, more)
        if code:
            raise self._failure(code, output, outcome)
        return outcome

    def _operate_once(
        self, arguments: Sequence[str], watch: Watch, more: Mapping[str, str]
    ) -> tuple[int, str, Outcome]:
        """Return the engine's exit code, what it printed, and what it did."""
        started = time.monotonic()
        outcome = Outcome()
        with tempfile.TemporaryDirectory(prefix="mlinfra-") as folder:
            log = Path(folder) / "events"
            log.touch()
            command = [*_leash(), str(self._engine.path), *arguments, "--stack", self.name, "--non-interactive"]
            with (Path(folder) / "stderr").open("w+") as errors:
                process = subprocess.Popen(
                    [*command, "--suppress-progress", "--color", "never", "--event-log", str(log)],
                    cwd=self.folder,
                    env={**os.environ, **self.variables(), **more},
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                code = _wait(process, lambda: read_events(log, process, outcome, watch))
                errors.seek(0)
                output = errors.read()
        outcome.seconds = time.monotonic() - started
        return code, output, outcome

    def _failure(self, code: int, output: str, outcome: Outcome) -> MlinfraError:
        if code == _INTERRUPTED:
            error = MlinfraError("interrupted", remedy=f"mlinfra {self.goes_on} {self.name} goes on from here")
            error.exit_code = _INTERRUPTED
            return error
        if code < 0:
            return MlinfraError(
                f"the engine was killed ({signal.Signals(-code).name}) by somebody, or because memory ran out",
                remedy=f"mlinfra {self.goes_on} {self.name} goes on from here",
            )
        if _LOCKED in output:
            return MlinfraError(
                f"another run holds the lock of {self.name}: {_lock_holder(output)}",
                remedy='wait for it to end; if its machine is gone: eval "$(mlinfra env '
                f'{self.name})" && pulumi cancel --stack {self.name}',
            )
        if outcome.broken_rules:
            kept = "what was done before is kept" if outcome.applied else "nothing was changed"
            return Refused(
                "\n".join([f"this breaks mandatory rules; {kept}", *dict.fromkeys(outcome.broken_rules)]),
                remedy="mend it; an exception goes into policies.exceptions",
            )
        errors = list(dict.fromkeys(outcome.errors)) or [_last_words(output)]
        message = "\n".join(errors)
        if self._environment.secrets_provider is None and "passphrase" in message:
            return MlinfraError(
                f"the secrets of {self.name} are encrypted with another passphrase: {message}",
                remedy=f"bring {passphrase_file(self._repository)} (or PULUMI_CONFIG_PASSPHRASE) back from a copy",
            )
        way_out = f"mend it and run mlinfra {self.goes_on} {self.name} again; what was done is kept"
        if PLUGIN_ENDED in message:
            way_out = f"mlinfra {self.goes_on} {self.name} goes on from here"
        return MlinfraError(message, remedy=NO_ROOM if tells_no_room(message) else way_out)

    def _free_dead_locks(self) -> None:
        """Remove the locks of runs on this machine that are no more: a killed engine leaves its lock behind."""
        if self.checkpoint is None:
            return
        folder = self.checkpoint.parents[2] / "locks" / "organization" / self.project / self.name
        for path in [*folder.glob("*.json"), *folder.glob("*.tmp")]:
            try:
                if _is_dead(path):
                    for file in (path, path.with_name(f"{path.name}.attrs")):
                        file.unlink(missing_ok=True)
            except OSError:
                continue  # its run has just taken it away

    def _freed(self, output: str) -> bool:
        """Free the lock that a killed run of this machine left in a shared backend; say whether that was in the way."""
        if _LOCKED not in output or not (holders := _HOLDER.findall(output)):
            return False
        if any(
            host != os.uname().nodename or _engine_runs(int(pid), datetime.fromisoformat(at).timestamp())
            for host, pid, at in holders
        ):
            return False
        return self._run_once(["cancel", "--yes", "--stack", self.name]).returncode == 0


def _is_dead(lock: Path) -> bool:
    for _ in range(2):
        try:
            holder = json.loads(lock.read_bytes())
            host, pid = holder["hostname"], int(holder["pid"])
            return bool(host == os.uname().nodename) and not _engine_runs(pid, lock.stat().st_mtime)
        except (ValueError, KeyError, TypeError):
            time.sleep(_WRITING_SECONDS)
    # Half a lock, of a disk without room, and not one that is being written: the engine would stop at it for ever.
    return True


def _engine_runs(pid: int, locked_at: float) -> bool:
    """Whether the engine that took a lock then (seconds since 1970) still runs; its pid may be another's by now."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return "pulumi" in process.name() and process.create_time() < locked_at + _CLOCK_SECONDS
    except psutil.Error:
        return False


def _leash() -> tuple[str, ...]:
    """Have the engine interrupted when this process is killed: nobody would see what it goes on to do."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return (setpriv, "--pdeathsig", "INT", "--") if setpriv else ()


def _wait(process: subprocess.Popen[Any], read: Callable[[], None]) -> int:
    """Wait for the engine while its events are read. Ctrl-C lets it finish what it does; a second one ends it."""
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    interrupts = passed_on = 0
    while True:
        try:
            if passed_on < interrupts:
                passed_on += 1
                process.send_signal(signal.SIGINT if passed_on < 3 else signal.SIGKILL)
                continue
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupts += 1
    reader.join()
    return _INTERRUPTED if interrupts else code


def _last_words(text: str) -> str:
    """Return what the engine said last: its error, without the numbers that it gives to several."""
    said = [line.strip() for line in text.rpartition("error: ")[2].splitlines() if line.strip()]
    lines = [re.sub(r"^\d+\) ", "", line) for line in said if not line.endswith(("errors occurred:", ") Unknown"))]
    return "\n".join(lines[:_SHOWN_LINES]) or "it said nothing"


def _lock_holder(output: str) -> str:
    found = [line.strip() for line in output.splitlines() if "created by" in line]
    return found[0][found[0].index("created by") :] if found else "it does not say which"
