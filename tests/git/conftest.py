"""A bare remote, a clone of it with changes of a user in every stage, and a stranger's clone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlinfra.git import GitRepository

LOCK = "environments/prod.lock.yaml"


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def clone(remote: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", str(remote), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text(
        "[user]\n name = Ada\n email = ada@example.com\n[init]\n defaultBranch = main\n"
    )


@pytest.fixture
def remote(tmp_path: Path, identity: None) -> Path:
    folder = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    first = clone(folder, tmp_path / "first")
    (first / "environments").mkdir()
    (first / LOCK).write_text("flight-delay: {release: aaa}\n")
    (first / "run.sh").write_text("#!/bin/sh\n")
    (first / "run.sh").chmod(0o755)
    git(first, "add", "-A")
    git(first, "commit", "-q", "-m", "First")
    git(first, "push", "-q", "origin", "main")
    return folder


@pytest.fixture
def work(remote: Path, tmp_path: Path) -> Path:
    return clone(remote, tmp_path / "work")


@pytest.fixture
def repository(work: Path) -> GitRepository:
    return GitRepository.open(work)


@pytest.fixture
def stranger(remote: Path, tmp_path: Path) -> GitRepository:
    return GitRepository.open(clone(remote, tmp_path / "stranger"))
