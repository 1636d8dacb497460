"""The user's repository: reads everything that was written for one environment, and says all that is wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mlinfra.adapters import adapter_names, load_adapter
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.part import collecting
from mlinfra.declarations.stack import Stack
from mlinfra.digests import PREFIX
from mlinfra.environment import Environment, parse_environment
from mlinfra.problems import MlinfraError, Problem, Problems, WrongUse, nearest
from mlinfra.releases import Pin, Release, parse_lock, parse_release
from mlinfra.resolve import Declared, DeclaredStack, Lines, problems_of_writing, resolve
from mlinfra.training.code import code_digest
from mlinfra.yaml_file import YamlFile, read_yaml

PINS = "MLINFRA_PINS"
"""The variable by which a rollback tells the engine's program what the lock will name: JSON, pins by endpoint."""


@dataclass(frozen=True)
class Repository:
    """A folder with `Pulumi.yaml`, `environments/` and `stacks/`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Repository:
        """Return the repository that `start` (the current folder) is in.

        Raises:
            WrongUse: neither this folder nor one above it is a repository.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "Pulumi.yaml").is_file() and (folder / "environments").is_dir():
                return cls(folder)
        raise WrongUse(
            f"{here} is not in an mlinfra repository (no Pulumi.yaml beside environments/ here or above)",
            remedy="mlinfra init FOLDER makes one",
        )

    @property
    def data(self) -> Path:
        """What this machine keeps for the repository, outside git."""
        return self.root / ".mlinfra"

    def environments(self) -> list[str]:
        """Return the names of the environments, sorted."""
        files = (self.root / "environments").glob("*.yaml")
        return sorted(file.name.removesuffix(".yaml") for file in files if not file.name.endswith(".lock.yaml"))

    def artifacts(self, environment: Environment) -> ArtifactStore:
        """Return the environment's content-addressed store."""
        return ArtifactStore(environment.artifacts or (self.data / "artifacts").as_uri())

    def check_name(self, name: str) -> None:
        """Raise when there is no environment of this name.

        Raises:
            WrongUse: with the nearest name and all names.
        """
        known = self.environments()
        if name not in known:
            near = nearest(name, known)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise WrongUse(
                f"no environment {name!r}{hint}; there are: {', '.join(known) or 'none'}",
                remedy=f"write environments/{name}.yaml",
            )

    def load(self, name: str) -> Declared:
        """Read everything that was written for the environment `name`.

        Raises:
            Problems: every problem of every file.
            MlinfraError: no environment of this name.
        """
        self.check_name(name)
        environment_file = self.yaml(f"environments/{name}.yaml")
        environment, problems = parse_environment(environment_file, name)
        lock_file = self.yaml(f"environments/{name}.lock.yaml")
        lock, lock_problems = parse_lock(lock_file)
        problems += lock_problems
        stacks: list[DeclaredStack] = []
        releases: dict[str, Release] = {}
        lines = Lines(environment_file.lines, environment_file.name, lock_file.lines, lock_file.name)
        if environment is not None:
            # of what is written twice, the first counts, and may be wrong as well
            said = {problem.path for problem in problems if problem not in environment_file.problems}
            problems += self._incoherent(environment, environment_file, said)
            for folder in environment.stacks if isinstance(environment_file.value.get("stacks"), list) else ():
                stack = self._stack(folder, environment_file, problems)
                if stack is not None:
                    stacks.append(stack)
            releases = self._releases(environment, stacks, problems)
        if problems:
            if environment is not None and len(stacks) == len(environment.stacks):
                problems += _problems_of_resolving(Declared(environment, stacks, lock, releases, lines))
            raise Problems(problems)
        assert environment is not None
        newest = self._newest(environment, stacks)
        pinned = {name: Pin.model_validate(pin) for name, pin in json.loads(os.environ.get(PINS, "{}")).items()}
        if environment.releases == "latest":
            return Declared(environment, stacks, lock, releases, lines, {**newest, **pinned})
        return Declared(environment, stacks, {**lock, **pinned}, releases, lines)

    def yaml(self, name: str) -> YamlFile:
        """Return a YAML file of the repository by its path in it, with its problems; one that is not there is empty."""
        path = self.root / name
        try:
            return read_yaml(path.read_text(encoding="utf-8"), name)
        except FileNotFoundError:
            return YamlFile(name, None)
        except UnicodeDecodeError as error:
            return YamlFile(name, None, problems=(Problem(name, 0, "", f"is not UTF-8 text: {error.reason}"),))

    def _incoherent(self, environment: Environment, file: YamlFile, said: set[str]) -> list[Problem]:
        problems = []
        known = adapter_names()
        if "target" not in said and environment.target not in known:
            problems.append(
                Problem(
                    file.name, file.line("target"), "target", "no adapter of this name is installed",
                    found=environment.target, expected=", ".join(known), nearest=nearest(environment.target, known),
                )
            )  # fmt: skip
        if environment.releases == "latest" and not environment.train and "train" not in said:
            problems.append(
                Problem(
                    file.name, file.line("releases"), "releases", "latest follows what is trained here",
                    expected="train: true",
                )
            )  # fmt: skip
        return problems

    def _stack(self, folder: str, file: YamlFile, problems: list[Problem]) -> DeclaredStack | None:
        path = self.root / "stacks" / folder / "stack.py"
        relative = f"stacks/{folder}/stack.py"
        if not path.is_file():
            known = sorted(found.parent.name for found in (self.root / "stacks").glob("*/stack.py"))
            problems.append(
                Problem(
                    file.name, file.line("stacks"), "stacks", f"there is no {relative}", found=folder,
                    expected=", ".join(known), nearest=nearest(folder, known),
                )
            )  # fmt: skip
            return None
        with collecting() as collected:
            stack = self._execute(path, folder, relative, collected)
        for problem in collected:
            shown = problem.file.removeprefix(f"{self.root}/")
            problems.append(Problem(shown, *_rest(problem)))
        if stack is None or collected:
            return None
        return DeclaredStack(stack, folder, code_digest(path.parent))

    def _execute(self, path: Path, folder: str, relative: str, collected: list[Problem]) -> Stack | None:
        name = f"mlinfra_stacks.{folder}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.modules[name] = module  # dataclasses of the file look their module up
        try:
            # what a stack prints must not come between the lines of a command's JSON
            with redirect_stdout(sys.stderr):
                spec.loader.exec_module(module)
        except SyntaxError as error:
            collected.append(Problem(relative, error.lineno or 0, "", f"is not Python: {error.msg}"))
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001  the file may raise anything; its line is what helps
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            line = (frames[-1].lineno or 0) if frames else 0
            collected.append(Problem(relative, line, "", f"{type(error).__name__}: {error}"))
            return None
        finally:
            sys.dont_write_bytecode = before
        stack = getattr(module, "stack", None)
        if not isinstance(stack, Stack):
            collected.append(Problem(relative, 0, "stack", "is not there", expected='stack = Stack("name", owner=…)'))
            return None
        return stack

    def _newest(self, environment: Environment, stacks: list[DeclaredStack]) -> dict[str, Pin]:
        if environment.releases != "latest":
            return {}
        store = self.artifacts(environment)
        return {
            endpoint: Pin.model_validate(followed)
            for item in stacks
            for endpoint, followed in store.newest(environment.name, item.stack.name).items()
        }

    def _releases(
        self, environment: Environment, stacks: list[DeclaredStack], problems: list[Problem]
    ) -> dict[str, Release]:
        found: dict[str, Release] = {}
        names = [item.stack.name for item in stacks]
        for name in names:
            for path in sorted((self.root / "releases" / name).glob("*.json")):
                try:
                    release = parse_release(path.read_bytes(), str(path.relative_to(self.root)))
                except MlinfraError as error:
                    name = str(path.relative_to(self.root))
                    message = error.message.removeprefix(f"{name}: ")
                    problems.append(Problem(name, 0, "", message, remedy=error.remedy))
                    continue
                found[release.digest] = release
        if environment.releases == "latest" and not problems:
            store = self.artifacts(environment)
            for stack, digest in (
                (name, digest)
                for name in names
                for followed in store.newest(environment.name, name).values()
                for digest in (followed["release"], followed.get("previous"))
                if digest
            ):
                file = f"{store.url}/releases/{stack}/{digest.removeprefix(PREFIX)}.json"
                try:
                    found[digest] = parse_release(store.release(stack, digest), file)
                except MlinfraError as error:
                    newest = f"{store.url}/newest/{environment.name}/{stack}"
                    way_out = f"remove it and {newest}, then mlinfra train {environment.name} makes it again"
                    raise MlinfraError(error.message, remedy=way_out) from error
        return found


def _rest(problem: Problem) -> tuple[int, str, str, str, str, str, str]:
    return (
        problem.line, problem.path, problem.message, problem.found, problem.expected, problem.nearest, problem.remedy,
    )  # fmt: skip


def _problems_of_resolving(declared: Declared) -> list[Problem]:
    """What resolving would complain about, so that it is said together with the problems of the files."""

    if declared.environment.target not in adapter_names():
        return problems_of_writing(declared)
    try:
        resolve(declared, load_adapter(declared.environment.target))
    except Problems as problems:
        return list(problems.problems)
    return []
