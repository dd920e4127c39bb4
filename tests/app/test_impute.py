"""The command miri-impute: files of all kinds in and out, one-line errors."""

import gzip
import signal
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from miri_jax.app import filling, impute, streaming
from miri_jax.data import limits, readers
from miri_jax.exceptions import ConfigError, DataError, MiriError
from tests.command import Command
from tests.report.making import words_of

TEXT = """name,age,sex,day,size
ann,31,f,2024-01-05,S
bob,,m,2024-02-01,L
cyd,47,,,M
dan,52,m,2024-03-09,
eve,,f,2024-01-30,S
"""


def _run(*words, cwd):
    code, _, err = Command("miri_jax.app.impute", *words, cwd=cwd).end()
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


def test_a_check_is_in_the_report(tmp_path):
    """Of a method that fills without a look, and of a table of five rows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": list("xyz") * 100})
    frame = frame.mask(rng.random(frame.shape) < 0.2)
    frame.to_csv(tmp_path / "in.csv", index=False)
    _impute(
        *(tmp_path / "in.csv", tmp_path / "out.csv"),
        *("--method", "mean", "--check"),
    )
    words = words_of((tmp_path / "out.html").read_text("utf-8"))
    assert "How well are known cells filled again?" in words
    assert "worse than observed values drawn at random" in words
    assert "(0% instead of 90%)" in words
    (tmp_path / "few.csv").write_text(TEXT, "utf-8")
    _impute(
        *(tmp_path / "few.csv", tmp_path / "o.csv"),
        *("--method", "mean", "--check"),
    )
    words = words_of((tmp_path / "o.html").read_text("utf-8"))
    assert ("How well are known cells" in words) != (
        "known cells were not filled again" in words
    )


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


def test_names_with_dots_have_reports_of_their_own(table):
    for name in ("my.a.csv", "my.b.csv"):
        _impute(table, table.with_name(name), "--method", "mean")
    made = {path.name for path in table.parent.glob("*.html")}
    assert made == {"my.a.html", "my.b.html"}


def test_settings_take_names_of_columns_and_none(table):
    out = table.with_name("out.csv")
    given = impute.make_parser().parse_args(
        [
            *(str(table), str(out), "--set", "data.categorical=('age','sex')"),
            *("--set", "imputer.num_steps=None", "--set", "seed=3"),
        ]
    )
    config = filling.make_config(given)
    assert config.data.categorical == ("age", "sex") and config.seed == 3
    assert config.imputer.num_steps is None


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(tmp_path):
    """With the numbers of one that was never stopped."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    frame.mask(rng.random(frame.shape) < 0.3).to_csv(
        tmp_path / "in.csv", index=False
    )
    words = ["--method", "miri", "--set", "imputer.num_iterations=6"]
    for setting in (
        "imputer.num_steps=4",
        "imputer.ode_steps=2",
        "checkpoint.every_seconds=0.0",
        "model.width=8",
    ):
        words += ["--set", setting]
    code, err = _run("in.csv", "whole.csv", *words, cwd=tmp_path)
    assert code == 0, err
    process = Command(
        "miri_jax.app.impute", "in.csv", "out.csv", *words, cwd=tmp_path
    )
    saved = tmp_path / ".out.csv.miri" / "checkpoints"
    while process.poll() is None:
        if saved.is_dir() and any(p.name.isdigit() for p in saved.iterdir()):
            process.send(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.end()[0] == -signal.SIGKILL
    assert not (tmp_path / "out.csv").exists()
    code, err = _run("in.csv", "out.csv", *words, cwd=tmp_path)
    assert code == 0, err
    assert "resuming" in err
    one, other = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert one.read_bytes() == other.read_bytes()


def test_a_result_that_is_there_is_kept_without_force(table):
    out = table.with_name("out.csv")
    out.write_text("precious")
    with pytest.raises(ConfigError, match="out.csv already exists"):
        _impute(table, out, "--method", "mean")
    assert out.read_text() == "precious"
    _impute(table, out, "--method", "mean", "--force")
    assert out.read_text() != "precious"


def test_what_another_run_has_left_is_kept_without_force(table):
    left = table.with_name(".out.csv.miri") / "config.json"
    left.parent.mkdir()
    left.write_text('{"seed": 7}')
    words = ["in.csv", "out.csv", "--method", "mean"]
    command = Command("miri_jax.app.impute", *words, cwd=table.parent)
    code, _, err = command.end()
    assert code == 1 and left.read_text() == '{"seed": 7}'
    assert err.endswith("delete that one (--force, which starts anew)\n")
    _impute(table, table.with_name("out.csv"), "--method", "mean", "--force")
    assert not left.parent.exists()


@pytest.fixture
def long_file(tmp_path):
    """5000 rows of all types, in row groups of 700, a fifth of them missing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 2)) @ [[1, 0.9], [0, 0.4]]
    frame = pd.DataFrame(
        {
            "id": np.arange(5000) + 2**60,
            "a": x[:, 0],
            "b": (10 * x[:, 1]).round().astype(int),
            "sign": np.where(x[:, 0] > 0, "plus", "minus"),
            "day": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 99, 5000), "D"),
        }
    ).convert_dtypes(convert_floating=False)
    hidden = rng.random(frame.shape) < 0.2
    hidden[:, 0] = False
    path = tmp_path / "long.parquet"
    frame.mask(hidden).to_parquet(path, index=False, row_group_size=700)
    return path, frame, hidden


def test_a_long_file_is_filled_by_parts(long_file, monkeypatch):
    path, frame, hidden = long_file
    out = path.with_name("out.parquet")
    monkeypatch.setattr(
        streaming.impute_parquet,
        "__kwdefaults__",
        {
            **streaming.impute_parquet.__kwdefaults__,
            "sample_rows": 800,
            "part_rows": 1024,
        },
    )
    _impute(path, out, "--stream", "--method", "gaussian")
    schema = pq.read_schema(out)
    assert schema.equals(pq.read_schema(path))
    found = pd.read_parquet(out)
    assert len(found) == 5000 and found.notna().all(axis=None)
    for j, name in enumerate(frame):
        kept = ~hidden[:, j]
        assert (found[name] == frame[name])[kept].all(), name
    # Filled from the rest of the row, and differently in each part.
    gaps = hidden[:, 1] & ~hidden[:, 2]
    assert np.corrcoef(found["a"][gaps], found["b"][gaps])[0, 1] > 0.8
    assert found["a"][hidden[:, 1]].nunique() > 990
    with pytest.raises(ConfigError, match="already exists"):
        _impute(path, out, "--stream")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("long.parquet", "o.csv"), "takes Parquet files; o.csv is another"),
        (("long.parquet", "o.parquet", "--draws", "2"), "gives one draw"),
        (("none.parquet", "o.parquet"), "no such file: none.parquet"),
        (
            ("long.parquet", "o.parquet", "--set", "data.group=a"),
            "rows that belong together",
        ),
        (("long.parquet", "long.parquet"), "is the table itself"),
    ],
)
def test_what_cannot_be_filled_by_parts_is_one_line(
    long_file, monkeypatch, words, message
):
    monkeypatch.chdir(long_file[0].parent)
    with pytest.raises(MiriError, match=message):
        _impute(*words, "--stream")
    assert [p.name for p in long_file[0].parent.iterdir()] == ["long.parquet"]


def test_a_table_larger_than_memory_is_refused(long_file, monkeypatch, table):
    monkeypatch.setattr(limits, "free_memory", lambda: 500)
    for path in (long_file[0], table):
        with pytest.raises(DataError, match="fill it by parts") as error:
            readers.read_table(str(path))
        assert error.value.about == ("parts",)


def test_a_run_that_ends_in_an_error_does_not_block_the_mended_one(table):
    out = table.with_name("out.csv")
    with pytest.raises(DataError, match="is not met by the draws"):
        _impute(
            table, out, "--method", "mean", "--rule", "age > 99 and age < 9"
        )
    assert [path.name for path in table.parent.iterdir()] == ["in.csv"]
    _impute(table, out, "--method", "mean", "--rule", "age > 9")
    assert out.exists()


def test_settings_at_fault_leave_what_another_run_has_done(table):
    """Here nothing was begun; there is half a run of another command."""
    begun = table.with_name(".out.csv.miri")
    begun.mkdir()
    (begun / "config.json").write_text("{}")
    with pytest.raises(DataError, match="which is no date or time"):
        _impute(
            table,
            table.with_name("out.csv"),
            *("--method", "mean", "--datetime", "age"),
        )
    assert (begun / "config.json").read_text() == "{}"


def test_an_empty_column_gets_a_number_of_the_kind_it_has(tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("a,b\n1,\n2,\n,\n")
    words = path, out, "--method", "mean", "--empty-value", "0.5"
    for kind in ("integer", "datetime"):
        with pytest.raises(DataError, match=f"is to be {kind}, which"):
            _impute(*words, f"--{kind}", "b")
    _impute(*words)
    assert pd.read_csv(out)["b"].tolist() == [0.5] * 3
