"""How an error's remedy is given on each command line."""

import ast
import copy
import lzma
import pickle
import sys
import zlib

import pyarrow as pa
import pytest

from miri_jax.app import command_line, impute
from miri_jax.app.command_line import RUN_FLAGS, call, command_given
from miri_jax.app.config import image_config, table_config
from miri_jax.data.columns import KINDS
from miri_jax.exceptions import DataError, DivergedError
from miri_jax.runtime import progress
from tests.command import ROOT


def _named():
    """All that an error of the package says its remedy is about."""
    for path in (ROOT / "miri_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "about":
                for leaf in ast.walk(node.value):
                    if isinstance(leaf, ast.Constant):
                        yield leaf.value


def test_each_remedy_can_be_given_to_a_command():
    named = set(_named())
    assert named >= {"na_values", "workdir"}
    # Folders of parts are not for runs.
    assert named - RUN_FLAGS.keys() == {"restart", "dask"}
    # It has a table, and a folder that is found from the table's name.
    others = {"workdir", "path", "folder", "images", "rate", "distributed"}
    assert named - command_line.IMPUTE_FLAGS.keys() == others


def test_every_flag_of_a_remedy_exists():
    configs = [table_config(), image_config("smoke")]
    configs[0].data.folder = None  # as in configs/uci.py
    for flag in RUN_FLAGS.values():
        if flag.startswith("--config."):
            assert any(_has(config, flag[9:]) for config in configs), flag
    options = impute.make_parser()._option_string_actions
    for flag in command_line.IMPUTE_FLAGS.values():
        name, _, setting = flag.replace(",", "").partition(" ")
        assert name in options
        assert name != "--set" or _has(configs[0], setting)


def test_a_working_directory_that_is_gone_is_said(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(SystemExit, match="1"):
        call(lambda: open("in.csv").read(), {}, "reading")  # noqa: SIM115
    (line,) = capfd.readouterr().err.splitlines()
    assert "working directory is gone; change into one that exists" in line


def _has(config, path):
    for name in path.split("."):
        if name not in config:
            return False
        config = config[name]
    return True


@pytest.mark.parametrize(
    ("flags_of", "end"),
    [
        (RUN_FLAGS, " (--config.data.na_values, --config.data.categorical)"),
        (command_line.IMPUTE_FLAGS, " (--na, --categorical)"),
        ({}, ""),
    ],
)
def test_a_command_adds_its_flags(monkeypatch, capsys, flags_of, end):
    # What a process of its own is prepared by.
    monkeypatch.setattr(command_line.interrupt, "install", lambda: None)

    def command():
        raise DataError(
            "name it or\ncall it", about=("na_values", "categorical")
        )

    with pytest.raises(SystemExit) as stop:
        call(command, flags_of, "reading")
    assert stop.value.code == 1
    told = f"error: name it or\\ncall it{end}\n"
    assert capsys.readouterr().err == told


def test_what_a_remedy_is_about_outlives_a_copy():
    """Errors of worker processes come as pickles."""
    error = DivergedError("too far", about=("learning_rate",))
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(copied) == "too far" and copied.about == error.about


def test_each_kind_of_column_but_the_ordinal_has_a_flag():
    assert {*command_line.KIND_FLAGS, "ordinal"} == {*KINDS}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["/usr/bin/miri-impute", "a b.csv", "o.csv"],
            "miri-impute 'a b.csv' o.csv",
        ),
        (
            ["/x/miri_jax/main.py", "--config", "toy"],
            "python -m miri_jax.main --config toy",
        ),
        (["/x/miri_jax/app/impute.py", "a.csv"], "miri-impute a.csv"),
        (["/x/notebook.py", "a.csv"], ""),
        (["/x/other/main.py"], ""),
    ],
)
def test_the_command_is_told_as_it_was_given(monkeypatch, words, told):
    monkeypatch.setattr(sys, "argv", words)
    assert command_given() == told


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "there is not enough memory"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), "not enough memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "enough memory"),
        (RecursionError("maximum depth"), "nested too deeply"),
        (OverflowError("int too large"), "a number is too large"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "a text cannot be"),
        (EOFError(), "ends too early"),
        (zlib.error("incorrect header"), "a packed file is damaged"),
        (lzma.LZMAError("corrupt"), "a packed file is damaged"),
    ],
)
def test_what_nobody_foresaw_ends_in_a_line(error, line, capsys):
    def command():
        raise error

    with pytest.raises(SystemExit) as stop:
        command_line.call(command, {}, "")
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert line in told and told.count("\n") == 1


def test_a_fault_of_ours_is_not_hidden():
    def command():
        raise TypeError("a fault")

    with pytest.raises(TypeError):
        command_line.call(command, {}, "reading")


def test_help_fits_two_screens_with_examples(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = impute.make_parser().format_help().splitlines()
    assert len(lines) <= 100 and max(map(len, lines)) <= 80
    first = lines.index("examples:")
    assert sum("miri-impute" in line for line in lines[first:]) >= 5


def test_names_do_nothing_to_a_terminal(capsys):
    """A file's name went out as it was: two lines of one, or colours."""
    name = "a\nb\x1b[31m\u202e\u2028\udcff  c\u00e9\U0001f600.csv"
    shown = "a\\nb\\x1b[31m\\u202e\\u2028\\udcff  c\u00e9\U0001f600.csv"
    progress.say(f"result: {name}")
    assert capsys.readouterr().err == f"result: {shown}\n"
    with pytest.raises(SystemExit):
        command_line.fail(f"no such file: {name}".replace("\n", "\r"))
    told = f"error: no such file: {shown}\n".replace("a\\n", "a\\r")
    assert capsys.readouterr().err == told
