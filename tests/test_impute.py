"""The command miri-impute: files of all kinds in and out, one-line errors."""

import gzip

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
