"""All rules: of installed packages (entry points `mlinfra.rules`), and a team's own in `policies/rules/*.py`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from mlinfra.installed import installed
from mlinfra.policy.rule import Decision, Rule
from mlinfra.problems import MlinfraError, Problem, Problems

GROUP = "mlinfra.rules"
FOLDER = Path("policies") / "rules"


@dataclass(frozen=True)
class _Found:
    """A rule, and where it is from: a package, or a file of the team's own and the line in it."""

    rule: Rule
    origin: str
    file: str = ""
    line: int = 0


def ruleset(root: Path | None = None) -> tuple[Rule, ...]:
    """Return the rules of installed packages, and those of a repository whose root folder is given.

    Raises:
        Problems: a file of the team's own does not work, or an id is taken twice; all of them at once.
        MlinfraError: an installed package's rules cannot be loaded.
    """
    found = [*_of_packages(), *(() if root is None else _own(root))]
    problems: list[Problem] = [item for item in found if isinstance(item, Problem)]
    first: dict[str, _Found] = {}
    for item in found:
        if isinstance(item, _Found) and item.rule.id in first:
            problems.append(_twice(item, first[item.rule.id]))
        elif isinstance(item, _Found):
            first[item.rule.id] = item
    if problems:
        raise Problems(problems)
    return tuple(item.rule for item in first.values())


def rules_of_file(path: Path, root: Path) -> list[Rule]:
    """Return the rules in one file of a team's own.

    Raises:
        Problems: it does not work.
    """
    found = list(_of_file(path.resolve(), root.resolve()))
    if problems := [item for item in found if isinstance(item, Problem)]:
        raise Problems(problems)
    return [item.rule for item in found if isinstance(item, _Found)]


def _of_packages() -> Iterator[_Found]:
    for point in sorted(installed(GROUP), key=lambda point: (point.name != "mlinfra", point.name)):
        origin = point.dist.name if point.dist else point.value
        for made in _loaded(point, origin):
            yield _Found(made, origin)


def _loaded(point: EntryPoint, origin: str) -> list[Rule]:
    try:
        given = [getattr(item, "rule", item) for item in point.load()()]
    except Exception as error:
        raise MlinfraError(
            f"the rules of {origin} ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
            remedy=f"mend or remove the package {origin}",
        ) from error
    if wrong := [item for item in given if not isinstance(item, Rule)]:
        raise MlinfraError(f"the rules of {origin} ({point.value}) cannot be loaded: {wrong[0]!r} is no rule")
    return given


def _own(root: Path) -> Iterator[_Found | Problem]:
    for path in sorted((root / FOLDER).glob("*.py")):
        if not path.name.startswith(("_", "test_")):
            yield from _of_file(path, root)


def _of_file(path: Path, root: Path) -> Iterator[_Found | Problem]:
    file = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    module = _executed(path, file)
    if isinstance(module, Problem):
        yield module
        return
    # by identity: a function may have several names
    named = {id(value): value for value in vars(module).values()}
    own = [value for value in named.values() if getattr(value, "__module__", None) == module.__name__]
    decisions: list[Decision] = [decision for value in own for decision in getattr(value, "decisions", ())]
    found = [made for value in own if isinstance(made := getattr(value, "rule", None), Rule)]
    if not found:
        remedy = "write @rule(…) above a function; a file of helpers has a name that begins with _"
        yield Problem(file, 0, "", "holds no rule", remedy=remedy)
    for made in found:
        more = tuple(decision for decision in decisions if decision.rule == made.id)
        whole = replace(made, decisions=(*made.decisions, *more))
        yield _Found(whole, file, file, _line(made.decisions[0]))
    for decision in decisions:
        if decision.rule not in {made.id for made in found}:
            yield Problem(file, _line(decision), decision.rule, "is decided here, and is no rule of this file")


def _executed(path: Path, file: str) -> ModuleType | Problem:
    name = f"mlinfra_rules.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module  # dataclasses of the file look their module up
    try:
        # what a file prints must not come between the lines of a command's JSON
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        return Problem(file, error.lineno or 0, "", f"is not Python: {error.msg}")
    except (Exception, SystemExit) as error:  # noqa: BLE001  the file may raise anything; its line is what helps
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        return Problem(file, (frames[-1].lineno or 0) if frames else 0, "", f"{type(error).__name__}: {error}")
    finally:
        sys.dont_write_bytecode = before
    return module


def _line(decision: Decision) -> int:
    code: Any = getattr(decision.judge, "__code__", None)
    return code.co_firstlineno if code else 0


def _twice(item: _Found, first: _Found) -> Problem:
    where = f"{first.file}:{first.line}" if first.file else first.origin
    message = "is the id of two rules" if item.file else f"is the id of two rules ({item.origin})"
    return Problem(item.file, item.line, item.rule.id, message, found=f"the first in {where}", remedy="take another id")
