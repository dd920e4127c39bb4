"""Random tables: observed cells come back, nothing is missing, nothing lost."""

import csv
import os

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from miri_jax.data import readers, writers
from miri_jax.data.dataset import from_table
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError

SETTINGS = dict(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,  # the same examples each time
)
# Each number of rows is compiled, so there are few.
ROWS = st.sampled_from([1, 3, 30])
# Surrogates cannot be written to a file.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CELLS = {
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "Int64": st.integers(-(2**53), 2**53),
    "Int8": st.integers(-128, 127),
    "boolean": st.booleans(),
    "object": TEXT,
    "category": st.sampled_from(["a", "b", "ü", ""]),
    "datetime64[us]": st.datetimes(
        pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")
    ),
}


@st.composite
def frames(draw):
    """A frame of up to five columns of any types, names and gaps."""
    n = draw(ROWS)
    names = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    columns = {}
    for name in names:
        dtype = draw(st.sampled_from(sorted(CELLS)))
        cells = draw(
            st.lists(st.one_of(st.none(), CELLS[dtype]), min_size=n, max_size=n)
        )
        columns[name] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(columns)


def _comes_back(frame):
    imputer = MIRIImputer("mean", random_state=0, empty_value=0)
    try:
        imputer.fit(frame)
    except DataError as error:
        empty = "does not fit its type" in str(error)
        assert empty or "nothing to fill" in str(error)
        return
    kept = [c.name for c in imputer.columns_ if c.kind == "id"]
    _assert_whole(imputer.transform(frame), frame, kept)


def _assert_whole(filled, frame, kept=()):
    """Every observed cell and type as it came, every gap filled or kept."""
    assert list(filled) == list(frame) and len(filled) == len(frame)
    assert filled.drop(columns=list(kept)).notna().all(axis=None)
    for name in frame:
        known = frame[name].notna()
        assert name not in kept or (filled[name].isna() == ~known).all()
        same = filled[name][known].astype(object) == frame[name][known].astype(
            object
        )
        assert same.all()
        if known.any():
            assert filled[name].dtype == frame[name].dtype
        if pd.api.types.is_float_dtype(filled[name].dtype):
            assert np.isfinite(filled[name].dropna()).all()


@settings(max_examples=30, **SETTINGS)
@given(frames())
def test_frames_come_back_whole(frame):
    _comes_back(frame)


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("FUZZ", 1000)), **SETTINGS)
@given(frames())
def test_thousands_of_frames_come_back_whole(frame):
    _comes_back(frame)


def _extremes(n=60):
    """A column of each kind that arithmetic does not like."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "x": x,
            "twice": 2 * x,
            "sum": 3 * x + 1,
            "huge": 1e300 * x,
            "tiny": 1e-300 * x,
            "both": np.where(x > 0, 1e300, 1e-300),
            "constant": 7.0,
            "nearly": 1 + 1e-12 * x,
            "far": 1e9 + x,
            "rare": np.where(np.arange(n) == 5, 3.5, np.nan),
            "level": "only",
            "yes": True,
            "day": pd.Timestamp("2024-01-01"),
            "denormal": 5e-324,
        }
    )
    hidden = rng.random(frame.shape) < 0.3
    hidden[5] = False
    return frame.mask(hidden)


SLOW = pytest.mark.slow
METHODS = ["gaussian", *(pytest.param(m, marks=SLOW) for m in ("miri", "gain"))]


@pytest.mark.parametrize("method", METHODS)
def test_extreme_columns_come_back_whole(method):
    settings = {"num_iterations": 2}
    if method != "gaussian":
        settings["num_steps"] = 20
    imputer = MIRIImputer(method, settings=settings, random_state=0)
    frame = _extremes()
    filled = imputer.fit(frame).transform(frame)
    _assert_whole(filled, frame)
    for name in frame:
        if frame[name].dtype.kind != "f":
            continue
        # Beyond what was seen, but not far; a constant comes back as one.
        low, high = frame[name].min(), frame[name].max()
        far = 5 * (high - low)
        assert filled[name].between(low - far, high + far).all(), name
        assert low < high or filled[name].nunique() == 1, name


@SLOW
@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (200, 2)])
def test_small_and_empty_tables_come_back_whole(shape):
    """99 % of the cells missing where there are so many."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    hidden = rng.random(shape) < 0.99
    hidden[0] = False
    hidden[-1, -1] = len(x) > 1
    frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(shape[1])])
    frame = frame.mask(hidden)
    imputer = MIRIImputer(settings={"num_iterations": 1}, random_state=0)
    _assert_whole(imputer.fit(frame).transform(frame), frame)


@pytest.mark.slow
def test_two_thousand_columns_come_back_whole():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 2000))
    frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(2000)])
    frame = frame.mask(rng.random(x.shape) < 0.3)
    imputer = MIRIImputer("gaussian", settings={"num_iterations": 2})
    _assert_whole(imputer.fit(frame).transform(frame), frame)


@settings(max_examples=100, **SETTINGS)
@given(st.data())
def test_text_files_come_back_to_the_letter(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    path, out = str(folder / "in.csv"), str(folder / "out.csv")
    n, c = data.draw(ROWS), data.draw(st.integers(2, 4))
    cell = st.one_of(
        st.just(""),
        st.integers(-99, 99).map(str),
        st.floats(-1e6, 1e6).map(repr),
        TEXT,
    )
    rows = [[f"c{k}" for k in range(c)]]
    rows += [
        data.draw(st.lists(cell, min_size=c, max_size=c)) for _ in range(n)
    ]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    try:
        table = readers.read_table(path, empty_value=0)
    except DataError as error:
        assert "\n" not in str(error)
        return
    dataset = from_table(table)
    values = dataset.restore(np.zeros(dataset.m.shape))
    writers.write_table(out, table, values)
    with open(out, newline="", encoding="utf-8") as file:
        back = list(csv.reader(file))
    assert back[0] == rows[0] and len(back) == len(table.frame) + 1
    kept = table.frame.to_numpy(object)
    for i, row in enumerate(back[1:]):
        for j, found in enumerate(row):
            if table.missing[i, j]:
                assert found.strip() not in readers.NA_VALUES
            else:
                assert found == kept[i, j]
    os.remove(path)
