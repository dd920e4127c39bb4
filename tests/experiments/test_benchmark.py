"""The benchmark's bookkeeping: resuming, failing, and checking the peers."""

import json
import os
import stat
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import benchmark, generation, peers, records, tables
from experiments.benchmark import Block, Cell, Children
from miri_jax.engine import draws, fit
from miri_jax.imputers import make_imputer
from miri_jax.types import Imputer, Masked

METHODS = ["mean", "nosuch", "median"]
BLOCK = Block(("energy",), mask_seeds=(1, 2), draws=2)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small table under the name of a UCI table."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4))
    np.savetxt(tmp_path / "energy.csv.gz", x, delimiter=",")
    return str(tmp_path)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Puts a script in the place of HyperImpute's python."""

    def pose(body):
        script = tmp_path / "fake.py"
        script.write_text(body)
        file = tmp_path / "python"
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
        file.chmod(file.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv(peers.HYPERIMPUTE_PYTHON, str(file))

    return pose


def _left(out, retry=False, methods=METHODS, block=BLOCK):
    wanted = benchmark.jobs([block], methods, together=False)
    return list(benchmark.unfinished(wanted, records.read(out), retry))


def test_it_goes_on_where_it_was_and_keeps_failures(folder, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    here = lambda cells: benchmark.attempt(cells, folder)
    first = _left(out)[:2]
    assert benchmark.run(first, out, here) == 1  # mean, nosuch
    assert [cells[0].method for cells in _left(out)] == [
        "median",
        *METHODS,
    ]
    assert benchmark.run(_left(out), out, here) == 1
    assert not _left(out)
    assert "failed before" in capsys.readouterr().out
    assert {cells[0].method for cells in _left(out, retry=True)} == {"nosuch"}
    rows = records.read(out)
    assert len(rows) == 6
    failed = [row for row in rows if row["method"] == "nosuch"]
    assert all(
        row["failed"].startswith("ConfigError: no method") for row in failed
    )
    good = rows[0]
    assert good["method"] == "mean" and good["draws"] == 1
    for key in (
        "realised_rate",
        "mmd",
        "rmse_draw",
        "rmse_mean",
        "mae_mean",
        "seconds",
        "command",
        "versions",
        "date",
        "machine",
        "settings",
    ):
        assert key in good, key


def test_a_line_cut_off_and_other_settings_are_run_again(
    folder, tmp_path, monkeypatch
):
    out = tmp_path / "out.jsonl"
    block = BLOCK._replace(mask_seeds=(1,))
    left = lambda: _left(out, methods=["gaussian"], block=block)
    one = [{"mmd": 0.1, "rmse_mean": 1.0, "seconds": 1.0}]
    benchmark.run(left(), out, lambda cells: one)
    assert not left()
    plan = benchmark.Plan(settings={"num_iterations": 3})
    monkeypatch.setitem(benchmark.PLANS, "gaussian", plan)
    assert left()
    monkeypatch.undo()
    out.write_text(out.read_text()[:-20])
    assert left()


@pytest.mark.slow
def test_a_child_that_hangs_or_dies_takes_nothing_down(folder, python):
    cells = [Cell("energy", "mcar", 0.5, 1, m, 1) for m in peers.HYPERIMPUTE]
    # The plugin is the second argument. Its parent is the child.
    python(
        "import os, signal, sys, time\n"
        "if sys.argv[2] == 'mice':\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "time.sleep(60)\n"
    )
    with Children(folder, time_limit=5.0) as children:
        assert children(cells[:1]) == "TimeoutError: more than 5 seconds"
        children.time_limit = 60.0
        assert children(cells[1:2]) == (
            "ChildProcessError: it ended with code -9"
        )
        mean = Cell("energy", "mcar", 0.5, 1, "mean", 2)
        answer = children([mean])
        assert answer[0]["mmd"] > 0
        child = next(iter(children.all))
    assert not child.is_alive()


def _table(n=60):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    x[:, 2] = rng.integers(0, 3, n)
    m = rng.random(x.shape) > 0.4
    return Masked(jnp.where(m, x, 0), jnp.asarray(m)), x


def test_a_fill_with_a_plain_statistic_fails_loudly():
    data, truth = _table()
    x, m = np.asarray(data.x), np.asarray(data.m)
    gaps = np.where(m, x, np.nan)
    frequent = [
        np.unique(column[seen], return_counts=True)
        for column, seen in zip(x.T, m.T)
    ]
    frequent = [values[np.argmax(counts)] for values, counts in frequent]
    plain = (np.nanmean(gaps, 0), np.nanmedian(gaps, 0), frequent)
    for fill in (*plain, np.nanmin(gaps, 0)):
        with pytest.raises(peers.PeerError, match="with a constant"):
            peers.check_filled("p", data, np.where(m, x, fill))
    # A single gap is a constant whatever fills it: only its value can tell.
    one = np.ones_like(m)
    one[0, 0] = False
    some = Masked(truth, one)
    with pytest.raises(peers.PeerError, match="with a constant"):
        fill = truth[1:].mean(axis=0)
        peers.check_filled("p", some, np.where(one, truth, fill))
    peers.check_filled("p", some, truth)
    peers.check_filled("p", data, truth)
    with pytest.raises(peers.PeerError, match="not finite"):
        peers.check_filled("p", data, gaps)
    with pytest.raises(peers.PeerError, match="changed observed"):
        peers.check_filled("p", data, truth + 0.1)
    with pytest.raises(peers.PeerError, match="gave"):
        peers.check_filled("p", data, truth[:, :2])


FAKE = """
import sys
import numpy as np
_, worker, plugin, source, target = sys.argv
x = np.load(source)["x"]
rng = np.random.default_rng(int(np.load(source)["seed"]))
fill = rng.standard_normal(x.shape)
if plugin == "mice":
    fill = np.nanmean(x, axis=0)
if plugin == "miwae":
    raise SystemExit("out of memory")
np.savez(target, x=np.where(np.isnan(x), fill, x))
"""


def test_hyperimpute_in_its_own_python(python, monkeypatch):
    data, _ = _table()
    monkeypatch.delenv(peers.HYPERIMPUTE_PYTHON, raising=False)
    with pytest.raises(peers.PeerError, match="pip install -r") as raised:
        peers.PEERS["hyperimpute"](data, 0)
    assert "\n" not in str(raised.value)
    assert os.path.exists(str(raised.value).split("-r ")[1].split()[0])
    python(FAKE)
    filled = peers.PEERS["hyperimpute"](data, 0)
    assert np.array_equal(filled[data.m], data.x[data.m])
    assert not np.array_equal(filled, peers.PEERS["hyperimpute"](data, 1))
    with pytest.raises(peers.PeerError, match="with a constant"):
        peers.PEERS["hyperimpute_mice"](data, 0)
    with pytest.raises(peers.PeerError, match="out of memory"):
        peers.PEERS["hyperimpute_miwae"](data, 0)


def test_scikit_learns_peers_fill_and_name_their_settings():
    data, _ = _table(30)
    for name in ("mice", "iterative", "knn"):
        filled = peers.PEERS[name](data, 0)
        assert np.allclose(filled[data.m], data.x[data.m])
    assert peers.method_settings("mice")["sample_posterior"] is True
    assert peers.method_settings("knn")["n_neighbors"] == 5
    assert peers.method_settings("missforest")["estimator__n_estimators"] == 100
    for name in peers.PEERS:
        json.dumps(benchmark.method_settings(name))


SMALL_DIFFUSION = {
    "num_iterations": 2,
    "num_steps": 4,
    "batch_size": 32,
    "diffusion_steps": 4,
    "model": {"width": 8},
}
SMALL_MIRI = {
    "source": "noise",
    "num_iterations": 2,
    "num_steps": 4,
    "batch_size": 32,
    "gaussian_rounds": 4,
    "ode_steps": 2,
    "model": {"width": 8},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, settings", [("missdiff", SMALL_DIFFUSION), ("miri", SMALL_MIRI)]
)
def test_masks_together_equal_masks_alone(name, settings):
    _, truth = _table()
    masks = np.random.default_rng(2).random((3, *truth.shape)) > 0.3
    tables = [Masked(jnp.where(m, truth, 0), jnp.asarray(m)) for m in masks]
    data = jax.tree.map(lambda *a: jnp.stack(a), *tables)
    imputer = make_imputer(name, **settings)
    keys = lambda root: jax.random.split(jax.random.key(root), 3)
    # Under vmap a branch not taken is run as well, and the check counts its
    # keys; alone, below, the same functions pass it.
    with jax.debug_key_reuse(False):
        together = benchmark.fit_together(keys(0), imputer, data)
        found = benchmark.draws_together(keys(1), imputer, together, data, 2)
        drawn = list(found)
    for k, table in enumerate(tables):
        alone = fit(keys(0)[k], imputer, table)
        assert int(alone.iteration) == int(together.iteration[k])
        np.testing.assert_allclose(together.x[k], alone.x, atol=2e-3)
        found = draws(keys(1)[k], imputer, alone, table, 2)
        for a, b in zip(found, drawn, strict=True):
            np.testing.assert_allclose(b[k], a, atol=2e-3)


class _Count(NamedTuple):
    iteration: jax.Array
    x: jax.Array
    done: jax.Array


def test_each_of_them_ends_when_it_would_alone():
    def step(key, state, data):
        done = state.iteration + 1 >= jnp.sum(data.x).astype(jnp.int32)
        x = state.x + jax.random.normal(key, state.x.shape)
        return _Count(state.iteration + 1, x, done), {}

    start = lambda key, data: _Count(jnp.int32(0), data.x, jnp.bool_(False))
    imputer = Imputer(jax.jit(start), jax.jit(step), None, 4)
    tables = [
        Masked(jnp.full((1, 1), a), jnp.ones((1, 1), bool))
        for a in (2.0, 1.0, 9.0)
    ]
    keys = lambda: jax.random.split(jax.random.key(0), 3)
    data = jax.tree.map(lambda *a: jnp.stack(a), *tables)
    together = benchmark.fit_together(keys(), imputer, data)
    assert together.iteration.tolist() == [2, 1, 4]
    for k, table in enumerate(tables):
        alone = fit(keys()[k], imputer, table)
        np.testing.assert_allclose(together.x[k], alone.x, rtol=1e-6)


def test_a_job_of_several_masks_gives_a_line_for_each(folder):
    cells = [Cell("energy", "mcar", 0.5, s, "mean", 2) for s in (1, 2)]
    together = benchmark.measure(cells, folder)
    for cell, row in zip(cells, together, strict=True):
        (alone,) = benchmark.measure([cell], folder)
        assert row["together"] == 2 and alone["together"] == 1
        for key in ("realised_rate", "draws", "mmd", "rmse_mean"):
            assert row[key] == pytest.approx(alone[key])


def test_presets_are_what_they_say():
    count = lambda name, methods: sum(
        map(
            len,
            benchmark.jobs(benchmark.PRESETS[name].blocks, methods, False),
        )
    )
    assert count("smoke", ["miri", "mean"]) == 3 * 2
    assert count("full", ["miri"]) == 10 * 3 * (3 + 2 + 1)
    cells = list(benchmark.jobs([BLOCK], ["missdiff", "mice"], True))
    assert [len(some) for some in cells] == [2, 1, 1]
    assert cells[1][0].draws == 1
    cells = list(benchmark.jobs([BLOCK], ["miri", "chained"], True))
    assert [len(some) for some in cells] == [1, 1, 1, 1]  # on the host


def _row(method, seed, mmd, name="wine", **more):
    return {
        "dataset": name,
        "mechanism": "mcar",
        "rate": 0.6,
        "mask_seed": seed,
        "method": method,
        "mmd": mmd,
        "rmse_mean": 2 * mmd,
        "seconds": 1.0,
        **more,
    }


def test_tables_of_known_lines():
    rows = [
        _row("mice", 1, 0.04),
        _row("miri", 1, 0.9),  # an older line of the same cell
        _row("miri", 1, 0.02),
        _row("miri", 2, 0.04),
        _row("mice", 2, 0.06),
        _row("mice", 1, 0.01, "gas"),
        _row("miri", 1, 0.03, "gas"),
        {**_row("gain", 1, 0.5), "failed": "ValueError: no"},
    ]
    text = "\n\n".join(tables.document(rows, []))
    expected = """\
## UCI tables, 60 % MCAR

### MMD of a draw

|  | wine | gas | rank |
|---|---|---|---|
| `miri` | **0.0300 (0.0100)** | 0.0300 [1] | 1.5 |
| `mice` | 0.0500 (0.0100) | **0.0100** [1] | 1.5 |

`miri` is first on 1 of 2 and level, within one of its deviations over its \
masks, on 0; behind on gas (mice)."""
    assert expected in text
    assert text.endswith(
        "## Failed\n\n- `gain` on wine, mcar 0.6, mask 1: ValueError: no"
    )
    assert "MissDiff" not in text and "toy" not in text


def test_a_table_beside_the_papers_own():
    toy = _row("miri_paper", 1, 0.01, "toy", rmse_all=0.9, mae_all=0.3)
    toy["rate"] = 0.3
    text = "\n\n".join(tables.document([toy], []))
    assert (
        "| `miri_paper` | 1 | 0.900 | 0.300 | 0.010 | *0.938 (0.022)* |"
        " *0.325 (0.009)* | *0.036 (0.007)* |"
    ) in text
    new = {
        "dataset": "bike",
        "method": "miri",
        "rate": 0.6,
        "mask_seed": 1,
        "rmse_fitted": 0.8,
        "rmse_new": 0.9,
    }
    text = "\n\n".join(tables.document([], [new]))
    line = "| bike | 60 % MCAR | `miri` | 1 |  |  | 0.800 | 0.900 |"
    assert line in text


def test_level_is_within_a_deviation():
    rows = [_row("miri", 1, 0.02), _row("miri", 2, 0.04)]
    rows += [_row("mice", 1, 0.02), _row("mice", 2, 0.03)]
    text = tables.first_or_level(tables.by_cell(rows), "mcar", 0.6, "mmd")
    assert "first on 0 of 1 and level" in text and text.endswith("on 1.")


def test_rows_are_generated_where_a_method_can(folder, monkeypatch):
    def make_dreamer():
        noise = lambda key, state, shape: jax.random.normal(key, shape)
        return make_imputer("mean")._replace(sample=noise)

    monkeypatch.setitem(generation.IMPUTERS, "dreamer", make_dreamer)
    train, test = generation.load("energy", folder, "mcar_row", 0.25, 1)
    assert len(train.truth) == 32 and len(test) == 8
    assert np.allclose(train.truth.mean(axis=0), 0)
    for method, kind in (
        ("complete", "real"),
        ("mean", "imputed"),
        ("dreamer", "generated"),
    ):
        rows, made = generation.generate(train, method, 1)
        assert rows == kind and made.shape == train.truth.shape
        assert np.array_equal(made[train.m], train.truth[train.m]) == (
            kind != "generated"
        )
    assert generation.score(made, test, train.truth, 1)["rmse"] > 0.1
