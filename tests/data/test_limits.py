"""Files that unpack to more than there is memory for: one line, in no time."""

import json
import os
import resource
import subprocess
import sys
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from miri_jax.data import limits, packing, readers, writers
from miri_jax.data.readers import read_table
from miri_jax.exceptions import DataError
from tests.command import ROOT


def _sheet(path, text):
    """A workbook whose page holds more rows of text than it has room for."""
    book = openpyxl.Workbook()
    for row in (["a", "b"], [1, None], [None, 2]):
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            end = b"</sheetData>"
            file.writestr(name, part.replace(end, text + end))


def _csv(path):
    with packing.written(str(path)) as file:
        file.write(b"a,b\n" + b"1,\n,2\n" * 10**5)


def _lines(path):
    path.write_text('{"a": 1}\n' * 10**5)


def _xlsx(path):
    _sheet(path, b'<row r="4"><c r="A4"><v>1</v></c></row>' * 10**5)


def _parquet(path):
    cells = pa.array(np.zeros(10**6, "i8"))
    pq.write_table(pa.table({"a": cells, "b": cells}), path)


def _parquet_of_text(path):
    words = pa.array(["x" * 10**6])
    place = pa.array(np.zeros(1000, "i4"))
    text = pa.DictionaryArray.from_arrays(place, words)
    made = pa.table({"a": text, "b": [1.0, None] * 500})
    pq.write_table(made, path, compression="zstd", store_schema=False)


def _feather(path):
    cells = pa.array(np.zeros(10**6, "i8"))
    made = pa.table({"a": cells, "b": cells})
    feather.write_feather(made, path, compression="zstd")


def _sav(path):
    import pyreadstat

    frame = pd.DataFrame({"a": np.zeros(10**5), "b": np.ones(10**5)})
    pyreadstat.write_sav(frame, path, compress=True)


BOMBS = {
    "in.csv": _csv,
    "in.csv.gz": _csv,
    "in.csv.bz2": _csv,
    "in.csv.xz": _csv,
    "in.csv.zst": _csv,
    "in.jsonl": _lines,
    "in.xlsx": _xlsx,
    "in.parquet": _parquet,
    "text.parquet": _parquet_of_text,
    "in.feather": _feather,
    "in.sav": _sav,
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, name):
    path = tmp_path / name
    BOMBS[name](path)
    monkeypatch.setattr(limits, "free_memory", lambda: 10**6)
    # Nothing is read for it.
    for reader in ("read_text", "read_lines", "read_sheet", "_read_typed"):
        monkeypatch.setattr(readers, reader, None)
    with pytest.raises(DataError, match="takes about .* free; leave out rows"):
        read_table(str(path))


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_of_a_damaged_file_are_for_its_reader(tmp_path, name):
    path = tmp_path / name
    BOMBS[name](path)
    content = path.read_bytes()
    for cut in (0, 3, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:cut])
        limits.refuse_too_large(str(path), f".{name.split('.')[1]}")


def test_a_cell_far_away_is_no_reason_to_fill_the_memory(tmp_path):
    path = tmp_path / "in.xlsx"
    _sheet(path, b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    with pytest.raises(DataError, match="17179869184 cells, most of them"):
        read_table(str(path))


_GROWS = """
import sys
from miri_jax.data import limits
limits._free_here = lambda: 2**29
limits._bytes_of = lambda *given: 0
from miri_jax.data.readers import read_table
from miri_jax.exceptions import DataError
try:
    read_table(sys.argv[1])
except DataError as error:
    print(error)
bytearray(2**30)  # Afterwards there is no limit.
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize(
    ("name", "most"),
    [("in.csv", 6 * 10**7), ("in.parquet", 4 * 10**7), ("in.feather", 10**8)],
)
def test_what_grows_unforeseen_ends_in_a_line(tmp_path, name, most):
    path = tmp_path / name
    if name == "in.csv":
        path.write_bytes(b"a,b\n" + b"1,\n" * (most // 2))
    else:
        cells = pa.array(np.zeros(most, "i8"))
        write = pq.write_table if "parquet" in name else feather.write_feather
        write(pa.table({"a": cells, "b": cells}), path, compression="zstd")
    made = subprocess.run(
        [sys.executable, "-c", _GROWS, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "takes more memory than the 537 MB" in made.stdout


def test_a_limit_of_the_process_counts(monkeypatch):
    monkeypatch.setattr(limits, "_free_here", lambda: 10**15)
    taken = limits._number_of("/proc/self/status", "VmSize:")
    monkeypatch.setattr(
        resource,
        "getrlimit",
        lambda kind: (
            taken + 2**31 if kind == resource.RLIMIT_AS else -1,
            -1,
        ),
    )
    if taken:
        assert abs(limits.free_memory() - 2**31) < 2**28


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": ' + "[" * 101 + "]" * 101 + "}", "more than 100 deep"),
        ('{"a": "x", "b": ' + "[" * 10**5, "is no JSON"),
        ('{"a": "\\ud800"}', r"half of a character \(.ud800\)"),
        ('{"\\uD800": 1}', r"half of a character"),
        ('{"a": 1' + "0" * 400 + "}", "a number of 401 digits; call it an id"),
    ],
)
def test_objects_beyond_what_can_be_are_one_line(tmp_path, line, message):
    path = tmp_path / "in.jsonl"
    path.write_text(line + '\n{"a": 2}\n{"a": null}\n')
    with pytest.raises(DataError, match=message):
        read_table(str(path))


def test_brackets_in_text_are_no_depth(tmp_path):
    path = tmp_path / "in.jsonl"
    cells = ["[" * 200, '"{' * 200 + "\\", "\U0001f600"]
    lines = [json.dumps({"a": cell, "b": k}) for k, cell in enumerate(cells)]
    path.write_text("\n".join(lines))
    assert list(read_table(str(path)).source.cells["a"]) == cells


def _cannot(path, text):
    path.write_text(text)
    return read_table(str(path))


@pytest.mark.parametrize(
    ("text", "output", "message"),
    [
        ("a,b\nx\x01,1\ny,\n", "out.xlsx", "out.xlsx cannot hold this table"),
        ("a b-c,2\nx,1\ny,\n", "out.sav", "cannot be written: variable name"),
    ],
)
@pytest.mark.parametrize("long", [False, True])
def test_what_a_kind_of_file_cannot_hold_is_said_before_a_fit(
    tmp_path, text, output, message, long
):
    table = _cannot(tmp_path / "in.csv", text)
    with pytest.raises(DataError, match=message) as error:
        writers.check_writable(table, str(tmp_path / output), long)
    # It is the name of what was asked for, not of the trial.
    assert str(error.value).startswith(str(tmp_path / output))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_what_a_sheet_has_no_room_for_is_said_before_a_fit(tmp_path):
    names = ",".join(f"c{k}" for k in range(20))
    table = _cannot(tmp_path / "in.csv", f"{names}\n{'1,' * 19}\n{',1' * 19}\n")
    many = table._replace(frame=pd.DataFrame(np.zeros((2, 2**14 + 1))))
    with pytest.raises(DataError, match="2 rows and 16385 columns"):
        writers.check_writable(many, "out.xlsx")
    writers.check_writable(table, "out.xlsx")
