"""Mutation testing of the policy rules: `make mutate`. Each rule is changed in one place, and its examples must see it.

    python -m tests.policies.mutation [MODULE ...] [--survivors]

A mutant is killed when an example of a rule gets another verdict or path than before. Everything happens in one
process: the code of a changed module is put in the place of the module's own, because thousands of processes would take
hours. Texts for people are not changed: what they say is not what examples judge.

Survivors that cannot be killed, or need not be, are in `survivors.toml` beside this file, each with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from mlinfra.policy.check import check
from mlinfra.policy.rule import Decision, Rule
from mlinfra_policies import catalogue
from mlinfra_policies.examples import Example, examples

PACKAGE = "mlinfra_policies"
SKIPPED = {"catalogue", "examples", "__init__"}
SURVIVORS = Path(__file__).with_name("survivors.toml")
SECONDS = 5
_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_VERDICTS = {"violation": "unknown", "unknown": "violation"}
_QUANTIFIERS = {"any": "all", "all": "any", "min": "max", "max": "min"}


@dataclass(frozen=True)
class Mutant:
    """A module's syntax tree, changed in one place."""

    module: str
    line: int
    what: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """How `survivors.toml` names it: the module, the line's text aside from numbers of lines, the change."""
        return f"{self.module}: {self.what}"


class TooLong(BaseException):
    """A mutant does not end. No rule may swallow it: what a rule raises is an unknown."""


class Changes(ast.NodeTransformer):
    """Counts the places where something can be changed; changes the one that is asked for."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.count = wanted, 0
        self.line, self.what = 0, ""

    def _change(self, node: ast.AST, made: ast.AST) -> ast.AST:
        number, self.count = self.count, self.count + 1
        if number != self.wanted:
            return node
        self.line = getattr(node, "lineno", 0)
        self.what = f"{ast.unparse(node)[:90]} → {ast.unparse(made)[:90]}"
        return ast.copy_location(made, node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        made: ast.AST = node
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[place] = other()
                made = self._change(node, changed) if made is node else self._skip(made)
        return made

    def _skip(self, made: ast.AST) -> ast.AST:
        self.count += 1
        return made

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        made = self._change(node, ast.BoolOp(other, node.values))
        for place in range(len(node.values)):
            left = node.values[:place] + node.values[place + 1 :]
            fewer = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
            made = self._change(node, fewer) if made is node else self._skip(made)
        return made

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return self._change(node, node.operand) if isinstance(node.op, ast.Not) else node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return node
        return self._change(node, ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return node  # a docstring
        self.generic_visit(node)
        if isinstance(node.value, ast.Yield | ast.YieldFrom):
            return self._change(node, ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load()))))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _VERDICTS:
            node.args[:1] = [self.visit(argument) for argument in node.args[:1]]  # the rest is for people
            return self._change(node, ast.Call(ast.Name(_VERDICTS[name], ast.Load()), node.args, node.keywords))
        self.generic_visit(node)
        if name in _QUANTIFIERS and len(node.args) == 1:
            return self._change(node, ast.Call(ast.Name(_QUANTIFIERS[name], ast.Load()), node.args, node.keywords))
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool):
            return self._change(node, ast.Constant(not value))
        if isinstance(value, int | float):
            return self._change(node, ast.Constant(value + 1))
        if isinstance(value, str) and value and " " not in value:
            return self._change(node, ast.Constant(f"other-{value}"))
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return node


def mutants(module: ModuleType) -> Iterator[Mutant]:
    """Yield every changed version of a module."""
    tree = ast.parse(inspect.getsource(module))
    counting = Changes()
    counting.visit(copy.deepcopy(tree))
    for number in range(counting.count):
        changes = Changes(number)
        made = ast.fix_missing_locations(changes.visit(copy.deepcopy(tree)))
        if changes.what:
            yield Mutant(module.__name__.removeprefix(f"{PACKAGE}."), changes.line, changes.what, made)


class Replaced:
    """A module with the code, the constants and the decisions of a mutant, until `back()`."""

    def __init__(self, module: ModuleType, mutant: Mutant) -> None:
        self._undo: list[tuple[Any, str, Any]] = []
        self.decisions: dict[Any, tuple[Decision, ...]] = {}
        namespace: dict[str, Any] = {**vars(module)}
        exec(compile(mutant.tree, module.__file__ or "", "exec"), namespace)
        for name, old in list(vars(module).items()):
            new = namespace.get(name)
            if name.startswith("__") or isinstance(old, ModuleType):
                continue
            if getattr(old, "__module__", None) == module.__name__:
                self._take(old, new)
            elif not callable(old) and new is not old:
                for other in list(sys.modules.values()):
                    if other is not None and other.__name__.startswith(PACKAGE) and vars(other).get(name) is old:
                        self._set(other, name, new)

    def _take(self, old: Any, new: Any) -> None:
        if isinstance(old, type):
            for name, value in vars(old).items():
                function = getattr(value, "fget", None) or getattr(value, "func", None) or value
                other = vars(new).get(name)
                changed = getattr(other, "fget", None) or getattr(other, "func", None) or other
                if isinstance(function, FunctionType) and isinstance(changed, FunctionType):
                    self._take(function, changed)
            return
        old_code, new_code = inspect.unwrap(old), inspect.unwrap(new)
        if hasattr(old, "cache_clear"):
            old.cache_clear()
        if isinstance(old_code, FunctionType) and isinstance(new_code, FunctionType):
            if old_code.__closure__ is None:
                self._set(old_code, "__code__", new_code.__code__)
                self._set(old_code, "__defaults__", new_code.__defaults__)
            if hasattr(old, "decisions"):
                self.decisions[old] = new.decisions

    def _set(self, thing: Any, name: str, value: Any) -> None:
        self._undo.append((thing, name, getattr(thing, name)))
        setattr(thing, name, value)

    def back(self) -> None:
        """Put everything back."""
        for thing, name, value in reversed(self._undo):
            setattr(thing, name, value)
        _clear_caches()

    def applied(self, rules: tuple[Rule, ...]) -> list[Rule]:
        """Return rules with the mutant's types."""
        return [replace(rule, decisions=tuple(map(self._decision, rule.decisions))) for rule in rules]

    def _decision(self, decision: Decision) -> Decision:
        changed = self.decisions.get(decision.judge)
        if changed is None:
            return decision
        own = list(decision.judge.decisions)  # type: ignore[attr-defined]
        found = changed[own.index(replace(decision, function=decision.judge))]
        return replace(found, function=decision.judge)


def _clear_caches() -> None:
    for module in list(sys.modules.values()):
        if module is not None and module.__name__.startswith((PACKAGE, "mlinfra.policy")):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and value not in (catalogue.rules, catalogue.entries, examples):
                    value.cache_clear()


def outcome(rule: Rule, example: Example) -> tuple[str, str]:
    """Return the verdict and the path that a rule gives an example."""
    inspection = example.inspection()
    urn = example.judged(inspection).urn
    for finding in check(inspection, [rule]):
        if finding.resource.urn == urn:
            failed = finding.answer.message.startswith("could not be judged")
            return "failed" if failed else finding.answer.verdict.value, finding.answer.path
    return "ok", ""


def survives(mutant: Mutant, module: ModuleType, rules: tuple[Rule, ...], expected: Mapping[str, Any]) -> bool:
    """Whether every example of the rules still gets what it got before."""
    try:
        replaced = Replaced(module, mutant)
    except Exception:  # noqa: BLE001  it cannot even be imported
        _clear_caches()
        return False
    signal.alarm(SECONDS)
    try:
        _clear_caches()
        return all(
            outcome(rule, example) == expected[str(example)]
            for rule in replaced.applied(rules)
            for example in examples(rule.id)
        )
    except (Exception, TooLong):  # noqa: BLE001  whatever it does, it is not what it did before
        return False
    finally:
        signal.alarm(0)
        replaced.back()


def concerned(module: ModuleType, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules that a module can change: those of its family, or all where it is shared; its own first."""
    steps = module.__name__.split(".")
    family = ".".join(steps[:3]) if steps[1] == "families" else PACKAGE
    found = [
        rule
        for rule in rules
        if any(
            each.judge.__module__ == family or each.judge.__module__.startswith(f"{family}.") for each in rule.decisions
        )
    ]
    return tuple(
        sorted(found, key=lambda rule: all(each.judge.__module__ != module.__name__ for each in rule.decisions))
    )


def main() -> None:
    """Print a score for each module, and the survivors that nobody gave a reason for; exit with 1 if there are any."""
    parser = argparse.ArgumentParser(description="Mutation testing of the policy rules.")
    parser.add_argument(
        "modules", nargs="*", help="names of modules, such as families.encryption; all when none is named"
    )
    parser.add_argument("--all", action="store_true", help="show survivors with a reason, too")
    given = parser.parse_args()

    def too_long(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, too_long)
    rules = catalogue.rules()
    expected = {str(example): outcome(rule, example) for rule in rules for example in examples(rule.id)}
    reasons: dict[str, str] = tomllib.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}
    total = killed = explained = 0
    started = time.monotonic()
    for name in sorted(name for name in sys.modules if name.startswith(f"{PACKAGE}.")):
        short = name.removeprefix(f"{PACKAGE}.")
        if short.split(".")[-1] in SKIPPED or (given.modules and not short.startswith(tuple(given.modules))):
            continue
        module = sys.modules[name]
        judged = concerned(module, rules)
        left = []
        made = list(mutants(module))
        for mutant in made:
            if survives(mutant, module, judged, expected):
                left.append(mutant)
        bad = [mutant for mutant in left if mutant.name not in reasons]
        total, killed, explained = total + len(made), killed + len(made) - len(left), explained + len(left) - len(bad)
        print(f"{short}: {len(made) - len(left)} of {len(made)} killed", flush=True)
        for mutant in left if given.all else bad:
            print(f"  line {mutant.line}: {mutant.what}")
            if mutant.name in reasons:
                print(f"    {reasons[mutant.name]}")
    print(f"{killed} of {total} killed, {explained} of the survivors have a reason; {time.monotonic() - started:.0f} s")
    sys.exit(1 if killed + explained < total else 0)


if __name__ == "__main__":
    main()
