"""Parts that are filled by workers of Dask, which may die."""

import json
import os
import pathlib
import signal
import time

import numpy as np
import pandas as pd
import pytest

from miri_jax.app import impute, streaming, workers
from miri_jax.exceptions import ConfigError, WorkdirError
from tests.command import Command

pytest.importorskip("distributed")
WORDS = ("--method", "chained", "--set", "imputer.num_iterations=1")
PARTS = 6


def _impute(*words):
    given = impute.make_parser().parse_args([str(word) for word in words])
    impute.impute(given)


@pytest.fixture
def big(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "big"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(PARTS):
        x = rng.normal(size=(300, 2)) @ [[1, 0.9], [0, 0.4]]
        frame = pd.DataFrame(x, columns=["a", "b"])
        frame["sign"] = np.where(x[:, 0] > 0, "plus", "minus")
        frame = frame.mask(rng.random(frame.shape) < 0.2)
        frame.to_parquet(folder / f"{k}.parquet", index=False)
    return folder


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def _part_of(path):
    """How many parts a manifest names."""
    try:
        return len(json.loads(path.read_text())["parts"])
    except OSError:
        return 0


def test_a_cluster_that_does_not_answer_is_one_line(big, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    before = time.monotonic()
    with pytest.raises(ConfigError, match="no cluster with workers answers"):
        _impute("big", "out", *WORDS, "--dask", "tcp://127.0.0.1:9")
    assert time.monotonic() - before < 60
    assert [p.name for p in big.parent.iterdir()] == ["big"]


def dies_once(part, out, *words):
    """Ends its process at the second part, the first time."""
    mark = pathlib.Path(out).with_name("died")
    if part.name == "1.parquet" and not mark.exists():
        mark.touch()
        os._exit(1)
    return streaming._make(part, out, *words)


def dies_always(part, *words):
    """Ends its process at the second part, whoever takes it."""
    if part.name == "1.parquet":
        os._exit(1)
    return streaming._make(part, *words)


@pytest.mark.slow
def test_workers_give_what_one_process_gives_also_where_one_dies(
    big, monkeypatch
):
    _impute("big", "alone", *WORDS)
    monkeypatch.setattr(streaming, "_make", dies_once)
    _impute("big", "out", *WORDS, "--dask", "2")
    assert big.with_name("died").exists()
    assert _contents(big.with_name("out")) == _contents(big.with_name("alone"))


@pytest.mark.slow
def test_what_kills_every_worker_is_one_line_and_loses_nothing(
    big, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(streaming, "_make", dies_always)
        with pytest.raises(WorkdirError, match="a worker died, and so did"):
            _impute("big", "out", *WORDS, "--dask", "2")
    out = big.with_name("out")
    there = {
        name: content
        for name, content in _contents(out).items()
        if not name.startswith(".partial")
    }
    assert "1.parquet" not in there
    assert len(there) == _part_of(out / "_manifest.json")
    _impute("big", "out", *WORDS, "--dask", "2")
    after = _contents(out)
    assert len(after) == PARTS
    assert all(after[name] == content for name, content in there.items())
    assert not [*out.glob(".partial*")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_was_stopped_goes_on(big, number):
    _impute("big", "alone", *WORDS)
    out = big.with_name("out")
    words = ("big", "out", *WORDS, "--dask", 2)
    first = Command("miri_jax.app.impute", *words, cwd=big.parent)
    end = time.monotonic() + 600
    # A part that the manifest names, and which is not yet there, is made anew.
    while first.poll() is None and not any(out.glob("?.parquet")):
        assert time.monotonic() < end, first.said()
        time.sleep(0.01)
    first.send(number)
    code, _, err = first.end(600)
    # It may have ended in time.
    assert code in (-number, 128 + number, 0), err
    code, _, err = Command("miri_jax.app.impute", *words, cwd=big.parent).end(
        600
    )
    assert code == 0, err
    assert "parts are there" in err
    assert _contents(out) == _contents(big.with_name("alone"))
