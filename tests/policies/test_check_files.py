"""Previews and states that people bring: what is read, and what is said of everything else."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.preview_file import read_preview, read_state_file
from mlinfra.problems import WrongUse
from mlinfra.resources import Resources

URN = "urn:pulumi:prod::shop::aws:s3/bucket:Bucket::models"


def state(**more: Any) -> dict[str, Any]:
    return {"urn": URN, "type": "aws:s3/bucket:Bucket", "custom": True, "inputs": {"bucket": "models"}, **more}


def preview(**more: Any) -> dict[str, Any]:
    return {"steps": [{"op": "create", "urn": URN, "newState": state()}], "changeSummary": {"create": 1}, **more}


def step(**more: Any) -> dict[str, Any]:
    return preview(steps=[{"op": "create", "urn": URN, "newState": state(), **more}])


def wrong(read: Callable[[Path], object], path: Path, content: Any) -> str:
    """Return what is said of a file with this content (bytes, or anything as JSON)."""
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(WrongUse) as caught:
        read(path)
    assert "writes what is expected" in caught.value.remedy
    return caught.value.message.replace(str(path), "FILE") + ("; or" if "; or give" in caught.value.remedy else "")


def test_a_preview_is_what_is_left_behind_and_what_was_found(tmp_path: Path) -> None:
    steps = [
        {"op": "update", "urn": URN, "newState": state(inputs={"bucket": "new"}), "oldState": state()},
        {"op": "delete", "urn": f"{URN}-old", "oldState": state(urn=f"{URN}-old"), "newState": None},
    ]
    file = tmp_path / "preview.json"
    file.write_text(json.dumps(preview(steps=steps, changeSummary={"update": 1, "delete": 1, "same": 4})))
    after, before = read_preview(file)
    assert [(item.name, item.inputs["bucket"]) for item in after.all] == [("models", "new")]
    assert [(item.name, item.inputs["bucket"]) for item in before.all] == [
        ("models", "models"),
        ("models-old", "models"),
    ]
    assert after.left_out == 4


def test_an_input_that_comes_from_nothing_has_no_sources(tmp_path: Path) -> None:
    file = tmp_path / "preview.json"
    made = state(propertyDependencies={"bucket": None, "tags": [URN]})
    file.write_text(json.dumps(preview(steps=[{"op": "create", "urn": URN, "newState": made}])))
    [bucket] = read_preview(file)[0].all
    assert bucket.property_dependencies == {"bucket": (), "tags": [URN]}


@pytest.mark.parametrize(
    "encode",
    [
        str.encode,
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_a_preview_is_read_in_the_encodings_of_shells(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    file = tmp_path / "preview.json"
    file.write_bytes(
        encode(json.dumps(step(newState=state(inputs={"bucket": "modèle"})), indent=1, ensure_ascii=False))
    )
    after, _ = read_preview(file)
    assert after.all[0].inputs == {"bucket": "modèle"}


def test_stdin_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SimpleNamespace(buffer=io.BytesIO(json.dumps(preview()).encode()), isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", given)
    assert read_preview("-")[0].all[0].urn == URN
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(WrongUse, match="stdin: cannot be read: it is a terminal"):
        read_preview("-")


def test_half_a_character_is_replaced_and_a_whole_one_stays(tmp_path: Path) -> None:
    file = tmp_path / "preview.json"
    file.write_text(json.dumps(step(newState=state(inputs={"half": "a\ud83d", "whole": "\U0001f600"}))))
    assert read_preview(file)[0].all[0].inputs == {"half": "a?", "whole": "\U0001f600"}


def test_a_preview_without_steps_is_one(tmp_path: Path) -> None:
    file = tmp_path / "preview.json"
    file.write_text('{"steps": [], "changeSummary": null, "diagnostics": [{"severity": "warning", "message": "old"}]}')
    assert read_preview(file) == (Resources([]), Resources([]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "FILE: is empty"),
        (b" \n", "FILE: is empty"),
        (b"Previewing update (dev):\n", "FILE: is not JSON: Expecting value in line 1, column 1"),
        (b'{"steps": [{"op": "create", "ur', "FILE: is cut off: Unterminated string starting at in line 1, column 29"),
        (b'{"steps": [{"op": tru', "FILE: is cut off: Expecting value in line 1, column 19"),
        (b'{"steps": [{"op": "create"}', "FILE: is cut off: Expecting ',' delimiter in line 1, column 28"),
        (b'{"steps": [,]}', "FILE: is not JSON: Expecting value in line 1, column 12"),
        (b'{"steps": [], "x": NaN}', "FILE: is not JSON: NaN is no value of JSON"),
        (b'{"steps": ' + b"9" * 5000 + b"}", "FILE: is not JSON: Exceeds the limit"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "FILE: is no text, or is cut off"),
        (b'{"a": ' + b"[" * 100_000, "FILE: is nested too deeply"),
        ([], "FILE: holds a list, and no object"),
        (7, "FILE: holds a number, and no object"),
        (None, "FILE: holds null, and no object"),
        ({}, 'FILE: holds no preview: it has no "steps"'),
        ({"resources": []}, 'FILE: holds no preview: it has no "steps"'),
        ({"version": 3, "deployment": {}}, "FILE: holds a state, not a preview; or"),
        ({"sequence": 0, "preludeEvent": {}}, "FILE: holds the engine's events, one a line"),
        (b'{"sequence":0,"preludeEvent":{}}\n{"sequence":1}\n', "FILE: holds the engine's events, one a line"),
        (b'{"steps": []}\n{"steps": []}\n', "FILE: is not JSON: Extra data in line 2"),
        (preview(steps=None), "FILE: steps is null, and no list"),
        (preview(steps={}), "FILE: steps is an object, and no list"),
        (preview(steps=["create"]), "FILE: steps: item 1 is a text, and no object"),
        (preview(steps=[{"urn": URN}]), f"FILE: step 1 ({URN}): has no op"),
        (step(newState=[]), f"FILE: step 1 ({URN}): newState is a list, and no object"),
        (step(newState=state(urn=3)), f"FILE: step 1 ({URN}): newState: urn is a number, and no text"),
        (step(newState=state(urn="models")), f"FILE: step 1 ({URN}): newState: 'models' is no URN"),
        (step(newState=state(type=None)), f"FILE: step 1 ({URN}): newState: type is missing, and no text"),
        (step(newState=state(inputs=[])), f"FILE: step 1 ({URN}): newState: inputs is a list, and not an object"),
        (step(newState=state(parent=1)), f"FILE: step 1 ({URN}): newState: parent is a number, and not a text"),
        (step(newState=state(provider=True)), "newState: provider is true or false, and not a text"),
        (step(newState=state(dependencies=[1])), "newState: dependencies are no list of URNs"),
        (step(newState=state(propertyDependencies={"a": URN})), "newState: dependencies are no list of URNs"),
        (step(oldState="none"), f"FILE: step 1 ({URN}): oldState is a text, and no object"),
        (preview(changeSummary=[]), "FILE: changeSummary is a list, and no object"),
        (preview(changeSummary={"same": "4"}), "FILE: changeSummary: same is a text, and no number"),
        (preview(diagnostics={}), "FILE: diagnostics is an object, and no list"),
        (
            preview(diagnostics=[{"severity": "error", "message": "no region\n"}]),
            "FILE: is of a preview that failed, and may not hold everything: no region",
        ),
    ],
)
def test_what_is_no_preview(tmp_path: Path, content: Any, said: str) -> None:
    assert said in wrong(read_preview, tmp_path / "preview.json", content)


def test_inputs_that_are_nested_too_deeply(tmp_path: Path) -> None:
    inner = '{"a":' * 990 + "1" + "}" * 990
    content = json.dumps(step(newState=state(inputs={"x": "HERE"}))).replace('"HERE"', inner)
    assert wrong(read_preview, tmp_path / "preview.json", content.encode()) == "FILE: is nested too deeply"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.json", "is not there"),
        (Path("a\0b"), "cannot be"),
    ):
        for read in (read_preview, read_state_file):
            with pytest.raises(WrongUse) as caught:
                read(path)
            assert caught.value.message.startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    "content",
    [
        {"version": 3, "deployment": {"resources": [state()]}},
        {"version": 3, "checkpoint": {"stack": "prod", "latest": {"resources": [state(), state(delete=True)]}}},
    ],
)
def test_a_state_is_read(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps(content))
    assert [resource.urn for resource in read_state_file(file).all] == [URN]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "FILE: is empty"),
        (preview(), "FILE: holds a preview, not a state; or"),
        ({}, 'FILE: holds no state: it has no "deployment"'),
        ({"deployment": []}, 'FILE: holds no state: it has no "deployment"'),
        ({"checkpoint": []}, 'FILE: holds no state: it has no "deployment"'),
        ({"sequence": 0, "preludeEvent": {}}, "FILE: holds the engine's events, one a line"),
        ({"deployment": {"resources": {}}}, "FILE: resources is an object, and no list"),
        ({"deployment": {"resources": [1]}}, "FILE: resources: item 1 is a number, and no object"),
        ({"deployment": {"resources": [state(type=1)]}}, "FILE: resource 1: type is a number, and no text"),
    ],
)
def test_what_is_no_state(tmp_path: Path, content: Any, said: str) -> None:
    assert said in wrong(read_state_file, tmp_path / "state.json", content)
