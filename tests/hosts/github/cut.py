"""Cut GitHub's published description of its API to the operations that mlinfra uses, and write openapi.json.

The description is `generated/api.github.com.json` of the npm package @octokit/openapi 23.0.2 (MIT):

    python -m tests.hosts.github.cut api.github.com.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CUT = Path(__file__).parent / "openapi.json"
_REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = {
    "/user": ["get"],
    _REPOSITORY: ["get"],
    f"{_REPOSITORY}/pulls": ["get", "post"],
    f"{_REPOSITORY}/pulls/{{pull_number}}": ["get", "patch"],
    f"{_REPOSITORY}/pulls/{{pull_number}}/merge": ["put"],
    f"{_REPOSITORY}/pulls/{{pull_number}}/reviews": ["get"],
    f"{_REPOSITORY}/issues/{{issue_number}}/comments": ["get", "post"],
    f"{_REPOSITORY}/issues/comments/{{comment_id}}": ["patch", "delete"],
    f"{_REPOSITORY}/statuses/{{sha}}": ["post"],
}
_PROSE = {"description", "example", "examples", "externalDocs", "x-github", "title"}
_NAMES = {"properties": "", "schemas": "", "parameters": "", "headers": "", "responses": "response"}


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the operations and what they refer to, without prose and examples."""
    paths = {path: {verb: whole["paths"][path][verb] for verb in verbs} for path, verbs in OPERATIONS.items()}
    kept: dict[str, Any] = {}
    waiting = sorted(_references(paths))
    while waiting:
        reference = waiting.pop()
        _, _, kind, name = reference.split("/")
        if name not in kept.setdefault(kind, {}):
            kept[kind][name] = whole["components"][kind][name]
            waiting += _references(kept[kind][name])
    info = {key: whole["info"][key] for key in ("title", "version", "license")}
    parts = {"info": info, "servers": whole["servers"], "paths": paths, "components": kept}
    return {"openapi": whole["openapi"], **_without_prose(parts)}


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(item) for item in value.values()))
    return set().union(*(_references(item) for item in value)) if isinstance(value, list) else set()


def _without_prose(value: Any, inside: str = "") -> Any:
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    if inside in _NAMES:  # these keys are names, not words of the format
        return {name: _without_prose(item, _NAMES[inside]) for name, item in value.items()}
    kept = {key: _without_prose(item, key) for key, item in value.items() if key not in _PROSE or inside == "info"}
    return kept | {"description": ""} if inside == "response" else kept


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    CUT.write_text(json.dumps(cut(json.loads(text)), separators=(",", ":"), sort_keys=True) + "\n")
