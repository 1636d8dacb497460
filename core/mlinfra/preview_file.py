"""Reading what the engine prints of any Pulumi program: `pulumi preview --json`, and `pulumi stack export`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mlinfra.given_file import name_of, read_given
from mlinfra.problems import WrongUse
from mlinfra.resources import Resources

T = TypeVar("T")

PREVIEW = "pulumi preview --json > preview.json"
EXPORT = "pulumi stack export > state.json"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXTS = ("urn", "type")
_OPTIONAL: Mapping[str, type] = {
    "inputs": dict,
    "parent": str,
    "provider": str,
    "dependencies": list,
    "propertyDependencies": dict,
}
_KINDS: Mapping[type, str] = {str: "a text", dict: "an object", list: "a list", int: "a number"}


def read_preview(path: Path | str) -> tuple[Resources, Resources]:
    """Return what a `pulumi preview --json` in a file (`-` is stdin) would leave behind, and what it found.

    The text may be UTF-8, or UTF-16 as PowerShell writes it, with or without a byte order mark.

    Raises:
        WrongUse: the file cannot be read, holds something else, or a preview that failed.
    """
    name, preview = _document(path, PREVIEW)
    if "steps" not in preview:
        _refuse_other(name, preview)
        _wrong(name, 'holds no preview: it has no "steps"', PREVIEW)
    errors = [
        str(item.get("message", "")).strip()
        for item in _items(preview, "diagnostics", name)
        if item.get("severity") == "error"
    ]
    if errors:
        _wrong(name, f"is of a preview that failed, and may not hold everything: {errors[0]}", PREVIEW)
    _check_steps(preview, name)
    return _not_too_deep(
        lambda: (Resources.from_preview(preview), Resources.from_preview(preview, before=True)), name, PREVIEW
    )


def read_state_file(path: Path | str) -> Resources:
    """Return the resources of a `pulumi stack export` in a file (`-` is stdin), or of a file backend's checkpoint.

    Raises:
        WrongUse: the file cannot be read, or holds something else.
    """
    name, state = _document(path, EXPORT)
    if "steps" in state:
        _wrong(name, "holds a preview, not a state", EXPORT, hint="or give it to --preview")
    outer = state.get("checkpoint") if "checkpoint" in state else state
    deployment = outer.get("latest" if "checkpoint" in state else "deployment") if isinstance(outer, dict) else None
    if not isinstance(deployment, dict):
        _refuse_events(name, state, EXPORT)
        _wrong(name, 'holds no state: it has no "deployment"', EXPORT)
    for number, item in enumerate(_items(deployment, "resources", name), 1):
        _check_resource(item, f"{name}: resource {number}", EXPORT)
    return _not_too_deep(lambda: Resources.from_state(state), name, EXPORT)


def _document(path: Path | str, made_by: str) -> tuple[str, dict[str, Any]]:
    """Return how a file is called in messages, and the JSON object that it holds."""
    name, content = name_of(path), read_given(path, _expected(made_by))
    try:
        found = json.loads(content, parse_constant=_refuse_constant)
        if _HALF.search(content):
            # half of a character, written as an escape, can be read and could never be printed
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError:
        _wrong(name, "is no text, or is cut off", made_by)
    except json.JSONDecodeError as error:
        _refuse_lines(name, error, made_by)
        what = "is cut off" if _is_cut_off(error) else "is not JSON"
        _wrong(name, f"{what}: {error.msg} in line {error.lineno}, column {error.colno}", made_by)
    except ValueError as error:
        _wrong(name, f"is not JSON: {error}", made_by)
    except RecursionError:
        _wrong(name, "is nested too deeply", made_by)
    if not isinstance(found, dict):
        _wrong(name, f"holds {'null' if found is None else _kind(found)}, and no object", made_by)
    return name, found


def _check_steps(preview: Mapping[str, Any], name: str) -> None:
    for number, step in enumerate(_items(preview, "steps", name), 1):
        where = f"{name}: step {number}"
        if isinstance(step.get("urn"), str):
            where += f" ({step['urn']})"
        if not isinstance(step.get("op"), str):
            _wrong(where, "has no op", PREVIEW)
        for state in ("newState", "oldState"):
            item = step.get(state)
            if item is not None and not isinstance(item, dict):
                _wrong(where, f"{state} is {_kind(item)}, and no object", PREVIEW)
            if item:
                _check_resource(item, f"{where}: {state}", PREVIEW)
    summary = preview.get("changeSummary")
    if summary is not None and not isinstance(summary, dict):
        _wrong(name, f"changeSummary is {_kind(summary)}, and no object", PREVIEW)
    for operation, count in (summary or {}).items():
        if not isinstance(count, int):
            _wrong(name, f"changeSummary: {operation} is {_kind(count)}, and no number", PREVIEW)


def _check_resource(item: Mapping[str, Any], where: str, made_by: str) -> None:
    for field in _TEXTS:
        if not isinstance(item.get(field), str):
            _wrong(where, f"{field} is {_kind(item.get(field))}, and no text", made_by)
    if not item["urn"].startswith("urn:pulumi:") or item["urn"].count("::") < 3:
        _wrong(where, f"{item['urn']!r} is no URN", made_by)
    for field, kind in _OPTIONAL.items():
        found = item.get(field)
        if found is not None and not isinstance(found, kind):
            _wrong(where, f"{field} is {_kind(found)}, and not {_KINDS[kind]}", made_by)
    for urns in (item.get("dependencies") or (), *(item.get("propertyDependencies") or {}).values()):
        if urns is not None and not (isinstance(urns, list | tuple) and all(isinstance(urn, str) for urn in urns)):
            _wrong(where, "dependencies are no list of URNs", made_by)


def _items(outer: Mapping[str, Any], field: str, name: str) -> Iterator[dict[str, Any]]:
    found = outer.get(field)
    made_by = EXPORT if field == "resources" else PREVIEW
    if found is not None and not isinstance(found, list):
        _wrong(name, f"{field} is {_kind(found)}, and no list", made_by)
    if field == "steps" and found is None:
        _wrong(name, "steps is null, and no list", made_by)
    for number, item in enumerate(found or (), 1):
        if not isinstance(item, dict):
            _wrong(name, f"{field}: item {number} is {_kind(item)}, and no object", made_by)
        yield item


def _refuse_other(name: str, found: Mapping[str, Any]) -> None:
    if "deployment" in found or "checkpoint" in found:
        _wrong(name, "holds a state, not a preview", PREVIEW, hint="or give it to --state")
    _refuse_events(name, found, PREVIEW)


def _refuse_lines(name: str, error: json.JSONDecodeError, made_by: str) -> None:
    """Refuse several JSON documents, one a line: what `--event-log` and streaming previews write."""
    if error.msg == "Extra data":
        try:
            first = json.loads(error.doc[: error.pos])
        except ValueError:
            return
        if isinstance(first, dict):
            _refuse_events(name, first, made_by)


def _refuse_events(name: str, found: Mapping[str, Any], made_by: str) -> None:
    if "sequence" in found or any(key.endswith("Event") for key in found):
        _wrong(name, "holds the engine's events, one a line, as --event-log writes them", made_by)


def _is_cut_off(error: json.JSONDecodeError) -> bool:
    text = error.doc.strip()
    return text.startswith("{") and error.msg != "Extra data" and (not text.endswith("}") or error.pos >= len(text))


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value of JSON")


def _not_too_deep(read: Callable[[], T], name: str, made_by: str) -> T:
    try:
        return read()
    except RecursionError:
        _wrong(name, "is nested too deeply", made_by)


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true or false"
    return next((word for kind, word in _KINDS.items() if isinstance(value, kind)), "a number")


def _wrong(where: str, what: str, made_by: str, *, hint: str = "") -> NoReturn:
    raise WrongUse(f"{where}: {what}", remedy=_expected(made_by) + (f"; {hint}" if hint else ""))


def _expected(made_by: str) -> str:
    return f"{made_by} writes what is expected"
