"""The bounds of JSON hold on bytes, whatever is in the strings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_engine.errors import BadRequest
from chatkit_engine.http.json_bodies import MAX_DEPTH, MAX_VALUES, check_shape

TEXTS = st.text(st.sampled_from('[]{},:"\\0123N\n\0é')) | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_ordinary_json_passes(value: Any, ascii_only: bool) -> None:
    check_shape(json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace"))


@pytest.mark.parametrize("character", ["[", "{", ",", "1", '"', "\\", '\\"', "N", "\n"])
def test_a_long_text_passes_whatever_is_in_it(character: str) -> None:
    check_shape(json.dumps({"text": character * 100_000}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * MAX_VALUES + b"1]",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a\\\\":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"]" * 1_000_000,
        b'"' * 1_000_000,
        b"0." + b"1" * 2000,
        b"NaN",
        json.dumps({"a": [1]}).encode("utf-16"),
        json.dumps({"a": [1]}).encode("utf-32"),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_shape_out_of_bounds_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        check_shape(body)
