"""doctor: what is there, what is missing, and the command that mends it. Changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from mlinfra.adapters import adapter_names, load_adapter
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `good` is None where it could not be told."""

    subject: str
    good: bool | None
    detail: str
    remedy: str = ""


def doctor(repository: Repository | None) -> list[Finding]:
    """Look at the engine, the secrets, and what each installed target needs."""
    findings = [Finding("mlinfra", True, f"{version('mlinfra-toolkit')} on Python {sys.version.split()[0]}")]
    findings.append(_engine())
    if repository is not None:
        findings.append(_passphrase(repository))
        findings.extend(_environments(repository))
    for name in adapter_names():
        try:
            adapter = load_adapter(name)
        except (ImportError, MlinfraError) as error:
            findings.append(Finding(f"target {name}", False, f"its adapter cannot be loaded: {error}"))
            continue
        findings.extend(Finding(f"target {name}", *found) for found in adapter.diagnose())
    return findings


def examine(repository: Repository, name: str) -> list[Finding]:
    """Ask the target of an environment about what it needs there, changing nothing.

    Raises:
        WrongUse: no environment of this name.
        Problems: all problems of all files.
    """
    session = Session.open(repository, name)
    adapter = session.adapter
    packages = [Finding(f"target {adapter.name}", *found) for found in adapter.diagnose()]
    if any(finding.good is False for finding in packages):
        return packages
    return packages + [Finding(*told) for told in adapter.examine(session.environment, session.resolved.parts)]


def _engine() -> Finding:
    from mlinfra_engine.install import find

    engine = find()
    if engine is None:
        return Finding("engine", False, "no Pulumi engine is installed", "python -m mlinfra_engine")
    host = "the official language host" if engine.language_host == "official" else "mlinfra's own language host"
    return Finding("engine", True, f"Pulumi {engine.version} by {engine.way}, with {host}: {engine.path}")


def _passphrase(repository: Repository) -> Finding:
    path = repository.data / "passphrase"
    if not path.exists():
        return Finding("secrets", True, f"a passphrase will be generated at the first up and kept in {path}")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("secrets", False, f"{path} is open to others (mode {mode:o})", f"chmod 600 {path}")
    return Finding("secrets", True, f"secrets of a local state are encrypted with the passphrase in {path} (mode 600)")


def _environments(repository: Repository) -> Iterator[Finding]:
    for name in repository.environments():
        try:
            repository.load(name)
        except MlinfraError as error:
            yield Finding(f"environment {name}", False, error.message, f"mlinfra plan {name} shows it alone")
        else:
            yield Finding(f"environment {name}", True, f"environments/{name}.yaml is sound")
