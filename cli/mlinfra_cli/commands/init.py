"""mlinfra init: a new repository that works at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made where it is not there.", file_okay=False)],
) -> None:
    """Make a new repository that works at once.

    One small stack (a model on data that ships with scikit-learn), and the environments dev, staging and prod on
    this machine.
    """
    from mlinfra_cli import render
    from mlinfra_cli.render import text

    made = dict(_template())
    _refuse(folder, made)
    for name, content in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
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


def _refuse(folder: Path, made: dict[str, bytes]) -> None:
    """Refuse a folder that holds anything else than git's own and what an interrupted `init` wrote.

    Raises:
        MlinfraError: naming what is in the way.
    """
    from mlinfra.problems import MlinfraError

    if not folder.exists():
        return
    known = {folder / name: content for name, content in made.items()}
    in_the_way = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] != ".git"
        and not path.is_dir()
        and not (path in known and path.read_bytes() == known[path])
    )
    if in_the_way:
        rest = len(in_the_way) - _SHOWN_IN_THE_WAY
        shown = ", ".join(in_the_way[:_SHOWN_IN_THE_WAY]) + (f" and {rest} more" if rest > 0 else "")
        error = MlinfraError(
            f"{folder} is not empty; in the way: {shown}", remedy="name a new folder: mlinfra init my-platform"
        )
        error.exit_code = 2
        raise error
