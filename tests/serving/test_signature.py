"""The signature: what it says of a frame, and what cannot be served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames

from mlinfra.problems import MlinfraError, Problems
from mlinfra_serving.signature import conform, infer_signature, read_signature, write_signature


def test_types_and_required_follow_all_rows() -> None:
    frame = pd.DataFrame(
        {
            "integer": [1, 2, 3],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "number": [1.0, 2.0, np.nan],
            "text": ["a", "b", None],
            "category": pd.Categorical(["a", "b", "a"]),
            "boolean": [True, False, True],
            "identifier": [2**60, 2**60 + 1, 2**60 + 2],
        }
    )
    assert [(e["name"], e["type"], e["required"]) for e in infer_signature(frame)["inputs"]] == [
        ("integer", "FP64", True),
        ("nullable", "FP64", False),
        ("number", "FP64", False),
        ("text", "BYTES", False),
        ("category", "BYTES", True),
        ("boolean", "BOOL", True),
        ("identifier", "INT64", True),
    ]


def test_everything_that_cannot_be_served_is_said_at_once() -> None:
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["2026-01-01"]),
            "prediction": [1.0],
            "nothing": [None],
            "mixed": [{"a": 1}],
            "fine": [1.0],
        }
    )
    with pytest.raises(Problems) as caught:
        infer_signature(frame)
    message = str(caught.value)
    assert "4 problems" in message
    assert not [name for name in ("when", "prediction", "nothing", "mixed") if f"[{name!r}]" not in message]
    with pytest.raises(Problems, match="no rows"):
        infer_signature(frame.head(0)[["fine"]])


@pytest.mark.parametrize("null", [None, np.nan])
def test_the_null_of_text_is_the_one_of_training(null: object) -> None:
    # scikit-learn's encoders take None and NaN for two categories
    signature = infer_signature(pd.DataFrame({"text": ["a", null]}, dtype=object))
    served = conform(pd.DataFrame({"text": [None, "a"]}), signature)["text"].tolist()
    assert served[1] == "a"
    assert isinstance(served[0], float) == isinstance(null, float)


@given(
    data_frames(
        [
            column("a", elements=st.one_of(st.floats(allow_infinity=False), st.just(np.nan)), dtype=float),
            column("b", elements=st.integers(-1000, 1000), dtype=int),
            column("c", elements=st.sampled_from(["x", "y", ""]), dtype=object),
        ]
    ).filter(lambda frame: len(frame) > 0)
)
def test_a_conformed_frame_holds_the_same_values(frame: pd.DataFrame) -> None:
    signature = infer_signature(frame)
    result = conform(frame, signature)
    np.testing.assert_array_equal(result["a"], frame["a"])
    np.testing.assert_array_equal(result["b"], frame["b"].astype(float))
    assert result["b"].dtype == np.float64
    assert result["c"].tolist() == frame["c"].tolist()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    signature = infer_signature(pd.DataFrame({"Flughafen ü": ["a", np.nan], "b": [1, 2]}))
    write_signature(tmp_path, signature)
    assert read_signature(tmp_path) == signature


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"inputs": [], "outputs": []}', json.dumps({"inputs": [{"name": "a", "type": "FP46"}]})],
)
def test_a_broken_one_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "signature.json").write_text(content)
    with pytest.raises(MlinfraError, match=r"signature\.json"):
        read_signature(tmp_path)
