"""The image, as far as it can be checked without building it."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from fsspec.registry import known_implementations  # type: ignore[import-untyped]
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "serving" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def extra() -> str:
    return next(rest.partition("=")[2] for rest in of("ARG") if rest.startswith("EXTRA="))


def test_every_copied_file_exists_and_is_in_the_context() -> None:
    copied = [shlex.split(rest) for rest in of("COPY")]
    sources = [source for words in copied if not words[0].startswith("--from") for source in words[:-1]]
    assert "uv.lock" in sources
    assert not [source for source in sources if not (REPOSITORY / source).exists()]
    allowed = (REPOSITORY / "serving" / "Dockerfile.dockerignore").read_text().splitlines()
    assert not [source for source in sources if f"!{source}" not in allowed]


def test_every_package_of_the_wheel_is_copied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {word for rest in of("COPY") for word in shlex.split(rest)}
    assert not [package for package in packages if package.split("/")[0] not in copied]
    assert extra() in project["project"]["optional-dependencies"]


@pytest.mark.parametrize("scheme", ["s3", "gs", "abfs"])
def test_the_store_of_every_cloud_can_be_read_in_a_pod(scheme: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    has = {Requirement(text).name for text in project["project"]["optional-dependencies"][extra()]}
    assert known_implementations[scheme]["class"].split(".")[0] in has


def test_libraries_are_those_of_the_lock() -> None:
    syncs = [rest for rest in of("RUN") if "uv sync" in rest]
    assert len(syncs) == 2
    assert not [rest for rest in syncs if "--locked" not in rest or "--no-default-groups" not in rest]
    assert any("UV_COMPILE_BYTECODE=1" in rest for rest in of("ENV"))


def test_the_last_stage_runs_the_server_without_root() -> None:
    last = instructions()[max(place for place, (name, _) in enumerate(instructions()) if name == "FROM") :]
    users = [rest for name, rest in last if name == "USER"]
    assert users
    assert not [user for user in users if user.split(":")[0] in ("root", "0")]
    environment = " ".join(rest for name, rest in last if name == "ENV")
    assert "OMP_NUM_THREADS=1" in environment
    names = [name for name, _ in last]
    assert {"HEALTHCHECK", "EXPOSE", "ENTRYPOINT"} <= set(names)
    # nothing after USER may need root
    assert "RUN" not in names[names.index("USER") :]


def test_entry_point_and_health_check_are_modules_that_exist() -> None:
    assert json.loads(of("ENTRYPOINT")[0]) == ["python", "-m", "mlinfra_serving"]
    check = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert check[:2] == ["python", "-m"]
    assert callable(importlib.import_module(check[2]).main)
    assert callable(importlib.import_module("mlinfra_serving.__main__").main)
