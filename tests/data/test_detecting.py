"""What columns are taken for, and what stays as it came."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miri_jax.app import impute
from miri_jax.data.detecting import check_times, detect, is_name
from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import DataError

N = 120
RNG = np.random.default_rng(0)
TOWNS = RNG.choice(np.arange(10115, 99998, 37), 30, replace=False)
# Numbers that are names, by what they are.
CODES = {
    "towns": RNG.choice(TOWNS, N),
    "products": RNG.choice([100, 205, 310, 999], N),
    "dose": RNG.choice([10, 20, 25], N),
    "person_id": np.repeat(np.arange(N // 4), 4) * 7 + 3,
    "ICD code": RNG.choice([1, 2, 3, 7], N),
    "zip": RNG.choice(np.arange(1000, 1010), N),
}
# Numbers that are measured or counted.
NUMBERS = {
    "year": RNG.integers(1985, 2021, N),
    "pressure": RNG.normal(130, 15, N).round(),
    "income": RNG.lognormal(10, 0.5, N).round(-2),
    "visits": RNG.poisson(3, N),
    "grams": RNG.normal(3300, 400, N).round(),
    "paid": RNG.integers(100, 999, N),
}


def _with_gaps(values, share=0.25):
    series = pd.Series(values, dtype=object)
    series[np.random.default_rng(1).random(len(series)) < share] = None
    return series


@pytest.mark.parametrize(
    "name, method", [*((name, "mean") for name in CODES), ("dose", "chained")]
)
def test_codes_are_filled_with_values_that_occur(name, method):
    cells = pd.to_numeric(_with_gaps(CODES[name])).astype("Int64")
    frame = pd.DataFrame({name: cells, "x": RNG.normal(size=N)})
    imputer = MIRIImputer(method, random_state=0).fit(frame)
    filled = imputer.transform(frame)[name]
    assert filled.notna().all()
    assert set(filled) <= set(cells.dropna())
    said = [n.about for n in imputer.notes_ if "taken for codes" in n]
    assert said == (
        [] if name in ("dose", "products") else [{"categorical": name}]
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_no_codes(name):
    values = pd.Series(NUMBERS[name])
    found = detect(name, values, np.zeros(N, bool))
    assert (found.kind, found.codes) == ("integer", False)


@pytest.mark.parametrize(
    "name, names",
    [
        ("patient_id", True),
        ("ID", True),
        ("customerId", True),
        ("ZIP code", True),
        ("plz", True),
        ("paid", False),
        ("humidity", False),
        ("x", False),
        (3, False),
    ],
)
def test_names_of_codes_are_known_by_their_words(name, names):
    assert is_name(name) == names


def _unfillable():
    """Columns that nothing can fill, with gaps and without."""
    words = [f"patient called, letter {k}" for k in range(N)]
    gaps = np.arange(N) % 5 == 2
    clock = [datetime.time(k % 24, k % 60) for k in range(N)]
    columns = {
        "note": words,
        "number": [*range(1001, 1001 + N)],
        "lab_id": list(RNG.permutation(N) * 13 + 50000),
        "list": [[k, k + 1] for k in range(N)],
        "bytes": [bytes([k]) for k in range(N)],
        "clock": clock,
        "pair": [{"a": k} for k in range(N)],
    }
    made = {}
    for name, cells in columns.items():
        made[name] = pa.array(cells)
        made[f"{name}, gaps"] = pa.array(
            [None if gap else cell for cell, gap in zip(cells, gaps)],
            made[name].type,
        )
    made["for"] = pa.array([datetime.timedelta(k) for k in range(N)])
    x = [None if k % 3 == 1 else float(k % 7) for k in range(N)]
    return pa.table({**made, "x": pa.array(x), "s": ["u", "v"] * (N // 2)})


def _assert_kept(before, after, clock=None):
    assert before.column_names == after.column_names
    for name in before.column_names:
        assert before[name].type == after[name].type, name
        if name == clock:
            assert after[name].null_count == 0
        elif name != "x":
            assert before[name].to_pylist() == after[name].to_pylist(), name
    assert after["x"].null_count == 0


@pytest.mark.parametrize("stream", [False, True])
def test_what_nothing_can_fill_is_kept_by_the_command(tmp_path, stream):
    table = _unfillable()
    source, target = (str(tmp_path / f"{x}.parquet") for x in ("in", "out"))
    pq.write_table(table, source)
    words = [source, target, "--method", "mean", *["--stream"] * stream]
    impute.impute(impute.make_parser().parse_args(words))
    _assert_kept(table, pq.read_table(target), "clock, gaps")


def test_what_nothing_can_fill_is_kept_by_the_estimator():
    frame = _unfillable().to_pandas()
    imputer = MIRIImputer("mean", random_state=0).fit(frame)
    filled = imputer.transform(frame)
    assert filled["clock, gaps"].notna().all()
    for name in frame.columns.drop(["x", "clock, gaps"]):
        pd.testing.assert_series_equal(filled[name], frame[name])
    assert filled["x"].notna().all()
    new = imputer.transform(frame.iloc[7:9])
    pd.testing.assert_series_equal(new["note, gaps"], frame["note, gaps"][7:9])
    said = [note for note in imputer.notes_ if "'note, gaps'" in note]
    assert "24 gap(s) too" in said[0]
    assert said[0].about == {"categorical": "note, gaps"}


def test_a_kind_fills_what_would_be_kept():
    notes = _with_gaps([f"note {k}" for k in range(N)])
    frame = pd.DataFrame({"note": notes, "x": RNG.normal(size=N)})
    for kind, kept in (("categorical", 0), ("id", notes.isna().sum())):
        imputer = MIRIImputer("mean", kinds={"note": kind}).fit(frame)
        assert imputer.transform(frame)["note"].isna().sum() == kept


def test_a_dry_run_says_what_is_about_to_be_done(tmp_path, capsys):
    rows = ["id,zip,note,net,gross,sex,when"]
    for k in range(N):
        net = "" if k == 3 else k
        gross = "" if k in (3, 4) else 2 * k
        zip_code = "" if k % 9 == 1 else TOWNS[k % 30]
        note = "" if k % 2 else f"note {k}"
        rows.append(f"p{k},{zip_code},{note},{net},{gross},{'mf'[k % 2]},")
        rows[-1] += "" if k % 4 == 3 else f"2024-01-{k % 28 + 1:02d}"
    path = tmp_path / "in.csv"
    path.write_text("\n".join(rows) + "\n")
    before = set(tmp_path.iterdir())
    words = [str(path), "--dry-run", "--method", "chained"]
    words += ["--formula", "gross = 2 * net", "--only-if", "when: sex == 'm'"]
    impute.impute(impute.make_parser().parse_args(words))
    lines = capsys.readouterr().out.splitlines()
    assert set(tmp_path.iterdir()) == before
    assert lines[0].split() == ["column", "taken", "for", "gaps", "filled"] + [
        "because"
    ]
    found = {line.split()[0]: line for line in lines[1:]}
    assert len(found) == 7 and all(len(line) < 120 for line in lines)
    assert "(else --categorical note)" in found["note"]
    assert " 60  kept empty " in found["note"]
    assert "(else --categorical zip)" in found["zip"]
    assert " by chained " in found["zip"]
    assert " 1 by chained, 1 by arithmetic" in found["gross"]
    assert " by chained, or empty " in found["when"]
    assert found["sex"].split()[1:3] == ["categorical", "0"]


@pytest.mark.parametrize("count, kind", [(5, "categorical"), (12, "id")])
def test_a_few_notes_that_are_all_others_are_kept(count, kind):
    cells = pd.Series(
        [f"see file {k}" if k < count else None for k in range(60)]
    )
    assert detect("notes", cells, cells.isna().to_numpy()).kind == kind
    # Of a table of so many rows nothing is known.
    few = cells[:count]
    assert detect("name", few, np.zeros(count, bool)).kind == "categorical"


def test_times_are_refused_of_what_is_none():
    for cells, first in (
        ([20200131.0, None], r"a number \(20200131.0 in row 1\)"),
        (pd.array([None, 5], "Int64"), r"a number \(5 in row 2\)"),
        (["2020-01-31", "soon"], r"text \('soon' in row 2\)"),
    ):
        values = pd.Series(cells)
        with pytest.raises(DataError, match=f"holds {first}, which is no"):
            check_times("a", values, values.isna().to_numpy())
    for cells in (
        pd.to_datetime(["2020-01-31", None]),
        [datetime.date(2020, 1, 31), None],
        [None, None],
    ):
        values = pd.Series(cells)
        check_times("a", values, values.isna().to_numpy())


def test_whole_numbers_that_floats_do_not_tell_apart_are_names():
    few = 2**60 + np.arange(60) % 5
    for values in (
        pd.Series(few),
        pd.Series(few.astype(np.uint64)),
        pd.Series(few, dtype="Int64"),
        pd.Series([2**70 + int(k) for k in few % 5], dtype=object),
    ):
        found = detect("a", values, np.zeros(60, bool))
        assert found.kind == "categorical" and "2^53" in found.why
    for values in (few // 2**20, 2**59 * (np.arange(60) % 5)):
        found = detect("a", pd.Series(values), np.zeros(60, bool))
        assert found.kind in ("integer", "real")
