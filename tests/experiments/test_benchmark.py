"""The benchmark: cells, what is scored, resuming, and checking the peers."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import benchmark, fidelity, peers
from experiments.benchmark import Block, Cell

CELL = Cell("energy", "mcar", 0.3, 1, "iterative", 1)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small table under the name of a UCI table."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4))
    np.savetxt(tmp_path / "energy.csv.gz", x, delimiter=",")
    return str(tmp_path)


def test_a_cell_is_filled_scored_and_says_its_settings(folder):
    found = benchmark.measure(CELL, benchmark.load(CELL, folder), 60)
    assert 0.15 < found["realised_rate"] < 0.45
    assert 0 < found["mmd"] < 0.5 and 0 < found["rmse_mean"] < 1.5
    assert "coverage_90" not in found  # of one draw
    settings = benchmark.settings(CELL)
    assert settings["door"] == "scikit-learn" and settings["seed"] == 1
    assert settings["sample_posterior"] is False and settings["draws"] == 1


def test_scores_of_known_fillings(folder):
    dataset = benchmark.load(CELL, folder)
    truth, m = dataset.truth, dataset.m
    perfect = benchmark.scores(dataset, truth[None])
    for key in ("mmd", "rmse_draw", "rmse_mean", "mae_mean", "energy"):
        assert perfect[key] == pytest.approx(0, abs=1e-3), key
    # Each missing cell off by a deviation of its column, up in one draw and
    # down in the other: errors of draws are 1, that of their mean is 0.
    off = np.where(m, 0, truth.std(axis=0))
    both = benchmark.scores(dataset, np.stack([truth + off, truth - off]))
    assert both["rmse_draw"] == pytest.approx(1)
    assert both["rmse_mean"] == pytest.approx(0, abs=1e-12)
    # Truth and draws are of one law about what is known of each cell.
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((401, *m.shape))
    draws = truth + np.where(m, 0, noise[1:] - noise[0])
    found = benchmark.scores(dataset, draws)["coverage_90"]
    assert found == pytest.approx(0.9, abs=0.1)


def test_what_is_planned_is_run_once(folder):
    block = Block("x", ("energy",), "mcar", 0.3, (1, 2), 10, ("mean", "miri"))
    cells = list(benchmark.cells([block, block]))
    assert [cell.draws for cell in cells[:2]] == [1, 10]
    assert [cell.mask_seed for cell in cells[:4]] == [1, 1, 2, 2]
    row = {**cells[0]._asdict(), "settings": benchmark.settings(cells[0])}
    left = lambda rows, retry=False: benchmark.unfinished(cells, rows, retry)
    assert len(left([])) == 4
    assert cells[0] not in left([row]) and len(left([row])) == 3
    failed = row | {"error": "no"}
    assert len(left([failed])) == 3 and len(left([failed], True)) == 4
    changed = row | {"settings": row["settings"] | {"seed": 2}}
    assert len(left([changed])) == 4


def test_every_method_says_all_its_settings():
    for method in benchmark.METHODS:
        cell = CELL._replace(method=method)
        settings = benchmark.settings(cell)
        assert json.loads(json.dumps(settings)) == settings
    assert benchmark.settings(CELL._replace(method="missdiff"))["flags"] == [
        "one-fit"
    ]
    changed = benchmark.way_of("miri:set=imputer.ode_steps=5").words
    settings = fidelity.settings(changed, 1, 1)
    assert settings["imputer"]["ode_steps"] == 5
    assert settings["flags"] == ["set=imputer.ode_steps=5"]
    assert fidelity.settings("r-pmm", 5, 2)["maxit"] == 5


@pytest.mark.parametrize("name", benchmark.SIMULATED)
def test_simulated_tables_are_as_they_say(name):
    dataset = benchmark.simulated(name, "mcar", 0.2, 1)
    assert dataset.truth.shape == (1000, 20)
    assert np.mean(~dataset.m) == pytest.approx(0.2, abs=0.01)
    between = np.corrcoef(dataset.truth[:, 0], dataset.truth[:, 1])[0, 1]
    assert between == pytest.approx(0.7, abs=0.06)
    within = (dataset.truth > 0).all(axis=0) & (dataset.truth < 1).all(axis=0)
    count = {"gaussian20": 0, "uniform20": 20, "mixed20": 10}
    assert within.sum() == count[name]


def _table(n=60):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, 3))
    x[:, 2] = rng.integers(0, 3, n)
    m = rng.random(x.shape) > 0.4
    return np.where(m, x, np.nan), x


def test_a_fill_with_a_plain_statistic_fails_loudly():
    gaps, truth = _table()
    m = ~np.isnan(gaps)
    frequent = [
        np.unique(column[seen], return_counts=True)
        for column, seen in zip(gaps.T, m.T)
    ]
    frequent = [values[np.argmax(counts)] for values, counts in frequent]
    plain = (np.nanmean(gaps, 0), np.nanmedian(gaps, 0), frequent)
    for fill in (*plain, np.nanmin(gaps, 0)):
        filled = np.where(m, gaps, fill)
        with pytest.raises(peers.PeerError, match="with a constant"):
            peers.check_filled("p", gaps, filled)
        peers.check_filled("p", gaps, filled, constant=True)
    # A single gap is a constant whatever fills it: only its value can tell.
    one = truth.copy()
    one[0, 0] = np.nan
    with pytest.raises(peers.PeerError, match="with a constant"):
        fill = np.where(np.isnan(one), truth[1:].mean(axis=0), truth)
        peers.check_filled("p", one, fill)
    peers.check_filled("p", one, truth)
    peers.check_filled("p", gaps, truth)
    with pytest.raises(peers.PeerError, match="not finite"):
        peers.check_filled("p", gaps, gaps)
    with pytest.raises(peers.PeerError, match="changed observed"):
        peers.check_filled("p", gaps, truth + 0.1)
    with pytest.raises(peers.PeerError, match="gave"):
        peers.check_filled("p", gaps, truth[:, :2])


def test_scikit_learns_peers_fill_and_name_their_settings():
    gaps, _ = _table(30)
    table = pd.DataFrame(gaps, columns=list("abc"))
    for name in ("mice", "iterative", "knn"):
        one, other = peers.fill(name, table, 2, 1)
        for filled in (one, other):
            peers.check_filled(name, gaps, filled.to_numpy())
        assert one.equals(other) == (name != "mice")
    assert peers.method_settings("mice")["sample_posterior"] is True
    assert peers.method_settings("knn")["n_neighbors"] == 5
    assert peers.method_settings("missforest")["estimator__n_estimators"] == 100


def test_a_missing_table_is_one_line_and_no_result(tmp_path):
    script, out = "experiments/benchmark.py", tmp_path / "out.jsonl"
    words = f"--folder {tmp_path} --names wine --methods mean --out {out}"
    found = subprocess.run(
        [sys.executable, script, *words.split()],
        env={**os.environ, "PYTHONPATH": "."},
        cwd=pathlib.Path(benchmark.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1 and not out.exists()
    (line,) = found.stderr.strip().splitlines()[-1:]
    assert line.startswith("error: no ") and "wine.csv.gz" in line
    assert "Traceback" not in found.stderr
