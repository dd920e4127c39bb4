"""Known cells hidden as gaps are, and filled again: right above wrong."""

import jax
import numpy as np
import pytest

from miri_jax.data import load_dataset
from miri_jax.engine import overimpute
from miri_jax.engine.overimputing import hide, weights_of
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.imputers import make_imputer
from miri_jax.sources.chained import table_of
from miri_jax.types import Masked
from tests.imputers.drawing import bad_fillings, conditional, drawing

COV = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


def _normal(mechanism, n=1500):
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal(np.zeros(3), COV, n).astype(np.float32)
    m = rng.random(x.shape) > 0.25
    if mechanism == "mar":
        chance = 1 / (1 + np.exp(1 - 2 * x[:, :1]))
        m = rng.random(x.shape) > chance * [0, 1, 1]
    return Masked(*jax.device_put((np.where(m, x, 0).astype(np.float32), m)))


@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_right_draws_score_better_than_any_wrong_filling(mechanism):
    data = _normal(mechanism)
    key, right = jax.random.key(1), conditional(COV)
    best = overimpute(key, drawing(right), data, folds=2)
    for one in best.columns.values():
        assert abs(one.coverage_90 - 0.9) < 3 * one.coverage_error
        assert abs(one.bias) < 3 * one.bias_error
    x, m = map(np.asarray, data)
    score = {}
    for name, fill in bad_fillings(x, m, right).items():
        found = overimpute(key, drawing(fill), data, folds=2)
        score[name] = found.mean("score")
        assert score[name] > best.mean("score") + 0.05, name
        if name in ("mean", "constant", "mean of draws"):
            assert found.mean("coverage_90") < 0.5
    hot = [score[name] for name in ("hot deck", "permuted")]
    assert max(hot) < score["noise"] < score["constant"]


def test_hidden_cells_are_as_gaps_are():
    """Under MAR the hidden cells, weighted, have the gaps' distribution."""
    data = _normal("mar", 6000)
    table = table_of(data, None)
    x, m = map(np.asarray, data)
    hidden = hide(jax.random.key(0), table, 0.2)
    assert not (hidden & ~m).any()
    assert not hidden[:, 0].any()  # it has no gaps
    for j in (1, 2):
        cells, weight = hidden[:, j], weights_of(table, hidden, j)
        average = lambda values: np.average(values[cells], weights=weight)
        known, gaps = x[m[:, j], 0].mean(), x[~m[:, j], 0].mean()
        # Few known cells are like those that are missing most often.
        assert known + 0.75 * (gaps - known) < average(x[:, 0]) < gaps + 0.1
        other = (m & ~hidden)[:, 3 - j]
        assert average(other) == pytest.approx(
            m[~m[:, j], 3 - j].mean(), abs=0.1
        )


def test_columns_that_go_missing_together_are_hidden_together():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    m = np.ones(x.shape, bool)
    m[:, 1:3] = rng.random((2000, 1)) > 0.2
    table = table_of(Masked(np.where(m, x, 0), m), None)
    cells = hide(jax.random.key(0), table, 0.2)
    np.testing.assert_array_equal(cells[:, 1], cells[:, 2])
    assert 0.1 < cells[:, 1].mean() < 0.3 and not cells[:, [0, 3]].any()


def test_in_a_wide_table_a_few_columns_tell_of_gaps():
    """Of 60 columns the one that drives the gaps is among them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 60)).astype(np.float32)
    m = rng.random(x.shape) > 0.1
    m[:, 0] = True
    m[:, 7] = rng.random(1500) > 1 / (1 + np.exp(1 - 2 * x[:, 0]))
    table = table_of(Masked(np.where(m, x, 0), m), None)
    cells = hide(jax.random.key(0), table, 0.3)[:, 7]
    hidden = np.zeros(m.shape, bool)
    hidden[:, 7] = cells
    weight = weights_of(table, hidden, 7)
    driver = np.average(x[cells, 0], weights=weight)
    assert driver > x[m[:, 7], 0].mean() + 0.5


def test_no_column_loses_more_than_half_of_its_cells():
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    m = np.ones(x.shape, bool)
    m[5:, 1] = False
    table = table_of(Masked(np.where(m, x, 0), m), None)
    for key in jax.random.split(jax.random.key(1), 9):
        assert 1 <= hide(key, table, 0.5)[:, 1].sum() <= 2
    m[:, 1] = False
    with pytest.raises(DataError, match="no column has both gaps and values"):
        hide(jax.random.key(0), table_of(Masked(x, m), None), 0.5)


@pytest.fixture(scope="module")
def beijing():
    """600 hours of the shipped table, spaced so that gaps are in no runs."""
    whole = load_dataset(source="table", path="beijing")
    return whole.take(slice(0, None, 7))


def test_on_the_shipped_table_chained_is_above_hot_deck_and_noise(beijing):
    data, layout = beijing.masked(), beijing.layout()
    of = lambda imputer: overimpute(
        jax.random.key(0), imputer, data, layout=layout
    )
    found = of(make_imputer("chained", layout=layout))
    (one,) = found.columns.values()
    assert set(found.columns) == {"pm2.5"} and one.cells > 30
    bad = bad_fillings(*map(np.asarray, data), lambda rng, x, m: x)
    score = {
        name: of(drawing(bad[name])).mean("score")
        for name in ("hot deck", "noise", "mean", "constant")
    }
    assert found.mean("score") < 0.85 < score["hot deck"]
    assert score["hot deck"] < min(score["mean"], score["noise"])
    as_dict = found.as_dict()
    assert as_dict["columns"]["pm2.5"]["cells"] == one.cells
    assert "accuracy" not in as_dict["columns"]["pm2.5"]


def test_what_cannot_be_checked_is_refused():
    data, fill = _normal("mcar", 60), conditional(COV)
    key, imputer = jax.random.key(0), drawing(fill)
    with pytest.raises(ConfigError, match="one imputation a fit"):
        overimpute(key, drawing(fill, redraws=False), data)
    for settings, what in (
        ({"draws": 1}, "draws is 1; ask for a whole number from 2"),
        ({"folds": 0}, "folds is 0"),
        ({"share": 0.9}, "share is 0.9; give a share"),
    ):
        with pytest.raises(ConfigError, match=what):
            overimpute(key, imputer, data, **settings)
