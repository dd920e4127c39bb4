"""What is read is never written to, and what is there is never lost."""

import contextlib
import os
import shutil

import pandas as pd
import pytest

from miri_jax.app import impute
from miri_jax.app.claims import claim_of_run
from miri_jax.app.config import table_config
from miri_jax.app.run import run
from miri_jax.exceptions import (
    ConfigError,
    DataError,
    MiriError,
    WorkdirError,
)
from miri_jax.runtime.workdir import WorkdirLock

TEXT = "a,b\n1,2\n,3\n4,\n5,6\n"
MEAN = ("--method", "mean")


@contextlib.contextmanager
def _here(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _impute(*words):
    given = impute.make_parser().parse_args([str(word) for word in words])
    impute.impute(given)


def _main(path, output, *, draws=1, long=False, report=None, force=False):
    config = table_config("mean")
    config.data.path, config.output, config.report = path, output, report
    config.draws, config.long = draws, long
    run(config, "workdir", force=force)


def _plain(path, out, draws):
    del draws
    _impute(path, out, *MEAN, "--force")


def _draws(path, out, draws):
    _impute(path, out, *MEAN, "--force", "--draws", draws)


def _long(path, out, draws):
    _impute(path, out, *MEAN, "--force", "--draws", 2, "--long")


def _by_settings(path, out, draws):
    words = ("--set", f"output={out}", "--set", f"draws={draws}")
    _impute(path, f"other.{out.partition('.')[2]}", *MEAN, "--force", *words)


def _stream(path, out, draws):
    _impute(path, out, *MEAN, "--force", "--stream")


def _stream_by_settings(path, out, draws):
    words = ("--stream", "--set", f"output={out}")
    _impute(path, "other.parquet", *MEAN, "--force", *words)


def _run_of(path, out, draws):
    _main(path, out, draws=draws, force=True)


def _by_path_settings(path, out, draws):
    # Another table is named, and this one is read.
    words = ("--set", f"data.path={path}")
    _impute("elsewhere.csv", out, *MEAN, "--force", *words)


COMMANDS = {
    f.__name__[1:]: f
    for f in (_plain, _draws, _long, _by_settings, _run_of, _by_path_settings)
}
STREAMS = {f.__name__[1:]: f for f in (_stream, _stream_by_settings)}
SPELLINGS = {
    "itself": "{0}",
    "with a point": "./{0}",
    "and back": "sub/../{0}",
    "whole": "{1}/{0}",
    "by a linked folder": "linked/{0}",
    "by a link": "link-{0}",
    "by two links": "links-{0}",
    "by a hard link": "hard-{0}",
    "by what is written first": "fresh-{0}",
}
ENDINGS = ("csv", "csv.gz", "parquet", "feather", "jsonl", "xlsx")


def _names(folder, name):
    """A table's file by all names, with bytes that nothing has to read."""
    content = os.urandom(64)
    (folder / name).write_bytes(content)
    (folder / "sub").mkdir()
    (folder / "linked").symlink_to(".")
    (folder / f"link-{name}").symlink_to(name)
    (folder / f"links-{name}").symlink_to(f"link-{name}")
    (folder / f"hard-{name}").hardlink_to(folder / name)
    (folder / f".partial-fresh-{name}").symlink_to(name)
    (folder / "elsewhere.csv").write_text(TEXT)
    return content


def _contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "linked" not in path.parts
    }


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_input_is_never_written_to(tmp_path, spelling, ending):
    commands = COMMANDS | (STREAMS if ending == "parquet" else {})
    for k, (what, command) in enumerate(commands.items()):
        # Of several draws the second is the table.
        many = what in ("draws", "by_settings", "run_of")
        folder, stem = tmp_path / str(k), "in_2" if many else "in"
        folder.mkdir()
        _names(folder, f"{stem}.{ending}")
        before = _contents(folder)
        out = SPELLINGS[spelling].format(f"in.{ending}", folder)
        with _here(folder), pytest.raises(ConfigError) as error:
            command(f"{stem}.{ending}", out, 3 if many else 1)
        assert "is the table itself" in str(error.value), what
        assert _contents(folder) == before, what


def test_a_name_that_differs_in_case_is_the_input_where_it_is(tmp_path):
    (tmp_path / "in.csv").write_text(TEXT)
    if not (tmp_path / "IN.CSV").exists():
        pytest.skip("names differ by case here")
    with _here(tmp_path), pytest.raises(ConfigError, match="table itself"):
        _impute("in.csv", "IN.CSV", *MEAN, "--force")


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (("out.csv",), "out.csv"),
        (("out.csv",), "out.html"),
        (("out.csv", "--draws", "3"), "out_2.csv"),
        (("out.csv", "--draws", "3", "--long"), "out.csv"),
        (("fresh.csv", "--set", "output=out.csv"), "out.csv"),
        (("fresh.csv", "--set", "output=out.csv"), "out.html"),
        (("out.csv", "--set", "draws=3"), "out_3.csv"),
        (("out.csv", "--set", "report=page.html"), "page.html"),
    ],
)
def test_what_is_there_is_replaced_where_asked(tmp_path, words, there):
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / there).write_text("precious")
    before = _contents(tmp_path)
    with _here(tmp_path):
        with pytest.raises(ConfigError, match=f"{there} already exists"):
            _impute("in.csv", *words, *MEAN)
        assert _contents(tmp_path) == before
        _impute("in.csv", *words, *MEAN, "--force")
    assert (tmp_path / there).read_text() != "precious"


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({"output": "out.csv"}, "out.csv"),
        ({"output": "out.csv", "draws": 2}, "out_2.csv"),
        ({"output": "out.csv", "draws": 2, "long": True}, "out.csv"),
        ({"output": None, "report": "page.html"}, "page.html"),
        ({"output": None}, "workdir/imputed.csv"),
        ({"output": None}, "workdir/report.html"),
        ({"output": None, "draws": 2}, "workdir/imputed_1.csv"),
    ],
)
def test_a_run_replaces_what_is_there_where_asked(tmp_path, settings, there):
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / "workdir").mkdir()
    (tmp_path / there).write_text("precious")
    before = _contents(tmp_path)
    with _here(tmp_path):
        with pytest.raises(ConfigError, match=f"{there} already exists"):
            _main("in.csv", **settings)
        assert _contents(tmp_path) == before
        _main("in.csv", **settings, force=True)
        # Its own results it replaces without a question, by the same bytes.
        made = (tmp_path / there).read_bytes()
        _main("in.csv", **settings)
    assert made != b"precious"
    if there.endswith("csv"):
        assert (tmp_path / there).read_bytes() == made


def test_a_result_that_was_changed_is_no_longer_the_runs_own(tmp_path):
    (tmp_path / "in.csv").write_text(TEXT)
    with _here(tmp_path):
        _main("in.csv", "out.csv")
        (tmp_path / "out.csv").write_text("edited by hand")
        with pytest.raises(ConfigError, match="out.csv already exists"):
            _main("in.csv", "out.csv")
    assert (tmp_path / "out.csv").read_text() == "edited by hand"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("folder.csv", "is a folder"),
        ("pipe.csv", "is a named pipe"),
        ("none/out.csv", "there is no folder"),
        ("in.csv/out.csv", "there is no folder"),
        (f"{'x' * 250}.csv", "its name is too long"),
        (f"{'x' * 243}.csv", "its name is too long"),
        ("\ud800.csv", "cannot be the name of a file here"),
        ("a\0b.csv", "cannot be the name of a file here"),
    ],
)
@pytest.mark.parametrize("command", ["plain", "by_settings", "run_of"])
def test_names_that_cannot_be_written_are_said_at_once(
    tmp_path, output, message, command
):
    (tmp_path / "in.csv").write_text("not even a table")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.iterdir())
    with _here(tmp_path), pytest.raises(ConfigError, match=message):
        COMMANDS[command]("in.csv", output, 1)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".xlsx"])
@pytest.mark.parametrize("command", ["plain", "by_settings", "run_of"])
@pytest.mark.parametrize("end", ["/", "/.", "/.."])
def test_a_name_that_is_of_a_folder_is_none_of_a_file(
    tmp_path, ending, command, end
):
    """It was taken for that of a file, with a page beside it, "out..html"."""
    (tmp_path / "in.csv").write_text("not even a table")
    with _here(tmp_path), pytest.raises(DataError, match="not the name of a"):
        COMMANDS[command]("in.csv", f"out{ending}{end}", 1)
    assert [x.name for x in tmp_path.iterdir()] == ["in.csv"]


def test_blanks_at_the_end_of_a_name_are_shown(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    with _here(tmp_path), pytest.raises(DataError, match="'out.csv ' does not"):
        COMMANDS["plain"]("in.csv", "out.csv ", 1)


def test_the_table_of_the_package_needs_no_ending(tmp_path):
    config = table_config("mean")
    config.data.path = "beijing"
    made = claim_of_run(config, tmp_path)
    assert [path.name for path in made] == ["imputed.csv"]


def test_a_page_has_the_name_of_one(tmp_path):
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / "config.py").write_text("precious")
    with _here(tmp_path), pytest.raises(ConfigError, match="ends in .html"):
        _main("in.csv", None, report="config.py", force=True)


def test_two_results_have_two_names(tmp_path):
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / "workdir").mkdir()
    with _here(tmp_path), pytest.raises(ConfigError, match="written twice"):
        _main("in.csv", None, report="workdir/../workdir/report.html")
    with _here(tmp_path), pytest.raises(ConfigError, match="written twice"):
        _main("in.csv", "workdir/metrics.jsonl")


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("out.csv",), "18 bytes"),
        (("out.csv", "--draws", "3"), "54 bytes"),
        (("out.csv", "--draws", "3", "--long"), "54 bytes"),
        (("out.jsonl", "--set", "output=out.csv"), "18 bytes"),
    ],
)
def test_a_disk_without_room_is_said_before_work(
    tmp_path, monkeypatch, words, size
):
    (tmp_path / "in.csv").write_text(TEXT)
    full = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    with _here(tmp_path), pytest.raises(ConfigError, match="make room") as told:
        _impute("in.csv", *words, *MEAN)
    assert size in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("words", [("out.csv",), ("in.csv",), ()])
def test_a_dry_run_writes_nothing(tmp_path, words):
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / "out.csv").write_text("precious")
    before = _contents(tmp_path)
    with _here(tmp_path):
        _impute("in.csv", *words, "--dry-run", "--force")
    assert _contents(tmp_path) == before


def test_force_leaves_a_run_that_is_alive(tmp_path):
    (tmp_path / "in.csv").write_text(TEXT)
    workdir = tmp_path / ".out.csv.miri"
    with WorkdirLock(workdir) as lock:
        lock.take()
        (workdir / "config.json").write_text("{}")
        (workdir / "checkpoints").mkdir()
        for words in (MEAN, (*MEAN, "--force")):
            with (
                _here(tmp_path),
                pytest.raises(WorkdirError, match="another process"),
            ):
                _impute("in.csv", "out.csv", *words)
        assert (workdir / "checkpoints").is_dir()
        assert (workdir / "config.json").read_text() == "{}"
    with _here(tmp_path):
        _impute("in.csv", "out.csv", *MEAN, "--force")
    assert not workdir.exists()


def test_a_folder_that_is_deleted_holds_nothing_of_the_users(tmp_path):
    hidden = tmp_path / ".out.csv.miri"
    hidden.mkdir()
    (hidden / "in.csv").write_text(TEXT)
    (tmp_path / "in.csv").write_text(TEXT)
    before = _contents(tmp_path)
    with _here(tmp_path), pytest.raises(ConfigError, match="is deleted"):
        _impute(".out.csv.miri/in.csv", "out.csv", *MEAN, "--force")
    words = ("--set", "report=.out.csv.miri/page.html")
    with _here(tmp_path), pytest.raises(ConfigError, match="is deleted"):
        _impute("in.csv", "out.csv", *MEAN, "--force", *words)
    assert _contents(tmp_path) == before
    hidden.rename(tmp_path / "kept")
    hidden.symlink_to("kept")
    with _here(tmp_path), pytest.raises(MiriError, match="is a link"):
        _impute("in.csv", "out.csv", *MEAN, "--force")
    assert (tmp_path / "kept" / "in.csv").read_text() == TEXT


def test_a_killed_stream_leaves_nothing_that_blocks_the_next(tmp_path):
    frame = pd.DataFrame(
        {"a": [1.0, None, 3.0] * 20, "b": [2.0, 1.0, None] * 20}
    )
    frame.to_parquet(tmp_path / "in.parquet")
    words = ("in.parquet", "out.parquet", "--stream", *MEAN)
    hidden = tmp_path / ".out.parquet.miri"
    with _here(tmp_path), WorkdirLock(hidden) as lock:
        lock.take()
        with pytest.raises(WorkdirError, match="another process"):
            _impute(*words)
    # What a killed process leaves behind.
    (hidden / ".lock").touch()
    (tmp_path / ".partial-out.parquet").write_bytes(b"PAR1 and half")
    with _here(tmp_path):
        _impute(*words)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"in.parquet", "out.parquet"}
    assert pd.read_parquet(tmp_path / "out.parquet").notna().all(axis=None)
    with _here(tmp_path), pytest.raises(ConfigError, match="already exists"):
        _impute(*words)
