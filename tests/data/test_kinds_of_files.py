"""Workbooks, JSON lines, files of statistics programs, packed files, pipes."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import sys
import types

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from miri_jax.app import impute
from miri_jax.data import extras, readers, tables, writers
from miri_jax.exceptions import ConfigError, DataError

N = 30
DAYS = [datetime.datetime(2024, 1, 1) + datetime.timedelta(k) for k in range(N)]


def _impute(*words, method="mean"):
    words = [*map(str, words), "--method", method]
    impute.impute(impute.make_parser().parse_args(words))


def _records():
    """Rows of each type of cell, with gaps in all columns but the first."""
    rows = [
        {
            "who": f"p{k:02d}",
            "age": 20 + k * 7 % 50,
            "mark": 1.5 + k % 4,
            "sex": "mf"[k % 2],
            "yes": k % 3 == 0,
            "day": DAYS[k],
            "text": f"{k % 9},5",
            "list": [k],
        }
        for k in range(N)
    ]
    for k, row in enumerate(rows):
        for j, name in enumerate(list(row)[1:-1]):
            if (k + j) % 7 == 3:
                row[name] = None
    return rows


def _assert_filled(before, after):
    """Cells as they came, and gaps filled with cells of the same type."""
    assert list(before) == list(after)
    for name in before:
        types_of = {type(x) for x in before[name] if x is not None}
        for old, new in zip(before[name], after[name], strict=True):
            if old is not None:
                assert new == old and type(new) is type(old), name
            else:
                assert type(new) in types_of, (name, new)


def _columns(rows, names):
    return {name: [row[name] for row in rows] for name in names}


@pytest.fixture
def workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    notes = book.active
    notes.title, notes["A1"] = "Read me", "=1+1"
    sheet = book.create_sheet("Data")
    sheet.append(["Export of station 7"])
    sheet.append([])
    rows = _records()
    names = [name for name in rows[0] if name != "list"]
    sheet.append(names)
    for row in rows:
        sheet.append([row[name] for name in names])
    sheet["C8"].value = "n/a"  # row 5 of the table
    for k in range(N):
        sheet.cell(4 + k, 6).number_format = "General"
        if rows[k]["day"]:
            sheet.cell(4 + k, 6).number_format = "dd.mm.yyyy"
    sheet["B4"].font = openpyxl.styles.Font(bold=True)
    path = tmp_path / "in.xlsx"
    book.save(path)
    rows[4]["mark"] = None
    return path, _columns(rows, names)


def _read_book(path, sheet="Data", top=3):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(path)
    rows = list(book[sheet].iter_rows(min_row=top, values_only=True))
    columns = {name: list(x) for name, *x in zip(*rows)}
    return book, columns


def test_a_workbook_comes_back_with_its_gaps_filled(workbook, tmp_path):
    path, before = workbook
    out = tmp_path / "out.xlsx"
    _impute(path, out, "--sheet", "Data")
    book, after = _read_book(out)
    # Excel has one type of numbers.
    after["mark"] = [float(x) for x in after["mark"]]
    _assert_filled(before, after)
    sheet = book["Data"]
    assert book["Read me"]["A1"].value == "=1+1"
    assert sheet["A1"].value == "Export of station 7" and sheet["B4"].font.b
    assert {sheet.cell(4 + k, 6).number_format for k in range(N)} == {
        "dd.mm.yyyy"
    }
    assert isinstance(after["age"][3], int) and "," in after["text"][6]


def test_the_first_sheet_is_said_to_be_taken(workbook, tmp_path, capfd):
    path, _ = workbook
    with pytest.raises(DataError, match="is empty"):
        _impute(path, tmp_path / "out.xlsx")
    with pytest.raises(DataError, match="no sheet 'x'; there are Read me, D"):
        _impute(path, tmp_path / "out.xlsx", "--sheet", "x")
    _impute(path, tmp_path / "out.csv", "--sheet", "2")
    found = pd.read_csv(tmp_path / "out.csv")
    assert found.notna().all(axis=None) and found["yes"].dtype == bool
    assert "1 row(s) above its header" in capfd.readouterr().err


def test_formulas_without_a_value_are_no_gaps(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["a", "b"], [1, "=A2*2"], [2, None], [3, 4]):
        book.active.append(row)
    book.save(tmp_path / "in.xlsx")
    with pytest.raises(DataError, match="column 'b' .* formula .* in row 2"):
        _impute(tmp_path / "in.xlsx", tmp_path / "out.xlsx")


def _plain(x):
    return x.date().isoformat() if isinstance(x, datetime.datetime) else x


def test_json_lines_come_back_with_their_gaps_filled(tmp_path):
    rows = [{k: _plain(x) for k, x in row.items()} for row in _records()]
    lines = [json.dumps(row) for row in rows]
    # A name that is not there is a gap as null is.
    lines[3] = json.dumps({k: x for k, x in rows[3].items() if x is not None})
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("\n".join(lines) + "\n\n", "utf-8")
    _impute(path, out)
    found = [json.loads(x) for x in out.read_text("utf-8").splitlines()]
    names = list(rows[0])
    _assert_filled(_columns(rows, names), _columns(found, names))
    assert isinstance(found[3]["age"], int) and len(found) == N
    with pytest.raises(DataError, match="line 1 of .* is no object"):
        (tmp_path / "no.jsonl").write_text("[1, 2]\n")
        _impute(tmp_path / "no.jsonl", tmp_path / "no.csv")


FRAME = pd.DataFrame(
    {
        "x": [1.5, None, 2.5, 4.0, 3.5, 1.0],
        "k": pd.array([1, 2, None, 4, 5, 5], "Int64"),
        "s": ["a", "b", "a", None, "b", "a"],
        "day": pd.to_datetime([*["2024-01-02", "2024-02-03"] * 2, None, None]),
    }
)


KINDS = ["csv", "jsonl", "xlsx", "parquet", "sav", "dta"]


@pytest.mark.parametrize("of", KINDS)
def test_every_kind_of_file_becomes_every_other(tmp_path, of):
    pytest.importorskip("openpyxl")
    pyreadstat = pytest.importorskip("pyreadstat")
    path = tmp_path / f"in.{of}"
    if of == "jsonl":
        days = FRAME.assign(day=FRAME["day"].dt.strftime("%Y-%m-%d"))
        days.to_json(path, orient="records", lines=True)
    elif of in ("sav", "dta"):
        plain = FRAME.assign(k=FRAME["k"].astype(float))
        plain["s"] = plain["s"].astype(object)
        getattr(pyreadstat, f"write_{of}")(plain, str(path))
    elif of == "csv":
        FRAME.to_csv(path, index=False)
    else:
        write = FRAME.to_excel if of == "xlsx" else FRAME.to_parquet
        write(path, index=False)
    table = readers.read_table(str(path))
    filled = tables.settle_table(table, table.values.copy())
    for to in KINDS:
        out = tmp_path / f"out.{to}"
        writers.write_table(str(out), table, filled)
        found = _read(out)
        assert list(found) == list(FRAME) and found.notna().all(axis=None)
        for name in ("x", "k"):
            known = FRAME[name].notna()
            assert (found[name][known] == FRAME[name][known]).all()
        assert found["s"].iloc[:3].tolist() == ["a", "b", "a"]
        days = pd.to_datetime(found["day"]).iloc[:4]
        assert (days == FRAME["day"].iloc[:4]).all()


def _read(path):
    if path.suffix in (".sav", ".dta"):
        import pyreadstat

        return getattr(pyreadstat, f"read_{path.suffix[1:]}")(str(path))[0]
    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True)
    kind = {".csv": "csv", ".xlsx": "excel", ".parquet": "parquet"}
    return getattr(pd, f"read_{kind[path.suffix]}")(path)


def test_labels_of_spss_stay_and_tell_kinds(tmp_path):
    pyreadstat = pytest.importorskip("pyreadstat")
    rng = np.random.default_rng(0)
    region = rng.choice([1.0, 2.0, 9.0], 60)
    agree = rng.choice([1.0, 2.0, 3.0], 60)
    frame = pd.DataFrame({"region": region, "agree": agree, "age": region * 7})
    frame.loc[3:8, "region"], frame.loc[5:20, "agree"] = None, None
    frame.loc[9, "age"] = 99.0
    labels = {
        "region": {1.0: "north", 2.0: "south", 9.0: "abroad"},
        "agree": {1.0: "no", 2.0: "so so", 3.0: "yes"},
    }
    given = dict(
        column_labels={"region": "Where?", "agree": "Agree?", "age": None},
        variable_value_labels=labels,
        variable_measure=dict(region="nominal", agree="ordinal", age="scale"),
        missing_ranges={"age": [99.0]},
    )
    path, out = tmp_path / "in.sav", tmp_path / "out.sav"
    pyreadstat.write_sav(frame, str(path), **given)
    _impute(path, out, "--draws", "1")
    found, meta = pyreadstat.read_sav(str(out), user_missing=True)
    assert found.notna().all(axis=None) and found["age"][9] < 64
    assert set(found["region"]) == {1, 2, 9} and set(found["agree"]) <= {
        1,
        2,
        3,
    }
    assert (found["region"].iloc[9:] == region[9:]).all()
    assert meta.missing_ranges == {"age": [{"lo": 99.0, "hi": 99.0}]}
    assert meta.variable_value_labels == labels
    assert meta.column_names_to_labels["region"] == "Where?"
    assert meta.variable_measure["agree"] == "ordinal"


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda x: pa.compress(x, "zstd", asbytes=True),
}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_packed_files_come_back_packed(tmp_path, packed, ending):
    plain = b"a;b\n1,5;x\n;x\n2,5;\n"
    if ending == ".jsonl":
        plain = b'{"a": 1.5, "b": "x"}\n{"a": null}\n'
    path, out = (tmp_path / f"{x}{ending}{packed}" for x in ("in", "out"))
    path.write_bytes(PACK[packed](plain))
    if packed == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(plain)
    _impute(path, out)
    first = out.read_bytes()
    _impute(path, out, "--force")
    assert out.read_bytes() == first
    unpack = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if packed == ".zst":
        with pa.input_stream(str(out), compression="zstd") as file:
            text = file.read()
    else:
        text = unpack[packed](out).read()
    if ending == ".csv":
        assert text == b"a;b\n1,5;x\n2,0;x\n2,5;x\n"
    else:
        assert json.loads(text.splitlines()[1]) == {"a": 1.5, "b": "x"}
    with pytest.raises(DataError, match="does not end in"):
        _impute(path, tmp_path / f"out.parquet{packed}")


def _pipe(monkeypatch, content):
    out = io.BytesIO()
    out.close = lambda: None
    wrap = lambda buffer: types.SimpleNamespace(buffer=buffer, write=print)
    monkeypatch.setattr(sys, "stdin", wrap(io.BytesIO(content)))
    monkeypatch.setattr(sys, "stdout", wrap(out))
    return out


def test_tables_come_from_stdin_and_go_to_stdout(monkeypatch):
    out = _pipe(monkeypatch, b"a;b\n1,5;x\n;x\n2,5;\n")
    _impute("-", "-")
    assert out.getvalue() == b"a;b\n1,5;x\n2,0;x\n2,5;x\n"
    out = _pipe(monkeypatch, b'{"a": 1}\n{"a": null}\n{"a": 1}\n')
    _impute("-", "-")
    assert out.getvalue().count(b'{"a": 1}') == 3
    _pipe(monkeypatch, b"\n")
    with pytest.raises(DataError, match="nothing came from stdin"):
        _impute("-", "-")
    with pytest.raises(ConfigError, match="add --long"):
        _impute("-", "-", "--draws", "2")


@pytest.mark.parametrize("ending", ["csv", "parquet", "xlsx"])
def test_all_draws_in_one_file(tmp_path, ending):
    if ending == "xlsx":
        pytest.importorskip("openpyxl")
    path, out = tmp_path / "in.csv", tmp_path / f"out.{ending}"
    rng = np.random.default_rng(0)
    rows = [f"{x:.2f};{'ab'[k % 2]}" for k, x in enumerate(rng.normal(size=30))]
    rows[4], rows[7] = ";a", "1,5;"
    path.write_text("x;s\n" + "\n".join(rows).replace(".", ",") + "\n")
    _impute(path, out, "--draws", "3", "--long", method="chained")
    assert sorted(p.suffix for p in tmp_path.iterdir()) == sorted(
        [".csv", f".{ending}", ".html"]
    )
    kind = {"csv": "csv", "parquet": "parquet", "xlsx": "excel"}[ending]
    found = getattr(pd, f"read_{kind}")(out)
    assert list(found) == ["draw", "x", "s"] and len(found) == 90
    assert found["draw"].tolist() == [1] * 30 + [2] * 30 + [3] * 30
    assert found.notna().all(axis=None)
    drawn = found["x"][[4, 34, 64]]
    assert drawn.nunique() > 1 and found["x"][7::30].nunique() == 1
    path.write_text("draw,x\n1,2\n,3\n")
    with pytest.raises(DataError, match="has a column 'draw'"):
        _impute(path, tmp_path / "o.csv", "--long")


def test_what_is_not_installed_is_named_with_its_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"pip install 'miri_jax\[excel\]'"):
        extras.needed("openpyxl", "excel", "in.xlsx")


def test_what_nothing_writes_is_refused_before_a_fit(tmp_path):
    (tmp_path / "in.csv").write_text("a\n1\n\n2\n")
    with pytest.raises(DataError, match="nothing writes .sas7bdat files"):
        _impute(tmp_path / "in.csv", tmp_path / "out.sas7bdat")
