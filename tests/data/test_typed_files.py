"""Parquet and Feather files of any writer: every cell and type comes back."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from miri_jax.app import streaming
from miri_jax.data import readers, tables, writers
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError

N = 40


def _typed():
    """A table with a column of each type, no two of which are alike."""
    rng = np.random.default_rng(0)
    days = [datetime.date(2024, 1, 1 + k % 28) for k in range(N)]
    micro = datetime.timedelta(microseconds=7)
    columns = {
        "large": pa.array([2**60 + k * k for k in range(N)], pa.int64()),
        "small": pa.array([k * k % 17 - 5 for k in range(N)], pa.int8()),
        "unsigned": pa.array([2**63 + k * k for k in range(N)], pa.uint64()),
        "real": pa.array(rng.normal(size=N), pa.float64()),
        "single": pa.array(rng.normal(size=N), pa.float32()),
        "yes": pa.array(rng.random(N) > 0.5, pa.bool_()),
        "text": pa.array([f"t{k % 3}" for k in range(N)], pa.string()),
        "level": pa.array(
            [f"t{k % 4}" for k in range(N)], pa.string()
        ).dictionary_encode(),
        "day": pa.array(days, pa.date32()),
        "time": pa.array(
            [datetime.datetime(2024, 1, d.day) + d.day * micro for d in days],
            pa.timestamp("us"),
        ),
        "zoned": pa.array(
            [datetime.datetime(2024, 1, d.day, 5) for d in days],
            pa.timestamp("us", "Europe/Rome"),
        ),
        "money": pa.array(
            [decimal.Decimal(k * k) / 100 for k in range(N)],
            pa.decimal128(10, 2),
        ),
    }
    hidden = rng.random((N, len(columns))) < 0.3
    hidden[:2] = False
    for j, (name, column) in enumerate(columns.items()):
        gaps = pa.array(hidden[:, j])
        columns[name] = pa.compute.if_else(
            gaps, pa.scalar(None, column.type), column
        )
    return pa.table(columns)


def _assert_filled(filled, table):
    assert filled.column_names == table.column_names
    for name in table.column_names:
        before, after = table[name].to_pylist(), filled[name].to_pylist()
        assert None not in after, name
        for old, new in zip(before, after):
            assert old is None or (old == new and type(old) is type(new)), name
        assert filled[name].type == table[name].type, name


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_every_type_comes_back(tmp_path, ending):
    table = _typed()
    write = pq.write_table if ending == "parquet" else feather.write_feather
    read = pq.read_table if ending == "parquet" else feather.read_table
    write(table, str(tmp_path / f"in.{ending}"))
    found = readers.read_table(str(tmp_path / f"in.{ending}"))
    out = str(tmp_path / f"out.{ending}")
    writers.write_table(
        out, found, tables.settle_table(found, found.values.copy())
    )
    _assert_filled(read(out), table)
    kinds = {column.name: column.kind for column in found.columns}
    assert kinds["day"] == kinds["time"] == kinds["zoned"] == "datetime"
    assert kinds["small"] == "integer" and kinds["money"] == "real"


@pytest.mark.parametrize("far", [-1e305, 1e305])
@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_every_type_holds_what_is_imputed_however_far(tmp_path, ending, far):
    """What no type bounds is as it was drawn; all else ends with its type."""
    nano = pa.array([123456789 * k for k in range(N)], pa.timestamp("ns"))
    gap = pa.scalar(None, nano.type)
    nano = pa.compute.if_else(
        pa.array([k % 3 == 2 for k in range(N)]), gap, nano
    )
    table = _typed().append_column("nano", nano)
    write = pq.write_table if ending == "parquet" else feather.write_feather
    read = pq.read_table if ending == "parquet" else feather.read_table
    write(table, str(tmp_path / f"in.{ending}"))
    found = readers.read_table(str(tmp_path / f"in.{ending}"))
    values = np.where(found.m, found.values, far)
    out = str(tmp_path / f"out.{ending}")
    writers.write_table(out, found, tables.settle_table(found, values))
    filled = read(out)
    _assert_filled(filled, table)
    gaps = found.missing[:, table.column_names.index("real")]
    assert (filled["real"].to_numpy()[gaps] == far).all()
    assert np.isfinite(filled["single"].to_numpy()).all()


def test_every_type_comes_back_of_a_streamed_file(tmp_path):
    table = _typed()
    pq.write_table(table, tmp_path / "in.parquet")
    streaming.impute_parquet(
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        MIRIImputer("mean", random_state=0),
        part_rows=16,
    )
    _assert_filled(pq.read_table(tmp_path / "out.parquet"), table)


def test_every_type_comes_back_of_a_polars_frame():
    table = _typed().append_column(
        "nano",
        pa.array([123456789 * (k + 1) for k in range(N)], pa.timestamp("ns")),
    )
    frame = pl.from_arrow(table)
    filled = MIRIImputer("mean", random_state=0).fit(frame).transform(frame)
    assert filled.schema == frame.schema
    for name in frame.columns:
        assert filled[name].null_count() == 0
        same = filled[name].cast(pl.String) == frame[name].cast(pl.String)
        assert same.drop_nulls().all(), name


@pytest.mark.parametrize("stream", [False, True])
def test_an_index_is_no_column_and_stays(tmp_path, stream):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    frame.loc[::7, "a"] = np.nan
    frame = frame[frame.b < 1]
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame.to_parquet(path)
    if stream:
        streaming.impute_parquet(path, out, MIRIImputer("mean"), part_rows=16)
    else:
        table = readers.read_table(str(path))
        assert len(table.columns) == 2
        writers.write_table(str(out), table, table.values)
    filled = pd.read_parquet(out)
    pd.testing.assert_index_equal(filled.index, frame.index)
    assert list(filled) == ["a", "b"] and filled.notna().all(axis=None)


def test_an_index_with_a_name_is_a_column_of_text(tmp_path):
    frame = pd.DataFrame({"a": [1.0, None, 3.0]}, index=["x", "y", "z"])
    frame.index.name = "who"
    frame.to_parquet(tmp_path / "in.parquet")
    table = readers.read_table(str(tmp_path / "in.parquet"))
    writers.write_table(str(tmp_path / "out.csv"), table, table.values)
    assert list(pd.read_csv(tmp_path / "out.csv")) == ["who", "a"]


def test_a_number_that_means_missing_is_found_among_numbers(tmp_path):
    frame = pd.DataFrame({"a": [1, -99, 3, 4], "b": [0.5, -99.0, 1.5, 2.5]})
    frame.to_parquet(tmp_path / "in.parquet")
    table = readers.read_table(
        str(tmp_path / "in.parquet"), na_values=(*readers.NA_VALUES, "-99")
    )
    np.testing.assert_array_equal(table.missing[:, 0], [0, 1, 0, 0])
    np.testing.assert_array_equal(table.missing[:, 1], [0, 1, 0, 0])


def test_bounds_beyond_a_type_are_refused():
    frame = pd.DataFrame({"a": np.array([1, 2, -99], np.int8)})
    imputer = MIRIImputer("mean", missing_values=[-99], bounds={"a": (0, 1000)})
    with pytest.raises(DataError, match="bound 1000 of column 'a' .* int8"):
        imputer.fit(frame)


def test_the_largest_whole_numbers_do_not_wrap():
    last = 2**63 - 1
    frame = pd.DataFrame({"a": pd.array([last, None, last], "Int64")})
    filled = MIRIImputer("mean").fit(frame).transform(frame)
    assert filled["a"].tolist()[::2] == [last, last]
    assert last - 2048 < filled["a"].iloc[1] <= last


def test_a_column_of_no_type_is_filled_as_asked(tmp_path):
    table = pa.table({"a": [1.0, None, 2.0], "b": pa.nulls(3)})
    pq.write_table(table, tmp_path / "in.parquet")
    found = readers.read_table(str(tmp_path / "in.parquet"), empty_value=0.5)
    writers.write_table(str(tmp_path / "o.parquet"), found, found.values)
    assert pq.read_table(tmp_path / "o.parquet")["b"].to_pylist() == [0.5] * 3


def test_text_gets_types_where_a_file_has_them(tmp_path):
    text = "n,x,day,word\n1,1.50,2024-01-05,a\n,2,2024-01-06,007\n 3,,,b\n"
    (tmp_path / "in.csv").write_text(text)
    found = readers.read_table(str(tmp_path / "in.csv"))
    writers.write_table(str(tmp_path / "o.parquet"), found, found.values)
    made = pd.read_parquet(tmp_path / "o.parquet")
    kinds = [made[name].dtype.kind for name in ("n", "x", "day")]
    assert kinds == ["i", "f", "M"] and made["word"].tolist()[1] == "007"
    assert made["n"].tolist()[::2] == [1, 3] and made["x"].tolist()[0] == 1.5


def test_decimals_of_hundreds_stay_such(tmp_path):
    cells = [None if k % 5 == 2 else decimal.Decimal(k * 100) for k in range(N)]
    kind = pa.decimal128(5, -2)
    table = pa.table({"d": pa.array(cells, kind), "x": np.arange(N) % 7})
    path, out = (str(tmp_path / f"{x}.feather") for x in ("in", "out"))
    feather.write_feather(table, path)
    found = readers.read_table(path)
    values = np.where(
        found.m, found.values, found.values[found.m[:, 0], 0].mean()
    )
    writers.check_writable(found, out)
    writers.write_table(out, found, tables.settle_table(found, values))
    _assert_filled(feather.read_table(out), table)


def test_durations_periods_and_clocks_of_files_are_filled(tmp_path):
    """They were kept, gaps too, where frames had them filled."""
    times = [datetime.time(k % 24, k % 60) for k in range(N)]
    spans = [datetime.timedelta(minutes=k * k % 91) for k in range(N)]
    frame = pd.DataFrame(
        {
            "t": pa.array(times).to_pandas(),
            "s": pd.Series(spans),
            "p": pd.period_range("2020-01", periods=N, freq="M"),
            "x": np.arange(N) % 7,
        }
    )
    gaps = np.arange(N) % 4 == 1
    for name in "tsp":
        frame[name] = frame[name].mask(gaps)
    for ending in ("parquet", "feather"):
        path, out = (str(tmp_path / f"{x}.{ending}") for x in ("in", "out"))
        getattr(frame, f"to_{ending}")(path)
        found = readers.read_table(path)
        kinds = [column.kind for column in found.columns]
        assert kinds == ["datetime"] * 3 + ["integer"]
        filled = tables.settle_table(found, found.values.copy())
        writers.write_table(out, found, filled)
        done = getattr(pd, f"read_{ending}")(out)
        assert done.notna().all(axis=None)
        pd.testing.assert_frame_equal(
            done[~gaps], frame[~gaps], check_dtype=False
        )
        assert {type(x) for x in done["t"]} == {datetime.time}
