"""Frames and arrays come as pandas and go back as they came."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from miri_jax.data import frames


def test_a_pandas_frame_is_taken_as_it_is():
    frame = pd.DataFrame({"a": [1, None]}, index=[7, 3])
    assert frames.is_frame(frame)
    found, back = frames.from_frame(frame)
    assert found is frame and back(frame) is frame


def test_a_polars_frame_changes_in_its_gaps_only():
    day = datetime.date(2024, 1, 2)
    frame = pl.DataFrame(
        {"n": [2**60 + 1, None], "x": [-99.0, 0.5], "day": [day, None]}
    )
    assert frames.is_frame(frame)
    found, back = frames.from_frame(frame, [-99])
    filled = found.assign(n=[0, 5], x=[1.5, 2.5], day=[day, day])
    out = back(filled)
    assert out.schema == frame.schema
    assert out["n"].to_list() == [2**60 + 1, 5]  # to the last digit
    assert out["x"].to_list() == [1.5, 0.5]
    assert out["day"].to_list() == [day, day]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, object])
def test_an_array_keeps_its_precision(kind):
    array = np.array([[1, 2], [3, 4]], kind)
    assert not frames.is_frame(array)
    found, back = frames.from_array(array)
    out = back(found.astype(float) if array.dtype.kind == "f" else found)
    np.testing.assert_array_equal(out.astype(float), array.astype(float))
    if array.dtype.kind == "f":
        assert out.dtype == kind


def test_a_type_that_does_not_fit_is_left():
    series = pd.Series([0.5, 1.0])
    assert frames.cast(series, "float32").dtype == np.float32
    assert frames.cast(pd.Series(["a"]), "float64").iloc[0] == "a"


def test_an_array_of_text_stays_one():
    array = np.array([["a", "x"], ["", "y"]])
    found, back = frames.from_array(array)
    out = back(found.replace("", "longer"))
    assert out.dtype.kind == "U" and out[1, 0] == "longer"
