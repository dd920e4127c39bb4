"""What somebody who waits is told, and when."""

import io
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from miri_jax import MIRIImputer
from miri_jax.app import command_line
from miri_jax.app.run import run
from miri_jax.estimator import bar
from miri_jax.runtime import progress, provenance
from miri_jax.runtime.progress import MetricsWriter, say
from miri_jax.runtime.silence import said_after
from tests.command import ROOT
from tests.conftest import load_config


def test_a_line_is_said_after_silence_alone():
    said = []
    with said_after(0.01, "long", said.append):
        time.sleep(0.5)
    assert said == ["long"]
    with said_after(0.5, "short", said.append):
        pass
    with said_after(0.2, "spoken", said.append):
        say("something")
        time.sleep(0.5)
    assert said == ["long"]


def test_a_command_says_what_goes_on_before_libraries_load(monkeypatch, capsys):
    assert command_line.FIRST < 2
    monkeypatch.setattr(command_line, "FIRST", 0.01)
    command_line.call(lambda: time.sleep(0.5), {}, "reading in.csv")
    assert capsys.readouterr().err == "reading in.csv\n"


def test_phases_that_take_long_are_named(monkeypatch, capsys):
    monkeypatch.setattr(provenance, "PATIENCE", 0.01)
    clock = provenance.Clock()
    for phase in ("load", "draw", "report"):
        with clock(phase):
            time.sleep(0.3)
    assert capsys.readouterr().err == "drawing\nmaking the report\n"
    assert min(clock.seconds.values()) >= 0.3


@pytest.mark.parametrize(
    ("compiling", "may_stop", "left"),
    [
        (0.0, False, "about 36"),
        (8.0, False, "about 4"),
        (8.0, True, "at most 4"),
    ],
)
def test_what_is_left_is_told_without_what_was_compiled(
    tmp_path, monkeypatch, capsys, compiling, may_stop, left
):
    """One of five iterations took 9 seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    writer = MetricsWriter(tmp_path, first_step=0, num_iterations=5)
    now[0] += 9
    writer.progress(1, {"loss": 2.0}, compiling=compiling, may_stop=may_stop)
    writer.close()
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (f"iteration 1/5: training error 2 (loss), {left} s to go")


def test_the_first_iteration_says_little_of_the_others(
    tmp_path, monkeypatch, capsys
):
    """It loads what was compiled; the last one may do more besides."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    writer = MetricsWriter(tmp_path, first_step=0, num_iterations=5)
    for k, spent in enumerate([0, 30, 2, 2, 2, 20]):
        now[0] += spent
        writer.progress(k, {}, may_stop=True, at_end="trees")
    writer.close()
    told = [
        line.partition(": ")[2] for line in capsys.readouterr().err.split("\n")
    ]
    left = [f"at most {k} s to go, then trees" for k in (120, 6, 4, 2)]
    assert told[:6] == ["", *left, ""]


def test_nobody_is_told_a_name_alone(tmp_path, capsys):
    """Names of what is logged have words, which the page on speed tells."""
    logged = set()
    for path in (ROOT / "miri_jax" / "imputers").glob("*.py"):
        text = path.read_text()
        logged |= set(re.findall(r'"(\w*loss|by_flow|ridge|log_\w+)"', text))
    assert len(logged) > 5 and logged < set(progress.WORDS)
    told = (ROOT / "docs" / "speed.md").read_text()
    for name, words in progress.WORDS.items():
        assert f"`{name}`" in told and words in told, name
    writer = MetricsWriter(tmp_path, first_step=0, num_iterations=2)
    writer.progress(0, {})
    writer.close()
    assert capsys.readouterr().err == "iteration 0/2\n"


def test_a_bar_has_words_and_fits(tmp_path, monkeypatch):
    seen = io.StringIO()
    seen.isatty = lambda: True
    monkeypatch.setattr(progress.sys, "stderr", seen)
    monkeypatch.setenv("COLUMNS", "80")
    writer = MetricsWriter(tmp_path, first_step=0, num_iterations=2)
    writer.progress(2, {"loss": 1.0, "held_out_loss": 0.5, "mi": 0.1})
    writer.close()
    last = seen.getvalue().split("\r")[-1].rstrip("\n")
    assert "error on held-out cells 0.5" in last and "mi" not in last
    assert len(last) <= 80 and "2/2" in last


def test_why_a_fit_ended_early_is_told(tmp_path, capsys):
    config = load_config("table")
    config.method, config.model = "gaussian", {}
    config.imputer = {"num_iterations": 200}
    run(config, str(tmp_path / "run"))
    said = capsys.readouterr().err
    assert "of at most 200: it got no better\n" in said


@pytest.mark.parametrize(
    ("verbose", "said"), [(None, "fit 1 of 1"), (False, ""), (True, "fit 1")]
)
def test_an_estimator_speaks_where_it_takes_long(
    monkeypatch, capsys, verbose, said
):
    monkeypatch.setattr(bar, "LONG", 0.0)
    x = np.random.default_rng(0).normal(size=(60, 3))
    x[::3, 1] = np.nan
    MIRIImputer("gaussian", random_state=0, verbose=verbose).fit(
        pd.DataFrame(x, columns=list("abc"))
    )
    err = capsys.readouterr().err
    assert said in err and bool(err) == bool(said)


def test_a_bar_that_was_shown_is_shown_to_its_end(monkeypatch, capsys):
    """What is said in between shows bars that wait; it was stuck there."""
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    one = bar.Bar("miri", None)
    now = lambda k: SimpleNamespace(state=SimpleNamespace(iteration=k))
    one.begin(now(0), SimpleNamespace(num_iterations=2))
    one.step(now(1), {}, last=False)
    one._speak("miri: fit 1 of 1")
    one.step(now(2), {}, last=True)
    one.end()
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in shown and "2/2" in shown
