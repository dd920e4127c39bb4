"""Files with odd names, of every kind: read and written, or refused at once."""

import os
import pathlib

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.data.readers import read_table
from miri_jax.data.writers import write_long, write_table
from miri_jax.endings import ENDINGS, PACKED, READ_ONLY
from miri_jax.exceptions import ConfigError
from miri_jax.runtime.files import together

TEXT = "a,b\n1.5,x\n,y\n2.5,\n"
# One of each that is opened in its own way.
ALIKE = (*READ_ONLY, ".tsv", ".txt", ".tab", ".ndjson")
WRITTEN = [end for end in ENDINGS if end not in ALIKE]
WRITTEN += [f".csv{end}" for end in PACKED]
NO_TEXT = "a\udcffb"  # A byte that is none in UTF-8.
NAMES = (
    *("a\n\rb\"'", "-d", "dot.", " blank ", "%s{}$HOME~\\*?[1]", "a.csv"),
    *("\x1b[31m\u202e\U0001f600e\u0301", "x" * 200, NO_TEXT),
    *("s3:x", "file:x", "zip::a=1"),
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _impute(*words):
    words = (*words, "--method", "mean")
    impute.impute(impute.make_parser().parse_args(words))


@pytest.mark.parametrize("ending", WRITTEN)
def test_odd_names_are_names(here, ending):
    """Arrow read "s3:x.parquet" elsewhere, and bytes that are no text not."""
    pytest.importorskip("openpyxl"), pytest.importorskip("pyreadstat")
    (here / "in.csv").write_text(TEXT)
    table = read_table("in.csv")
    values = np.nan_to_num(table.values)
    for name in NAMES:
        path = f"{name}{ending}"
        rows = [3, 6]
        for write, filled in (
            (write_table, values),
            (write_long, [values, values]),
        ):
            if name == NO_TEXT:  # It is refused as an output.
                write("out" + ending, table, filled)
                os.rename("out" + ending, path)
            else:
                with together() as each:
                    each(
                        pathlib.Path(path),
                        lambda p: write(p, table, filled),  # noqa: B023
                    )
            assert {*os.listdir()} == {"in.csv", path}
            assert len(read_table(path).frame) == rows.pop(0), path
            os.remove(path)


def test_a_name_that_is_no_text_is_read_and_reported(here):
    """The page names it, and ended the run once the result was there."""
    (here / f"{NO_TEXT}.csv").write_text(TEXT)
    _impute(f"{NO_TEXT}.csv", "a\nb.csv")
    assert {*os.listdir()} == {f"{NO_TEXT}.csv", "a\nb.csv", "a\nb.html"}
    assert "a\\udcffb.csv" in (here / "a\nb.html").read_text("utf-8")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (NO_TEXT, "cannot be the name of a file here"),
        ("x" * 230, "its name is too long"),
    ],
)
def test_parts_that_cannot_be_named_are_said_before_a_fit(
    here, ending, name, message
):
    (here / "in").mkdir()
    frame = pd.DataFrame({"a": [1.5, np.nan, 2.5], "b": [1.0, 2.0, np.nan]})
    for part in (name, "z"):
        path = here / "in" / f"{part}{ending}"
        with open(path, "wb") as file:
            if ending == ".csv":
                frame.to_csv(file, index=False)
            else:
                frame.to_parquet(file)
    with pytest.raises(ConfigError, match=message):
        _impute("in", "out")
    assert os.listdir() == ["in"]
