"""The command miri-impute: files of all kinds in and out, one-line errors."""

import gzip
import sys

import numpy as np
import pandas as pd
import pytest

from miri_jax import impute
from miri_jax.exceptions import ConfigError
from tests.command import Command

TEXT = """name,age,sex,day,size
ann,31,f,2024-01-05,S
bob,,m,2024-02-01,L
cyd,47,,,M
dan,52,m,2024-03-09,
eve,,f,2024-01-30,S
"""


def _run(*words, cwd):
    code, _, err = Command("miri_jax.impute", *words, cwd=cwd).end()
    return code, err


def _impute(*words):
    given = impute.make_parser().parse_args([str(word) for word in words])
    impute.impute(given)


def _refused(words, monkeypatch, capsys):
    """Runs the command, which must end in one line; its status and the line."""
    monkeypatch.setattr(sys, "argv", ["miri-impute", *words])
    with pytest.raises(SystemExit) as ended:
        impute.main()
    err = capsys.readouterr().err
    assert err.startswith("error: ") and len(err.strip().splitlines()) == 1
    return ended.value.code, err


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(TEXT, "utf-8")
    return path


def test_the_command_leaves_tables_and_a_report_and_nothing_else(table):
    folder = table.parent
    code, err = _run(
        *("in.csv", "out.csv", "--draws", 2, "--method", "mean"),
        *("--order", "size=S<M<L", "--bounds", "age=0:120"),
        cwd=folder,
    )
    assert code == 0, err
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["in.csv", "out.html", "out_1.csv", "out_2.csv"]
    before = pd.read_csv(table, dtype=str)
    for name in ("out_1.csv", "out_2.csv"):
        after = pd.read_csv(folder / name, dtype=str)
        assert list(after) == list(before) and after.notna().all(axis=None)
        known = before.notna()
        assert (after == before).to_numpy()[known].all()
        assert after["sex"].isin(["f", "m"]).all()
        assert after["age"].str.fullmatch(r"\d+").all()
    page = (folder / "out.html").read_text("utf-8")
    assert "out_1.csv" in page and ".miri" not in page


@pytest.mark.parametrize(
    "ending", [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".feather"]
)
def test_every_ending_goes_in_and_out(tmp_path, ending):
    frame = pd.DataFrame(
        {"a": [1.5, None, 2.25, 4.0], "b": ["x", "y", None, "x"]}
    )
    path, out = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    elif ending == ".feather":
        frame.to_feather(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if "tsv" in ending else ",")
    _impute(path, out, "--method", "mean")
    if ending == ".parquet":
        filled = pd.read_parquet(out)
    elif ending == ".feather":
        filled = pd.read_feather(out)
    else:
        filled = pd.read_csv(out, sep="\t" if "tsv" in ending else ",")
    assert filled.notna().all(axis=None)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)
    np.testing.assert_allclose(filled["a"], [1.5, 2.58, 2.25, 4], atol=0.01)
    if ending.endswith("gz"):
        gzip.decompress(out.read_bytes())


def test_a_format_can_be_changed_on_the_way(table):
    _impute(table, table.with_name("out.parquet"), "--method", "mean")
    filled = pd.read_parquet(table.with_name("out.parquet"))
    assert filled.notna().all(axis=None) and len(filled) == 5


def test_marks_of_missing_and_kinds_can_be_named(table):
    table.write_text("a,code\n1,7\n?,8\n3,\n4,7\n-,8\n", "utf-8")
    out = table.with_name("out.csv")
    settings = ("--na", "?,-", "--categorical", "code", "--method", "mean")
    _impute(table, out, *settings)
    filled = pd.read_csv(out, dtype=str)
    assert list(filled["a"]) == ["1", "3", "3", "4", "3"]
    assert filled["code"][2] in ("7", "8")


def test_a_result_that_is_there_is_kept_without_force(table):
    out = table.with_name("out.csv")
    out.write_text("precious")
    with pytest.raises(ConfigError, match="out.csv is there already"):
        _impute(table, out, "--method", "mean")
    assert out.read_text() == "precious"
    _impute(table, out, "--method", "mean", "--force")
    assert out.read_text() != "precious"


BAD = {
    "no output": (["in.csv"], "required: OUT"),
    "ending": (["in.csv", "out.xls"], "does not end in .csv"),
    "no file": (["none.csv", "o.csv"], "no such file: none.csv"),
    "itself": (["in.csv", "in.csv", "--force"], "is the table itself"),
    "no folder": (["in.csv", "x/o.csv"], "there is no folder"),
    "draws": (["in.csv", "o.csv", "--draws", "0"], "draws is 0"),
    "draws as text": (["in.csv", "o.csv", "--draws", "x"], "invalid int"),
    "method": (["in.csv", "o.csv", "--method", "mirri"], "did you mean 'miri'"),
    "flag": (["in.csv", "o.csv", "--drws", "2"], "--drws"),
    "setting": (
        ["in.csv", "o.csv", "--set", "imputer.num_iteration=2"],
        "did you mean imputer.num_iterations=",
    ),
    "setting's value": (
        ["in.csv", "o.csv", "--set", "imputer.num_steps=many"],
        "imputer.num_steps cannot be 'many'",
    ),
    "column": (["in.csv", "o.csv", "--real", "agee"], "'agee', which is not"),
    "two kinds": (
        ["in.csv", "o.csv", "--real", "age", "--id", "age"],
        "named as id and as real",
    ),
    "text as number": (
        ["in.csv", "o.csv", "--real", "sex"],
        "'sex' holds text",
    ),
    "number as time": (["in.csv", "o.csv", "--datetime", "sex"], "'sex' holds"),
    "id with gaps": (["in.csv", "o.csv", "--id", "sex"], "nothing can fill"),
    "bounds": (["in.csv", "o.csv", "--bounds", "age"], "write NAME=LOW:HIGH"),
    "bounds of text": (["in.csv", "o.csv", "--bounds", "sex=0:1"], "no bounds"),
    "tight bounds": (["in.csv", "o.csv", "--bounds", "age=40:"], "beyond its"),
    "turned bounds": (["in.csv", "o.csv", "--bounds", "age=9:1"], "smaller"),
    "order": (["in.csv", "o.csv", "--order", "size=S"], "write NAME=LEVEL<"),
    "short order": (["in.csv", "o.csv", "--order", "size=S<M"], "add it there"),
    "order's column": (
        ["in.csv", "o.csv", "--order", "z=S<M"],
        "'z', which is",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(table, case, monkeypatch, capsys):
    words, message = BAD[case]
    monkeypatch.chdir(table.parent)
    code, err = _refused(words, monkeypatch, capsys)
    assert code in (1, 2) and message in err
    assert sorted(p.name for p in table.parent.iterdir()) == ["in.csv"]


FILES = {
    "empty": (b"", "is empty"),
    "header only": (b"a,b\n", "no rows"),
    "no header": (b"1,2\n3,4\n", "has no header"),
    "twice": (b"a,a\n1,2\n", "two columns named 'a'"),
    "no name": (b"a,\n1,2\n", "column 2 of in.csv has no name"),
    "mixed": (b"a\n1\n2\nx\n", "column 'a' holds text ('x' in row 3)"),
    "infinite": (b"a,b\n1,inf\n,2\n", "column 'b' holds an infinite value"),
    "too large": (b"a,b\n1,1e999\n,2\n", "column 'b' holds an infinite value"),
    "nothing": (b"a,b\n1,\n2,\n", "column 'b' has no observed value"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "cannot be read as a table"),
    "latin": (b"a,b\n1,caf\xe9\n,2\n", "is not text in UTF-8"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "is not text in UTF-8"),
    "binary": (bytes(range(256)), "in.csv"),
    "ids only": (
        b"a\n" + b"".join(b"u%d\n" % k for k in range(30)),
        "nothing to fill",
    ),
    "quote": (b'a,b\n"1,2\n3,4\n', "cannot be read as a table"),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files_are_one_line(tmp_path, case, monkeypatch, capsys):
    content, message = FILES[case]
    (tmp_path / "in.csv").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    words = ["in.csv", "out.csv", "--method", "mean"]
    code, err = _refused(words, monkeypatch, capsys)
    assert code == 1 and message in err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]
    assert (tmp_path / "in.csv").read_bytes() == content


def test_damaged_typed_files_are_one_line(tmp_path, monkeypatch, capsys):
    for ending in (".parquet", ".feather"):
        (tmp_path / f"in{ending}").write_bytes(b"PAR1 and then nothing")
        monkeypatch.chdir(tmp_path)
        words = [f"in{ending}", "out.csv"]
        _, err = _refused(words, monkeypatch, capsys)
        assert f"cannot be read as {ending[1:]}" in err
