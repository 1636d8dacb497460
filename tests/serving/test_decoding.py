"""Decoding: whatever comes, it is a request or a reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra_serving.decoding import Answer, Request, decode_csv, decode_v2, frame_of
from mlinfra_serving.kserve_sdk import InvalidInput
from mlinfra_serving.shims import vertex
from mlinfra_serving.signature import Signature, conform

SIGNATURE: Signature = {
    "inputs": [
        {"name": "hour", "type": "FP64", "required": True},
        {"name": "gust", "type": "FP64", "required": False},
        {"name": "dest", "type": "BYTES", "required": False},
        {"name": "tail", "type": "BYTES", "required": True},
        {"name": "late", "type": "BOOL", "required": False},
        {"name": "flight", "type": "INT64", "required": True},
    ],
    "outputs": [{"name": "prediction", "type": "FP64"}],
}
NAMES = [entry["name"] for entry in SIGNATURE["inputs"]]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES) | ANYTHING,
        "datatype": st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "UINT8"]) | ANYTHING,
        "shape": st.just([1]) | ANYTHING,
        "data": st.lists(SCALARS, max_size=2) | ANYTHING,
    }
)
BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=7) | ANYTHING}, optional={"id": ANYTHING, "outputs": ANYTHING}
)
VALUES = {
    "hour": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**62), 2**62),
    "gust": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "dest": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "tail": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "late": st.none() | st.booleans(),
    "flight": st.integers(-(2**63), 2**63 - 1),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5)


def v2(rows: list[dict[str, Any]], names: list[str] = NAMES) -> bytes:
    types = {entry["name"]: entry["type"] for entry in SIGNATURE["inputs"]}
    tensors = [
        {"name": name, "datatype": types[name], "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name in names
    ]
    return json.dumps({"inputs": tensors}).encode()


def check(request: Request) -> pd.DataFrame:
    assert list(request.columns) == NAMES
    assert {len(values) for values in request.columns.values()} == {request.rows}
    frame = frame_of(request, SIGNATURE)
    assert len(frame) == request.rows > 0
    assert list(frame.columns) == NAMES
    return frame


@given(BODIES | ANYTHING)
def test_any_json_is_a_request_or_a_reason(body: Any) -> None:
    try:
        request = decode_v2(json.dumps(body).encode(), "", SIGNATURE)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        check(request)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_a_reason(body: bytes) -> None:
    for decode in (decode_v2, decode_csv, vertex.decode):
        try:
            check(decode(body, "", SIGNATURE))
        except InvalidInput:
            continue


@given(ROWS)
def test_a_right_body_gives_the_frame_of_its_rows(rows: list[dict[str, Any]]) -> None:
    frame = check(decode_v2(v2(rows), "", SIGNATURE))
    expected = conform(pd.DataFrame(rows, dtype=object), SIGNATURE)
    pd.testing.assert_frame_equal(frame, expected)


@given(ROWS)
def test_the_clouds_bodies_give_the_same_request(rows: list[dict[str, Any]]) -> None:
    expected = decode_v2(v2(rows), "", SIGNATURE)
    instances = json.dumps({"instances": rows}).encode()
    assert vertex.decode(instances, "", SIGNATURE) == expected
    assert vertex.decode(v2(rows), "", SIGNATURE) == expected


@given(st.lists(st.lists(st.text(max_size=4), max_size=7), max_size=4))
def test_any_table_is_a_request_or_a_reason(table: list[list[str]]) -> None:
    text = "\n".join(",".join(row) for row in table)
    try:
        request = decode_csv(text.encode("utf-8", "replace"), "text/csv", SIGNATURE)
    except InvalidInput:
        return
    check(request)


def test_csv_with_and_without_a_header_row() -> None:
    expected = {"hour": [7.5], "gust": [None], "dest": ["Å,b"], "tail": ["N1"], "late": [True], "flight": [12]}
    in_order = decode_csv('7.5,,"Å,b",N1,true,12\n'.encode(), "text/csv", SIGNATURE)
    assert in_order.columns == expected
    with_header = decode_csv('flight,more,tail,dest,late,hour\r\n12,?,N1,"Å,b",1,7.5\r\n'.encode(), "", SIGNATURE)
    assert with_header.columns == expected


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("7.5,,b,N1,true", "row 1: found 5 cells, expected 6"),
        ("7.5,,b,,true,12", "'tail'[0]: found null"),
        ("7_5,,b,N1,true,12", "'hour'[0]: found text '7_5', expected FP64"),
        ("inf,,b,N1,true,12", "'hour'[0]: found text 'inf', expected FP64"),
        ("7,,b,N1,yes,12", "'late'[0]: found text 'yes', expected BOOL"),
        ("7,,b,N1,true,1.5", "'flight'[0]: found text '1.5', expected INT64"),
        ("7,,b,N1,true,9223372036854775808", "expected INT64"),
        ('7,,"b', "not CSV"),
        ("", "no rows"),
    ],
)
def test_wrong_csv_is_said_to_be_wrong(row: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_csv(row.encode(), "text/csv", SIGNATURE)
    assert words in str(caught.value)


def test_left_out_optional_inputs_are_null_and_required_ones_are_named_together() -> None:
    row = {"hour": 1, "tail": "N1", "flight": 3}
    request = decode_v2(v2([row], ["hour", "tail", "flight"]), "", SIGNATURE)
    assert request.columns["gust"] == request.columns["dest"] == request.columns["late"] == [None]
    with pytest.raises(InvalidInput, match="required inputs are missing: hour, tail, flight"):
        decode_v2(b'{"inputs": []}', "", SIGNATURE)


def test_a_long_value_is_not_repeated_whole_in_the_error() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_v2(v2([{"hour": "x" * 10_000, "tail": "N1", "flight": 3}], ["hour", "tail", "flight"]), "", SIGNATURE)
    assert len(str(caught.value)) < 200


def test_the_answers_bodies() -> None:
    answer = Answer("m", "r", "i", np.array([0.5, np.nan]))
    v2_request = decode_v2(v2([{"hour": 1, "tail": "N1", "flight": 3}], ["hour", "tail", "flight"]), "", SIGNATURE)
    assert json.loads(v2_request.encode(answer))["outputs"][0]["data"] == [0.5, None]
    vertex_request = vertex.decode(b'{"instances": [{"hour": 1, "tail": "a", "flight": 3}]}', "", SIGNATURE)
    assert json.loads(vertex_request.encode(answer)) == {"predictions": [0.5, None]}
