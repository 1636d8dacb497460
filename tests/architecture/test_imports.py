"""Who may import whom, read from the source: so that core stays free of targets, and of how things look."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "mlinfra": ROOT / "core" / "mlinfra",
    "mlinfra_providers": ROOT / "providers" / "mlinfra_providers",
    "mlinfra_policies": ROOT / "policies" / "mlinfra_policies",
    "mlinfra_cli": ROOT / "cli" / "mlinfra_cli",
    "mlinfra_serving": ROOT / "serving" / "mlinfra_serving",
    "mlinfra_engine": ROOT / "engine" / "mlinfra_engine",
}
TARGETS = ("local", "sagemaker", "vertex", "azureml", "kubernetes")

SDKS = {
    "boto3", "botocore", "sagemaker", "s3fs", "google", "gcsfs", "vertexai", "azure", "adlfs", "kubernetes",
    "pulumi_aws", "pulumi_gcp", "pulumi_azure_native", "pulumi_kubernetes", "feast", "mlflow", "kserve", "duckdb",
}  # fmt: skip
"""What belongs to one target. `google.protobuf` is Pulumi's wire format, not a target."""

LOOKS = {"typer", "rich", "click"}
HEAVY = {"numpy", "pandas", "sklearn", "xgboost", "scipy", "pyarrow", "feast", "mlflow", "kserve", "duckdb"}
MAX_LINES = 400

EVALUATED = {"providers/mlinfra_providers/local/guardian.py": "imports next to nothing: it waits for weeks in 8 MB"}
"""Files without `from __future__ import annotations`, and why."""


@dataclass(frozen=True)
class Import:
    """One import: `name` in full; `lazy` inside of a function; `typing` under TYPE_CHECKING."""

    file: Path
    line: int
    name: str
    lazy: bool = False
    typing: bool = False

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: import {self.name}"


def sources(package: str) -> list[Path]:
    """Return the package's files; what `mlinfra init` copies into a new repository is the user's."""
    left_out = {"__pycache__", "template"}
    return sorted(path for path in PACKAGES[package].rglob("*.py") if left_out.isdisjoint(path.parts))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def module_of(file: Path, package: str) -> str:
    steps = file.relative_to(PACKAGES[package]).with_suffix("").parts
    return ".".join([package, *(step for step in steps if step != "__init__")])


def imports(package: str) -> Iterator[Import]:
    for file in sources(package):
        yield from _in(tree(file).body, file, module_of(file, package), lazy=False, typing=False)


def _in(body: list[ast.stmt], file: Path, module: str, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (Import(file, statement.lineno, item.name, lazy, typing) for item in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                parents = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
                kept = parents[: len(parents) - statement.level + 1]
                base = ".".join([*kept, *([base] if base else [])])
            for item in statement.names:
                yield Import(file, statement.lineno, f"{base}.{item.name}", lazy, typing)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in(statement.body, file, module, lazy=True, typing=typing)
        else:
            checking = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(statement, name, [])
                yield from _in(inner, file, module, lazy=lazy, typing=typing or (checking and name == "body"))
            for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
                yield from _in(part.body, file, module, lazy=lazy, typing=typing)


def test_the_reader_sees_imports_wherever_they_are(tmp_path: Path) -> None:
    text = (
        "import a.b\nfrom c import d\nif TYPE_CHECKING:\n    import e\n"
        "try:\n    import f\nexcept ImportError:\n    import g\n"
        "class K:\n    import h\n    def m(self):\n        from i import j\n        with x:\n            import k\n"
    )
    found = list(_in(ast.parse(text).body, tmp_path / "x.py", "p.q.x", lazy=False, typing=False))
    assert [item.name for item in found] == ["a.b", "c.d", "e", "f", "g", "h", "i.j", "k"]
    assert [item.name for item in found if item.lazy] == ["i.j", "k"]
    assert [item.name for item in found if item.typing] == ["e"]
    body = ast.parse("from . import a\nfrom ..b import c\n").body
    relative = _in(body, tmp_path / "x.py", "p.q.x", lazy=False, typing=False)
    assert [item.name for item in relative] == ["p.q.a", "p.b.c"]


def test_core_knows_no_target_and_no_looks() -> None:
    own = {"mlinfra_providers", "mlinfra_policies", "mlinfra_cli"}
    bad = [
        str(item)
        for item in imports("mlinfra")
        if item.top in LOOKS | own or (item.top in SDKS and not item.name.startswith("google.protobuf"))
    ]
    assert bad == []


def test_core_imports_the_engine_only_where_it_is_needed() -> None:
    found = [item for item in imports("mlinfra") if item.top == "mlinfra_engine"]
    assert found
    assert [str(item) for item in found if not (item.lazy or item.typing)] == []


def test_core_imports_the_serving_package_only_in_training_runs() -> None:
    """They write the artifact that it reads, and the profile that its drift job reads: one format, in one place."""
    found = [item for item in imports("mlinfra") if item.top == "mlinfra_serving"]
    assert [str(item) for item in found if not (item.lazy and item.file.parent.name == "training")] == []


def test_targets_do_not_know_each_other() -> None:
    """What runs elsewhere reads its rows on this machine, with the local target's own code."""
    shared = {*(path.stem for path in PACKAGES["mlinfra_providers"].glob("*.py")), "remote"}
    targets = {path.name for path in PACKAGES["mlinfra_providers"].iterdir() if (path / "__init__.py").is_file()}
    assert targets - {"remote"} <= set(TARGETS)
    bad = []
    for item in imports("mlinfra_providers"):
        here = item.file.relative_to(PACKAGES["mlinfra_providers"]).parts
        own = here[0] if len(here) > 1 else None
        other = item.name.split(".")[1] if item.top == "mlinfra_providers" else None
        known = {*shared, own, *(["local"] if own == "remote" else [])}
        if other is not None and other not in known:
            bad.append(str(item))
    assert bad == []


def test_only_render_knows_how_things_look() -> None:
    bad = [
        str(item)
        for package in PACKAGES
        for item in imports(package)
        if item.top == "rich" and item.file != PACKAGES["mlinfra_cli"] / "render.py"
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("mlinfra_engine", {"mlinfra"}),
        ("mlinfra_serving", {"mlinfra"}),
        ("mlinfra_policies", {"mlinfra"}),
        ("mlinfra_providers", {"mlinfra", "mlinfra_serving"}),
        ("mlinfra_cli", {"mlinfra", "mlinfra_engine"}),
        ("mlinfra", {"mlinfra_engine", "mlinfra_serving"}),
    ],
)
def test_packages_know_only_those_below(package: str, allowed: set[str]) -> None:
    known = {item.top for item in imports(package)} & set(PACKAGES)
    assert known - {package} <= allowed


def test_what_starts_with_every_command_imports_nothing_heavy() -> None:
    """Training and serving libraries are for workers: at module level they would slow every command down."""
    bad = [
        str(item)
        for package in ("mlinfra", "mlinfra_cli", "mlinfra_engine", "mlinfra_policies")
        for item in imports(package)
        if item.top in HEAVY and not (item.lazy or item.typing)
    ]
    assert bad == []


def test_core_never_asks_which_target_it_is_on() -> None:
    bad = []
    for file in sources("mlinfra"):
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Compare):
                words = [node.left, *node.comparators]
            elif isinstance(node, ast.MatchValue):
                words = [node.value]
            else:
                continue
            named = {word.value for part in words for word in ast.walk(part) if isinstance(word, ast.Constant)}
            if named & set(TARGETS):
                bad.append(f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert bad == []


def test_no_import_failure_is_hidden() -> None:
    bad = []
    for package in PACKAGES:
        for file in sources(package):
            for node in ast.walk(tree(file)):
                if isinstance(node, ast.ExceptHandler) and node.type is not None:
                    caught = ast.unparse(node.type)
                    silent = all(isinstance(inner, ast.Pass) for inner in node.body)
                    if silent and ("ImportError" in caught or "ModuleNotFoundError" in caught):
                        bad.append(f"{file.relative_to(ROOT)}:{node.lineno}: except {caught}: pass")
    assert bad == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_fits_one_head(package: str) -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in sources(package)}
    assert {str(file.relative_to(ROOT)): lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()
    assert not (PACKAGES[package].parent / "__init__.py").exists(), "the folder is a topic, not a package"


@pytest.mark.parametrize("package", PACKAGES)
def test_annotations_are_not_evaluated(package: str) -> None:
    bad = [
        str(file.relative_to(ROOT))
        for file in sources(package)
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree(file).body)
        and "from __future__ import annotations" not in file.read_text(encoding="utf-8")
    ]
    assert set(bad) <= set(EVALUATED)


def test_the_packages_are_those_of_the_repository() -> None:
    found = {path.parent for path in ROOT.glob("*/mlinfra*/__init__.py")}
    assert found == set(PACKAGES.values())
