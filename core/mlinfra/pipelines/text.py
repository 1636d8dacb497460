"""The text of pipelines: shell steps from the templates, and YAML that is the same for the same document."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import LiteralScalarString, SingleQuotedScalarString

OURS = "# Written by `mlinfra ci "
"""How a file begins that is mlinfra's own to write again."""

_NO_FOLDING = 10_000
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off"})
"""What YAML 1.1, which some hosts read, takes for true and false."""


def head(host: str) -> str:
    """Return the first comment of a host's pipelines."""
    return (
        f"{OURS.removeprefix('# ')}{host} --write`. docs/pipelines.md of mlinfra says what the host must be told once."
    )


def script(name: str) -> str:
    """Return a shell step: `templates/<name>.sh`."""
    return (files("mlinfra.pipelines") / "templates" / f"{name}.sh").read_text(encoding="utf-8")


def install(extras: list[str], *, requirements: bool) -> str:
    """Return the line that installs mlinfra: the repository's own requirements, or this version with its extras."""
    if requirements:
        return "pip install --requirement requirements.txt"
    wanted = f"[{','.join(extras)}]" if extras else ""
    return f"pip install 'mlinfra-toolkit{wanted}=={version('mlinfra-toolkit')}'"


def write_yaml(
    document: Mapping[str, Any], head: str, notes: Mapping[str, str] | None = None, *, apart: str | None = None
) -> str:
    """Return a document as YAML under `head`, each line of it a comment; `notes` stand beside the values they name.

    An empty line is between the entries of `apart`: a key of the document, or the document itself without one.
    """
    writer = YAML()
    writer.width = _NO_FOLDING
    writer.indent(mapping=2, sequence=4, offset=2)
    node = _node(document, notes or {})
    jobs = node if apart is None else node[apart]
    for name in list(jobs)[1:]:
        jobs.yaml_set_comment_before_after_key(name, before="\n")
    stream = io.StringIO()
    writer.dump(node, stream)
    comments = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comments + stream.getvalue()


def _node(value: Any, notes: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        made = CommentedMap()
        for key, inner in value.items():
            made[key] = _node(inner, notes)
            if isinstance(inner, str) and inner in notes:
                made.yaml_add_eol_comment(notes[inner], key, column=0)
        return made
    if isinstance(value, list | tuple):
        return CommentedSeq(_node(inner, notes) for inner in value)
    if isinstance(value, str) and "\n" in value:
        return LiteralScalarString(value)
    if isinstance(value, str) and value.lower() in _NOT_TEXT:
        return SingleQuotedScalarString(value)
    return value
