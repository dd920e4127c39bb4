"""Columns of every type: what comes back is what came, its gaps filled."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from miri_jax import MIRIImputer
from miri_jax.exceptions import DataError

N = 30
RNG = np.random.default_rng(0)
WHOLE = [int(x) for x in RNG.integers(0, 90, N)]
REAL = [float(x) for x in np.round(RNG.normal(size=N), 2)]
TEXT = [str(x) for x in RNG.choice(list("abc"), N)]
LOGICAL = [bool(x) for x in RNG.integers(0, 2, N)]
DECIMAL = [decimal.Decimal(f"{x:.2f}") for x in REAL]
STAMP = [
    datetime.datetime(2020, 1, 1) + datetime.timedelta(minutes=int(x))
    for x in RNG.integers(0, 300000, N)
]
AWARE = [x.replace(tzinfo=datetime.UTC) for x in STAMP]
DAY = [x.date() for x in STAMP]
CLOCK = [x.time() for x in STAMP]
SPAN = [datetime.timedelta(minutes=int(x)) for x in RNG.integers(0, 3000, N)]
ZONE = "Europe/Berlin"
BINARY = [x.encode() for x in TEXT]
ARROW = pd.ArrowDtype


def _pandas(cells, kind):
    return lambda gaps: pd.Series(_some(cells, gaps), dtype=kind)


def _arrow(cells, kind):
    return lambda gaps: pd.Series(pd.array(_some(cells, gaps), ARROW(kind)))


def _objects(cells, none=None):
    return lambda gaps: pd.Series(_some(cells, gaps, none), dtype=object)


def _some(cells, gaps, none=None):
    """Every fourth cell is missing, if gaps are asked for."""
    return [none if gaps and k % 4 == 0 else x for k, x in enumerate(cells)]


def _stamps(gaps):
    return pd.Series(pd.to_datetime(pd.Series(_some(STAMP, gaps))))


PANDAS = {
    "float16": _pandas(REAL, "float16"),
    "float32": _pandas(REAL, "float32"),
    "float64": _pandas(REAL, "float64"),
    **{
        kind: _pandas(WHOLE, kind)
        for kind in ("Int8", "Int16", "Int64", "UInt8", "UInt64")
    },
    "Float32": _pandas(REAL, "Float32"),
    "Float64": _pandas(REAL, "Float64"),
    "boolean": _pandas(LOGICAL, "boolean"),
    "str": _pandas(TEXT, "str"),
    "string": _pandas(TEXT, "string"),
    "string of Python": _pandas(TEXT, pd.StringDtype("python")),
    "category": _pandas(TEXT, "category"),
    "ordered": _pandas(TEXT, pd.CategoricalDtype(list("cba"), True)),
    "category of numbers": _pandas([x % 4 for x in WHOLE], "category"),
    "datetime64[ns]": lambda gaps: _stamps(gaps).astype("datetime64[ns]"),
    "datetime64[s]": lambda gaps: _stamps(gaps).astype("datetime64[s]"),
    "datetime64 with zone": lambda gaps: (
        _stamps(gaps).dt.tz_localize("UTC").dt.tz_convert(ZONE)
    ),
    "timedelta64[ns]": _pandas(SPAN, "timedelta64[ns]"),
    "timedelta64[s]": _pandas(SPAN, "timedelta64[s]"),
    **{
        f"Period {freq}": lambda gaps, freq=freq: _stamps(gaps).dt.to_period(
            freq
        )
        for freq in ("D", "M", "Q", "Y")
    },
    "Interval": lambda gaps: pd.Series(
        pd.arrays.IntervalArray.from_tuples(
            _some([(x % 3, x % 3 + 1) for x in WHOLE], gaps, np.nan)
        )
    ),
    "sparse": lambda gaps: pd.Series(
        pd.arrays.SparseArray(np.array(_some(REAL, gaps, np.nan)))
    ),
    "sparse of zeros": lambda gaps: pd.Series(
        pd.arrays.SparseArray(
            np.array(_some([max(x, 0.0) for x in REAL], gaps, np.nan)),
            fill_value=0.0,
        )
    ),
    "arrow string": _arrow(TEXT, pa.string()),
    "arrow large_string": _arrow(TEXT, pa.large_string()),
    "arrow dictionary": _arrow(TEXT, pa.dictionary(pa.int32(), pa.string())),
    "arrow bool": _arrow(LOGICAL, pa.bool_()),
    "arrow int8": _arrow(WHOLE, pa.int8()),
    "arrow uint64": _arrow(WHOLE, pa.uint64()),
    "arrow float16": _arrow([np.float16(x) for x in REAL], pa.float16()),
    "arrow float64": _arrow(REAL, pa.float64()),
    "arrow date32": _arrow(DAY, pa.date32()),
    "arrow date64": _arrow(DAY, pa.date64()),
    "arrow time32": _arrow(CLOCK, pa.time32("s")),
    "arrow time64": _arrow(CLOCK, pa.time64("ns")),
    "arrow duration": _arrow(SPAN, pa.duration("s")),
    "arrow timestamp": _arrow(STAMP, pa.timestamp("ns")),
    "arrow timestamp with zone": _arrow(AWARE, pa.timestamp("us", ZONE)),
    "arrow decimal128": _arrow(DECIMAL, pa.decimal128(9, 2)),
    "arrow decimal256": _arrow(DECIMAL, pa.decimal256(40, 2)),
    "objects of whole numbers": _objects(WHOLE),
    "objects of numbers": _objects(REAL, pd.NA),
    "objects of NumPy's numbers": _objects([np.float32(x) for x in REAL]),
    "objects of text": _objects(TEXT, pd.NaT),
    "objects of logical values": _objects(LOGICAL, np.nan),
    "objects of Decimal": _objects(DECIMAL),
    "objects of dates": _objects(DAY, pd.NaT),
    "objects of times": _objects(STAMP),
    "objects of times with zone": _objects(AWARE),
    "objects of Timestamp": _objects([pd.Timestamp(x) for x in STAMP], pd.NA),
    "objects of datetime64": _objects([np.datetime64(x) for x in STAMP]),
    "objects of clocks": _objects(CLOCK, np.nan),
    "objects of durations": _objects(SPAN),
    "objects of Timedelta": _objects([pd.Timedelta(x) for x in SPAN]),
    "objects of Period": _objects([pd.Period(x, "M") for x in DAY]),
    "text of numbers": _pandas([f"{x:.2f}" for x in REAL], "str"),
    "objects of numbers as text": _objects([f"{x} €" for x in WHOLE]),
    "arrow text of dates": _arrow([f"{x:%d.%m.%Y}" for x in DAY], pa.string()),
    "text of times with zone": _pandas([x.isoformat() for x in AWARE], "str"),
}
POLARS = {
    **{
        str(kind): (cells, kind)
        for cells, kinds in {
            tuple(WHOLE): (pl.Int8, pl.Int64, pl.UInt64, pl.Int128),
            tuple(REAL): (pl.Float32, pl.Float64),
            tuple(LOGICAL): (pl.Boolean,),
            tuple(TEXT): (pl.String, pl.Categorical, pl.Enum(list("xcba"))),
            tuple(DAY): (pl.Date,),
            tuple(STAMP): (pl.Datetime("ms"), pl.Datetime("ns")),
            tuple(AWARE): (pl.Datetime("us", ZONE),),
            tuple(CLOCK): (pl.Time,),
            tuple(SPAN): (pl.Duration("us"), pl.Duration("ms")),
            tuple(DECIMAL): (pl.Decimal(9, 2),),
        }.items()
        for kind in kinds
    },
}
CARRIED = {
    "list": _objects([[1, k] for k in range(N)]),
    "dict": _objects([{"a": k} for k in range(N)]),
    "bytes": _objects(BINARY),
    "complex": _pandas([1j] * N, complex),
    "arrow binary": _arrow(BINARY, pa.binary()),
    "arrow list": _arrow([[1, 2]] * N, pa.list_(pa.int64())),
    "arrow struct": _arrow([{"a": 1}] * N, pa.struct([("a", pa.int64())])),
}


def _check(frame, whole, gaps):
    """That a fit, and the transform of new rows, change gaps of all columns."""
    imputer = MIRIImputer("mean", random_state=0).fit(frame)
    for rows in (slice(None), slice(0, 9)):
        some = frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]
        done = imputer.transform(some)
        assert type(done) is type(frame)
        for name, cells in whole.items():
            assert done[name].dtype == frame[name].dtype, name
            found = done[name].to_list()
            for k, (x, y) in enumerate(zip(cells[rows], found)):
                if not gaps or k % 4:
                    assert x == y, (name, k)
                    continue
                assert not pd.isna(y), (name, k)
                # Numbers of Python or of NumPy.
                same = isinstance(x, float | np.floating) or type(y) is type(x)
                assert same, (name, k)
    return done


@pytest.mark.parametrize("gaps", [True, False])
def test_every_type_of_pandas_comes_back(gaps):
    columns = {name: make(gaps) for name, make in PANDAS.items()}
    frame = pd.DataFrame({"y": _some(REAL, True), **columns})
    frame.index = index = pd.Index([7] * N, name="twice")
    kept = frame.copy()
    whole = {name: make(False).to_list() for name, make in PANDAS.items()}
    done = _check(frame, whole, gaps)
    pd.testing.assert_frame_equal(frame, kept)
    pd.testing.assert_index_equal(done.index, index[:9])
    assert list(done) == ["y", *PANDAS]


@pytest.mark.parametrize("gaps", [True, False])
def test_every_type_of_polars_comes_back(gaps):
    made = {
        name: pl.Series(_some(cells, gaps), dtype=kind)
        for name, (cells, kind) in POLARS.items()
    }
    frame = pl.DataFrame({"y": _some(REAL, True), **made})
    whole = {
        name: pl.Series(cells, dtype=kind).to_list()
        for name, (cells, kind) in POLARS.items()
    }
    _check(frame, whole, gaps)


@pytest.mark.parametrize("name", CARRIED)
def test_what_cannot_be_drawn_is_carried_through(name):
    whole = pd.DataFrame({"x": CARRIED[name](False), "y": _some(REAL, True)})
    done = MIRIImputer("mean").fit_transform(whole)
    pd.testing.assert_series_equal(done["x"], whole["x"])
    assert done["y"].notna().all()
    if name == "complex":
        return
    frame = whole.assign(x=CARRIED[name](True))
    for keep in ([], ["x"]):
        imputer = MIRIImputer("mean", keep=keep).fit(frame)
        pd.testing.assert_series_equal(
            imputer.transform(frame)["x"], frame["x"]
        )
        assert keep or any("its 8 gap(s) too" in x for x in imputer.notes_)


def test_draws_of_all_types_lie_where_their_types_may():
    """By a method that draws, in one table."""
    frame = pd.DataFrame({name: make(True) for name, make in PANDAS.items()})
    imputer = MIRIImputer("chained", random_state=0)
    imputer.set_params(settings={"num_iterations": 1, "chains": 1})
    done = imputer.fit_transform(frame)
    assert done.notna().all(axis=None)
    pd.testing.assert_series_equal(done.dtypes, frame.dtypes)
    for name, series in frame.items():
        known = series.notna()
        assert list(done[name][known]) == list(series[known]), name
    minutes = done["arrow duration"].dt.total_seconds() / 60
    assert np.all(minutes == np.round(minutes))
    assert all(x.second == 0 for x in done["objects of clocks"])
    assert done["objects of numbers as text"].str.fullmatch(r"\d+ €").all()
    dates = pd.to_datetime(done["arrow text of dates"], format="%d.%m.%Y")
    assert dates.notna().all()


def test_tables_of_other_kinds_come_back():
    x = np.array(_some(REAL, True, np.nan))
    lazy = pl.DataFrame({"x": _some(REAL, True), "t": TEXT}).lazy()
    done = MIRIImputer("mean").fit_transform(lazy)
    assert isinstance(done, pl.DataFrame) and not done["x"].has_nulls()
    schema = pa.schema(
        [
            ("c", pa.dictionary(pa.int32(), pa.string())),
            ("t", pa.time64("us")),
            ("v", pa.string_view()),
            pa.field("d", pa.date32(), metadata={"unit": "day"}),
        ]
    )
    columns = dict(zip("ctvd", (TEXT, CLOCK, TEXT, DAY)))
    table = pa.table({k: _some(v, True) for k, v in columns.items()}, schema)
    done = MIRIImputer("mean").fit_transform(table)
    assert isinstance(done, pa.Table)
    assert done.schema.equals(schema, check_metadata=True)
    for name, cells in columns.items():
        assert done[name].null_count == 0
        assert done[name].to_pylist()[1:4] == cells[1:4]
    masked = np.ma.array(np.reshape(WHOLE, (15, 2)), mask=False)
    masked.mask[::4, 0] = True
    done = MIRIImputer("mean").fit_transform(masked)
    assert np.ma.isMA(done) and done.dtype == int and not done.mask.any()
    np.testing.assert_array_equal(done[~masked.mask], masked[~masked.mask])
    fields = np.array(
        list(zip(x, WHOLE, TEXT)), [("x", "f4"), ("n", "i2"), ("t", "U3")]
    )
    done = MIRIImputer("mean").fit_transform(fields)
    assert done.dtype == fields.dtype and not np.isnan(done["x"]).any()
    np.testing.assert_array_equal(done["n"], fields["n"])
    several = pd.DataFrame(
        np.column_stack([x, WHOLE]),
        columns=pd.MultiIndex.from_product([["a"], ["x", "n"]]),
    )
    done = MIRIImputer("mean").fit_transform(several)
    assert done.columns.equals(several.columns)
    assert done.notna().all(axis=None)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_new_rows_whose_type_lacks_a_level(library):
    def make(cells, levels):
        if library == "polars":
            return pl.DataFrame({"c": pl.Series(cells, dtype=pl.Enum(levels))})
        return pd.DataFrame({"c": pd.Categorical(cells, levels)})

    imputer = MIRIImputer("mean", kinds={"c": "categorical"})
    imputer.fit(make(["b", "a", "b", None, "b"], ["a", "b"]))
    same = imputer.transform(make(["a", "a"], ["a"]))
    assert same["c"].dtype == make(["a"], ["a"])["c"].dtype
    assert list(same["c"]) == ["a", "a"]
    done = imputer.transform(make(["a", None, "z"], ["z", "a"]))
    assert list(done["c"]) == ["a", "b", "z"]
    assert done["c"].dtype == make(["a"], ["z", "a", "b"])["c"].dtype


EMPTY = {
    "float": pd.Series([np.nan] * N),
    "whole": pd.Series([None] * N, dtype="Int8"),
    "text": pd.Series([None] * N, dtype="string"),
    "level": pd.Series(pd.Categorical([None] * N, ["u", "v"])),
    "logical": pd.Series([None] * N, dtype="boolean"),
    "object": pd.Series([None] * N, dtype=object),
    "time": pd.Series([None] * N, dtype="datetime64[ns]"),
    "month": pd.Series(pd.PeriodIndex([None] * N, freq="M")),
    "day": pd.Series([None] * N, dtype=ARROW(pa.date32())),
    "range": pd.Series([None] * N, dtype="interval[float64, right]"),
    "money": pd.Series([None] * N, dtype=ARROW(pa.decimal128(5, 2))),
}


def test_columns_without_a_value_are_kept():
    frame = pd.DataFrame({**EMPTY, "x": _some(REAL, True)})
    with pytest.warns(UserWarning, match="'float', .*no observed value"):
        imputer = MIRIImputer("mean").fit(frame)
    done = imputer.transform(frame)
    pd.testing.assert_series_equal(done.dtypes, frame.dtypes)
    assert done.notna().all(axis=None)
    assert done["float"][0] == 0 and done["text"][0] == "missing_value"
    assert done["level"][0] == "u" and not done["logical"][0]
    # New rows may have values there, of any type that the column can hold.
    new = frame.assign(object="w", level=pd.Categorical(["v"] * N), float=2.5)
    done = imputer.transform(new)
    assert set(done["object"]) == {"w"} and set(done["level"]) == {"v"}
    assert set(done["float"]) == {2.5}
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        chosen = MIRIImputer("mean", empty_value=7)
        done = chosen.fit_transform(frame[["float", "x"]])
    assert set(done["float"]) == {7}


def test_text_of_numbers_is_read_as_in_files(tmp_path):
    frame = pd.DataFrame(
        {
            "price": ["1.234,50 €", None, "99,95 €", "-", "5,00 €"] * 6,
            "day": ["03.02.2021", "28.12.2020", "N/A", "1.5.2020", None] * 6,
            "code": ["01", "02", None] * 10,
            "grade": ["1", "2", "3+"] * 10,
        }
    )
    imputer = MIRIImputer("mean").fit(frame)
    kinds = ["real", "datetime", "categorical", "categorical"]
    assert [column.kind for column in imputer.columns_] == kinds
    done = imputer.transform(frame)
    assert done["price"][1] == done["price"][3] == "446,48 €"
    assert done["day"][2] == done["day"][4] == "21.10.2020"
    assert done["price"][4] == "5,00 €" and done["day"][3] == "1.5.2020"
    imputer.save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.transform(frame), done)
    with pytest.raises(DataError, match="'price' holds text .'cheap' in row 1"):
        imputer.transform(frame.assign(price="cheap"))
    doubtful = pd.DataFrame({"x": ["1,234", None, "5,678"], "y": [1.0, 2, 3]})
    (note,) = MIRIImputer("mean").fit(doubtful).notes_
    assert "1,234 is taken for 1234, as nothing in the table tells;" in note
    stay = MIRIImputer("mean", kinds={"price": "categorical"}).fit(frame)
    assert stay.columns_[0].kind == "categorical"


def test_times_and_durations_have_bounds(tmp_path):
    rng = np.random.default_rng(0)
    minutes = np.round(rng.exponential(300, 40))
    frame = pd.DataFrame(
        {
            "wait": pd.to_timedelta(minutes, unit="min"),
            "day": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(minutes, unit="D"),
        }
    ).mask(rng.random((40, 2)) < 0.4)
    none = datetime.timedelta(0)
    last = frame["day"].max()
    bounds = {"wait": (none, None), "day": ("2020-01-01", last)}
    imputer = MIRIImputer(
        "chained", random_state=0, settings={"num_iterations": 1, "chains": 1}
    )
    imputer.set_params(bounds=bounds).fit(frame)
    wait, day = imputer.columns_
    assert wait.low == 0 and wait.high > 1e9
    assert (day.low, day.high) == (1577836800, last.timestamp())
    done = imputer.transform(frame)
    assert done["wait"].min() >= none and done["wait"].notna().all()
    assert done["day"].between("2020-01-01", last).all()
    imputer.save(tmp_path / "model")
    loaded = MIRIImputer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.transform(frame), done)
    loaded.set_params(random_state=0).fit(frame)
    pd.testing.assert_frame_equal(loaded.transform(frame), done)
    for kind in ("real", "integer"):
        with pytest.raises(DataError, match="'wait' holds times or durations"):
            MIRIImputer("mean", kinds={"wait": kind}).fit(frame)
    with pytest.raises(DataError, match="'day' is datetime and has no bounds"):
        MIRIImputer("mean", bounds={"day": (0, 1)}).fit(frame)
    with pytest.raises(DataError, match="bounds of column 'day' are"):
        MIRIImputer("mean", bounds={"day": ("soon", None)}).fit(frame)


@pytest.mark.parametrize(
    "cells", [DAY, CLOCK, SPAN], ids=["day", "clock", "span"]
)
def test_new_rows_without_any_cell_get_objects_as_those_of_the_fit(cells):
    frame = pd.DataFrame({"x": REAL, "t": _objects(cells)(True)})
    imputer = MIRIImputer("chained", random_state=0).fit(frame)
    alone = imputer.transform(frame.iloc[4:5])["t"]
    assert type(alone.iloc[0]) is type(cells[0])
    assert alone.iloc[0] == imputer.transform(frame)["t"].iloc[4]


def test_objects_of_an_array_stay_what_they_are():
    cells = [[1, "a", True], [None, "b", None], [3, None, False]]
    array = np.array(cells * 7, dtype=object)
    filled = MIRIImputer("mean").fit_transform(array)
    seen = np.array([[x is not None for x in row] for row in array])
    assert [type(x) for x in filled[seen]] == [type(x) for x in array[seen]]
    assert all(isinstance(x, int) for x in filled[:, 0])
