"""mlinfra init: a new repository that works at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    ("mlinfra init my-platform", "a folder with one small stack and three environments on this machine"),
    ("mlinfra init .", "the folder you are in, when it is empty but for .git"),
)
_SCHEMA = "environments/environment.schema.json"
_HIDDEN = {"gitignore": ".gitignore"}
_SHOWN_IN_THE_WAY = 5
_STAGING = ".mlinfra-init"


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made where it is not there.", file_okay=False)],
) -> None:
    """Make a new repository that works at once.

    One small stack (a model on data that ships with scikit-learn), and the environments dev, staging and prod on
    this machine.
    """
    from mlinfra_cli import render
    from mlinfra_cli.render import text

    _refuse_what_is_there(folder)
    _write(folder, dict(_template()))
    render.show(
        text(("made ", "good"), f"{folder}: the stack diabetes, the environments dev, staging and prod"),
        text("next:"),
        *([] if folder.resolve() == Path.cwd() else [text(f"cd {folder}", indent=2)]),
        text("mlinfra plan dev", indent=2),
        text("mlinfra up dev", indent=2),
    )


def _template() -> Iterator[tuple[str, bytes]]:
    from mlinfra.environment import environment_schema

    root = files("mlinfra_cli") / "template"
    for name, file in _files(root, ""):
        yield name, file.read_bytes()
    yield _SCHEMA, (json.dumps(environment_schema(), indent=2, ensure_ascii=False) + "\n").encode()


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            if item.name != "__pycache__":
                yield from _files(item, f"{prefix}{item.name}/")
        else:
            yield f"{prefix}{_HIDDEN.get(item.name, item.name)}", item


def _refuse_what_is_there(folder: Path) -> None:
    """Refuse a folder that holds anything but git's own.

    Raises:
        WrongUse: naming what is in the way.
    """
    from mlinfra.problems import WrongUse

    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    in_the_way = [name for name in found if name not in (".git", _STAGING)]
    if in_the_way:
        rest = len(in_the_way) - _SHOWN_IN_THE_WAY
        shown = ", ".join(in_the_way[:_SHOWN_IN_THE_WAY]) + (f" and {rest} more" if rest > 0 else "")
        raise WrongUse(
            f"{folder} is not empty; in the way: {shown}", remedy="name a new folder: mlinfra init my-platform"
        )


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write all files beside, then move them in place: an interrupted `init` leaves nothing in the way of the next.

    Raises:
        MlinfraError: the folder cannot be written.
    """
    from mlinfra.problems import MlinfraError

    staging = folder / _STAGING
    try:
        if staging.exists():
            shutil.rmtree(staging)
        for name, data in content.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for path in sorted(staging.iterdir()):
            path.rename(folder / path.name)
        staging.rmdir()
    except OSError as error:
        raise MlinfraError(f"{folder} cannot be written: {error.strerror}") from error
