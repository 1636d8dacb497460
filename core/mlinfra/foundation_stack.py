"""The Pulumi stack of an environment's foundation: a project of its own, with one stack for each environment.

Before there is a state bucket its state is in a folder of this machine; then it is moved into the bucket, where the
next run finds it, on whatever machine. There is no secret in it, so that it needs no key: its passphrase is empty.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from typing import TYPE_CHECKING

from mlinfra.engine_events import Outcome, Watch
from mlinfra.environment import Environment
from mlinfra.foundation import THING_TYPE
from mlinfra.problems import MlinfraError
from mlinfra.pulumi_stack import PulumiStack
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.state import was_cut_off

if TYPE_CHECKING:
    from mlinfra_engine.install import Engine

PROJECT = "mlinfra-bootstrap"
THINGS = "MLINFRA_BOOTSTRAP"
"""The variable by which the program is told what to declare: keys, with spaces between them."""
_PROGRAM = '''"""What `mlinfra bootstrap` makes; written by it."""

from mlinfra.operations.bootstrap_program import main

main()
'''


class FoundationStack(PulumiStack):
    """`pulumi` for what must exist before the first `up`; with `at_home`, its state is in a folder here."""

    project = PROJECT
    goes_on = "bootstrap"

    def __init__(self, repository: Repository, environment: Environment, engine: Engine, *, at_home: bool) -> None:
        super().__init__(repository, environment.model_copy(update={"secrets_provider": None}), engine)
        self.folder = repository.data / "bootstrap" / self.name
        self.home = self.folder / "state"
        self.backend = f"file://{self.home}" if at_home else self.backend
        stacks = self.home / ".pulumi" / "stacks" / PROJECT
        self.checkpoint = stacks / f"{self.name}.json" if at_home else None
        self._keys: Collection[str] = ()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        (self.folder / "__main__.py").write_text(_PROGRAM)

    def variables(self) -> dict[str, str]:
        """Return the environment variables with which plain `pulumi` does the same, in the stack's folder."""
        return {
            **self._engine.environment(),
            "PULUMI_BACKEND_URL": self.backend,
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_DEBUG_COMMANDS": "true",  # without it the engine hides the option --event-log
            THINGS: " ".join(sorted(self._keys)),
        }

    def made(self) -> tuple[frozenset[str], bool]:
        """Return the keys of the things that were made here, and whether the last run was killed while it made some."""
        state = self.export()
        found = (item.name for item in Resources.from_state(state).all if item.type == THING_TYPE)
        return frozenset(found), was_cut_off(state)

    def want(self, keys: Collection[str]) -> None:
        """Let the next operations declare these things."""
        self._keys = keys

    def differences(self) -> int:
        """Return how many resources would be changed; nothing is."""
        counts = self.preview().get("changeSummary") or {}
        return sum(count for operation, count in counts.items() if operation not in ("same", "read"))

    def up(self, watch: Watch) -> Outcome:
        """Make what is wanted.

        Raises:
            MlinfraError: anything failed; the next run goes on from there.
        """
        self.init()
        return self._operate(["up", "--yes", "--skip-preview"], watch)

    def move(self, target: FoundationStack) -> None:
        """Move the state from here to the backend of `target`, in which there is none, or the same.

        Raises:
            MlinfraError: it cannot be written there; it is here still.
        """
        told = self._run(["stack", "export", "--stack", self.name])
        target.init()
        file = self.folder / "moving.json"
        file.write_text(json.dumps(json.loads(told.stdout)) if not told.returncode else "")
        done = target._run(["stack", "import", "--stack", self.name, "--file", str(file)])
        file.unlink()
        if done.returncode:
            raise MlinfraError(
                f"all is made, and its state cannot be written to {target.backend}: {done.stderr.strip()}",
                remedy=f"mlinfra bootstrap {self.name} tries again",
            )
        shutil.rmtree(self.home)
