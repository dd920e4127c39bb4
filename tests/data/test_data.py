"""Tables: cells come back as they came; what cannot be used is named."""

import csv
import gzip

import numpy as np
import pytest

from miri_jax import data
from miri_jax.data import readers, tables, transforms, uci, writers
from miri_jax.data.dataset import from_table
from miri_jax.data.toy import load_toy, two_gaussians
from miri_jax.exceptions import ConfigError, DataError

CSV = """id,price,size,when,kind
+1,1.50,10,1e-3,b
+3,,12,2e3,a
+4,3.25,NA,,
+9,2.00,9,5E+1,"a, or b"
"""


def _write(tmp_path, text, name="in.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def _read(tmp_path, text, **settings):
    return readers.read_table(_write(tmp_path, text), **settings)


def test_numbers_levels_and_gaps(tmp_path):
    table = _read(tmp_path, CSV, kinds={"kind": "categorical"})
    assert table.encoded_columns() == (
        *("id", "price", "size", "when"),
        *("kind=a", "kind=a, or b", "kind=b"),
    )
    np.testing.assert_array_equal(table.values[:, 1], [1.5, 0, 3.25, 2])
    np.testing.assert_array_equal(table.m[:, 2], [True, True, False, True])
    np.testing.assert_array_equal(
        table.values[:, 4:], [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]]
    )
    assert not table.m[2, 4:].any()


def test_observed_cells_come_back_as_they_came(tmp_path):
    table = _read(tmp_path, CSV, kinds={"kind": "categorical"})
    values = np.where(table.m, table.values, 0.3)
    values[2, 4:] = [0.1, 0.2, 0.9]
    values = tables.settle_table(table, values)
    out = tmp_path / "out.csv"
    writers.write_table(str(out), table, values)
    rows = [line.split(",", 4) for line in out.read_text().splitlines()]
    assert rows[0] == ["id", "price", "size", "when", "kind"]
    assert rows[1] == ["+1", "1.50", "10", "1e-3", "b"]
    # Gaps: with the column's decimals, also beyond what was observed.
    assert rows[2] == ["+3", "0.30", "12", "2e3", "a"]
    assert rows[3] == ["+4", "3.25", "0", "0.3", "b"]
    assert rows[4] == ["+9", "2.00", "9", "5E+1", '"a, or b"']


def test_imputed_numbers_have_the_style_of_their_column(tmp_path):
    text = "whole,cents,small\n1,2.50,1e-5\n90,7.25,2e-5\n,,\n"
    table = _read(tmp_path, text)
    values = table.values.copy()
    values[2] = [41.7, 3.14159, 1.23456789e-5]
    frame = tables.fill_table(table, tables.settle_table(table, values))
    assert list(frame.iloc[2]) == ["42", "3.14", "1.234568e-05"]


def test_filled_tables_hold_only_what_a_file_can(tmp_path):
    text = "a,b,k\n1,2.5,x\n90,7.2,\n,,y\n"
    table = _read(tmp_path, text, kinds={"k": "categorical"})
    loaded = from_table(table)
    far = np.array([[9, 9, 9], [9, 9, 2], [-50, 50, 50]])
    filled = loaded.restore(far)
    np.testing.assert_array_equal(filled[0], table.values[0])  # observed
    np.testing.assert_array_equal(filled[1], [90, 7.2, 1])  # a level
    # Far beyond what was observed, as drawn: nothing bounds it.
    np.testing.assert_allclose(filled[2, :2], [-2180, 122.4], rtol=1e-2)
    table = _read(
        tmp_path,
        text,
        kinds={"k": "categorical"},
        bounds={"a": (0, None), "b": (None, 8.0)},
    )
    bounded = from_table(table).restore(far)
    np.testing.assert_array_equal(bounded[2, :2], [0, 8])
    near = loaded.restore(np.array([[0.0, 0.001, 0.0]] * 3))[2]
    assert list(near[:2]) == [46.0, 4.9]  # 45.5 and 4.852, as they are written


def test_carriage_returns_in_cells_come_back(tmp_path):
    text = 'a,b\n1,"x\ry"\n,"z\r"\n'
    table = _read(tmp_path, text)
    out = tmp_path / "out.csv"
    writers.write_table(str(out), table, table.values)
    with open(out, newline="", encoding="utf-8") as file:
        back = list(csv.reader(file))
    assert [row[1] for row in back] == ["b", "x\ry", "z\r"]


def test_no_negative_zero(tmp_path):
    table = _read(tmp_path, "a\n-1\n1\nNA\n")
    values = tables.settle_table(table, np.array([[-1.0], [1.0], [-0.2]]))
    frame = tables.fill_table(table, values)
    assert frame.iloc[2, 0] == "0"


@pytest.mark.parametrize("name", ["in.tsv", "in.csv.gz", "in.tsv.gz"])
def test_endings(tmp_path, name):
    separator = "\t" if "tsv" in name else ","
    text = f"a{separator}b\n1{separator}2\n{separator}4\n"
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    table = readers.read_table(str(path))
    np.testing.assert_array_equal(table.m, [[True, True], [False, True]])
    out = tmp_path / f"out-{name}"
    writers.write_table(str(out), table, table.values + 0.0)
    np.testing.assert_array_equal(
        readers.read_table(str(out)).values[0], [1, 2]
    )


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_files_in_parts_are_as_in_one(tmp_path, monkeypatch, ending):
    text = 'a,b,c\n1,x,\n,y\n3,"two\nlines",2.5\n4,,7.25\n,x,1\n'
    found = []
    for size in (1, 2, 100):
        monkeypatch.setattr(readers, "CHUNK", size)
        table = _read(tmp_path, text)
        out = tmp_path / f"out{ending}"
        writers.write_table(str(out), table, table.values + 0.0)
        open_ = gzip.open if ending.endswith("gz") else open
        with open_(out, "rt") as file:
            found.append((table.values.tolist(), file.read()))
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) == 5 and found[0][1].count("a,b,c") == 1


def test_a_blank_line_is_a_gap_where_there_is_one_column(tmp_path):
    table = _read(tmp_path, "a\n1\n\n3\n")
    np.testing.assert_array_equal(table.missing[:, 0], [False, True, False])


def test_windows_text_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n,4\r\n")
    table = readers.read_table(str(path))
    assert list(table.frame.columns) == ["a", "b"]
    assert table.missing.sum() == 1


def test_notes_tell_what_is_unusual(tmp_path):
    table = _read(tmp_path, "a,b,c\n1,5,\n2,5,\n,,\n", empty_value=7.0)
    assert table.notes == (
        "column 'b' is constant: its 1 gap(s) get its one value; if an empty"
        " cell means something else, keep the gaps",
        "column 'c' is filled with 7.0",
        "1 row(s) have nothing observed; they are filled with draws that"
        " depend on no cell of theirs",
    )
    frame = tables.fill_table(table, table.values)
    assert list(frame["c"]) == ["7", "7", "7"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3,4\n", "has no header"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ("a,\n1,2\n", "column 2 of .* has no name"),
        ("b\n1\n2\nx\n", r"column 'b' holds text \('x' in row 3\); name it"),
        ("a,b\n1,inf\n", "column 'b' holds an infinite value"),
        # Text, or an infinite value, by the version of pandas.
        ("a,b\n1,1e999\n", "column 'b' holds "),
        ("a,b\n1,\n2,\n", "column 'b' has no observed value"),
        ("a,b\n1,2,3\n", "cannot be read as a table"),
    ],
)
def test_bad_tables_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        _read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_bad_files_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        readers.read_table(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="does not end in"):
        readers.read_table(_write(tmp_path, "a\n1\n", "in.docx"))
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(128, 256)) * 4)
    with pytest.raises(DataError, match="is not text in UTF-8"):
        readers.read_table(str(binary))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        readers.read_table(str(cut))


def test_a_categorical_column_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="'knd', which is not a column"):
        _read(tmp_path, CSV, kinds={"knd": "categorical"})


def test_na_values_can_be_named(tmp_path):
    table = _read(tmp_path, "a,b\n1,-99\n2,5\n", na_values=("-99",))
    np.testing.assert_array_equal(table.m[:, 1], [False, True])


def test_scaler_survives_extremes():
    values = np.array([[1e300, 5.0, 1e-300, 0.0], [-1e300, 5.0, 3e-300, 0.0]])
    m = np.array([[True, True, True, False]] * 2)
    scaler = transforms.fit_scaler(values, m)
    z = transforms.standardise(values, m, scaler)
    assert np.isfinite(z.x).all()
    np.testing.assert_allclose(z.x[:, 0], [1, -1])
    np.testing.assert_allclose(z.x[:, 1], [0, 0])
    np.testing.assert_allclose(z.x[:, 2], [-1, 1], rtol=1e-6)


def test_standardise_and_restore_are_inverse():
    rng = np.random.default_rng(0)
    values = rng.normal(50, [1, 100], (40, 2))
    m = rng.random(values.shape) > 0.3
    scaler = transforms.fit_scaler(values, m)
    z = transforms.standardise(values, m, scaler)
    assert np.all(np.asarray(z.x)[~m] == 0)
    back = transforms.restore(np.asarray(z.x), values, m, scaler)
    np.testing.assert_array_equal(back[m], values[m])  # to the last bit
    mean = np.where(m, values, 0).sum(0) / m.sum(0)
    np.testing.assert_allclose(back[~m], np.broadcast_to(mean, m.shape)[~m])


def test_toy_is_the_papers(key):
    x = np.asarray(two_gaussians(key, 6000))
    low = x[:, 0] < 0
    assert low.sum() == 3000
    for rows, centre in ((low, -2), (~low, 2)):
        np.testing.assert_allclose(x[rows].mean(0), centre, atol=0.04)
        np.testing.assert_allclose(
            np.cov(x[rows].T), 0.25 * np.eye(2), atol=0.02
        )


def test_mean_filling_of_the_toy_scores_as_table_3():
    """MMD 0.336 in Table 3 of the MIRI paper, with its kernel of scale 1."""
    toy = load_toy(mask_seed=3)
    filled = toy.restore(np.zeros(toy.m.shape))
    assert toy.compare(filled)["mmd"] == pytest.approx(0.336, abs=0.01)


def test_uci_reads_features_and_tells_where_to_get_them(tmp_path):
    rows = "\n".join(f"{i},{i * i},{-i}" for i in range(50))
    (tmp_path / "wine.csv.gz").write_bytes(gzip.compress(rows.encode()))
    features = uci.read_uci("wine", str(tmp_path))
    assert features.shape == (50, 2)  # the last column is the target
    loaded = data.load_dataset(
        source="uci", name="wine", folder=str(tmp_path), rate=0.4
    )
    assert loaded.m.shape == (50, 2)
    assert loaded.compare(loaded.truth)["mmd"] == 0
    with pytest.raises(DataError, match="uci_datasets"):
        uci.read_uci("energy", str(tmp_path))
    with pytest.raises(DataError, match="no UCI table 'cars'"):
        uci.read_uci("cars", str(tmp_path))


def test_the_shipped_table_has_its_real_gaps():
    shipped = data.load_dataset(source="table", path="beijing")
    assert len(shipped.m) == 4392
    assert int((~shipped.m).sum()) == 484
    assert shipped.columns[4] == "pm2.5"


def test_unknown_sources_and_absent_paths_are_refused():
    with pytest.raises(ConfigError, match="no data source 'cvs'"):
        data.load_dataset(source="cvs")
    with pytest.raises(DataError, match="give path='IN.csv'"):
        data.load_dataset(source="table", path=None)
