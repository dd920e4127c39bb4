"""The energy-I-score: right fillings have the smallest."""

import jax
import numpy as np
import pandas as pd
import pytest

from miri_jax.data import BEIJING
from miri_jax.data.dataset import from_table
from miri_jax.data.tables import make_table
from miri_jax.engine import column_imputer, draw, fit
from miri_jax.imputers import make_imputer
from miri_jax.metrics.energy_i_score import energy_i_score
from tests.imputers.drawing import bad_fillings, conditional, drawing

COV = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
KEY = jax.random.key(0)


def _by_regression(key, x, m, columns, count):
    """Learns the first column from what is known of it, and draws the rest."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    known, out = m[:, 0], np.repeat(x[None], count, axis=0)
    design = np.column_stack([np.ones(len(x)), x[:, 1:]])
    beta, *_ = np.linalg.lstsq(design[known], x[known, 0], rcond=None)
    left = x[known, 0] - design[known] @ beta
    noise = left.std() * rng.normal(size=(count, (~known).sum()))
    out[:, ~known, 0] = design[~known] @ beta + noise
    return out


def _table(mechanism, n=3000):
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal(np.zeros(3), COV, n)
    chance = np.full((n, 1), 0.3)
    if mechanism == "mar":
        chance = 1 / (1 + np.exp(1 - 2 * x[:, :1]))
    return x, rng.random(x.shape) > chance * [0, 1, 1]


@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_a_right_filling_scores_best(mechanism):
    """One imputer throughout: only what was filled in differs."""
    x, m = _table(mechanism)
    rng, right = np.random.default_rng(1), conditional(COV)
    shown = np.where(m, x, 0)
    of = lambda fill: energy_i_score(
        KEY, np.where(m, x, fill(rng, shown, m)), m, _by_regression
    )
    best, truth = of(right), of(lambda rng, a, known: x)
    assert best.used == {1: (0,), 2: (0,)}
    assert best.score == pytest.approx(truth.score, abs=3 * best.error)
    for name, fill in bad_fillings(x, m, right).items():
        found = of(fill)
        assert found.score > best.score + 2 * best.error, name
        assert found.error > 0


@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_the_right_method_scores_better_than_wrong_ones(mechanism):
    """Other methods that fill by what they know of the truth."""
    x, m = _table(mechanism, 1500)
    shown = np.where(m, x, 0).astype(np.float32)

    def of(name):
        def make(layout):
            k = len(layout.names)
            order = [1, 0] if k == 2 else range(3)
            cov = COV[np.ix_(order, order)][:k, :k]
            right = conditional(cov)
            ones = np.tile(shown[:, :1], k), np.ones((len(m), k), bool)
            return drawing({"right": right, **bad_fillings(*ones, right)}[name])

        layout = _Two()
        return energy_i_score(
            KEY, x, m, column_imputer(make, layout), columns=[1]
        ).score

    best = of("right")
    for name in ("mean", "constant", "hot deck", "permuted", "noise"):
        assert of(name) > best + 0.03, name
    assert of("noise") > max(of("hot deck"), of("permuted"))


class _Two:
    """The least layout of numbers, which tells how many there are."""

    def __init__(self, names=(0, 1, 2)):
        self.names, self.levels = names, (0,) * len(names)

    def take(self, columns):
        return _Two(tuple(self.names[j] for j in columns))

    def owners(self, width):
        return np.arange(width)

    def pack(self, values, place):
        return values.astype(np.float32)

    def unpack(self, x):
        return np.asarray(x, np.float64)


def test_it_is_the_papers_up_to_its_sign_and_fairness():
    x = np.array([[1.0, 5], [2, 6], [4, 7], [0, 8]])
    m = np.array([[True, True], [True, True], [True, True], [False, True]])
    drawn = np.array([[0.0, 2, 3], [1, 1, 5]])

    def impute(key, x, m, columns, count):
        assert columns == (0, 1) and m[:, 0].tolist() == [0, 0, 0, 1]
        out = np.repeat(x[None], 2, axis=0)
        out[:, :3, 0] = drawn
        return out

    found = energy_i_score(KEY, x, m, impute, draws=2)
    apart = np.abs(drawn - x[:3, 0]).mean(axis=0)
    spread = np.abs(drawn[0] - drawn[1]) / 2  # of 2 draws, fair
    sd = x[:3, 0].std()
    assert found.score == pytest.approx(np.mean(apart - spread) / sd)
    assert found.weights == {0: pytest.approx(3 / 16)}
    nothing = energy_i_score(KEY, x, np.ones_like(m), impute)
    assert np.isnan(nothing.score)


def test_where_no_column_is_complete_the_most_observed_one_is_used():
    m = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], bool)
    impute = lambda key, x, m, columns, count: np.repeat(x[None], count, 0)
    found = energy_i_score(KEY, np.arange(15.0).reshape(5, 3), m, impute)
    assert found.used == {0: (1,), 1: (0,), 2: (0,)}


def test_on_a_real_table_chained_is_above_hot_deck_and_noise():
    """Hours of the shipped table, gaps made in three columns by the hour."""
    frame = pd.read_csv(BEIJING).dropna()[::13]
    rng = np.random.default_rng(0)
    late = (frame["hour"] - 12) / 7
    for name in ("pm2.5", "TEMP", "cbwd"):
        gone = rng.random(len(frame)) < 1 / (1 + np.exp(0.8 - late))
        frame[name] = frame[name].mask(gone)
    missing = frame.isna().to_numpy()
    dataset = from_table(make_table(frame.reset_index(drop=True), missing))
    data, layout = dataset.masked(), dataset.layout()

    def score(make):
        imputer = make(layout)
        state = fit(KEY, imputer, data)
        filled = layout.unpack(draw(jax.random.key(1), imputer, state, data))
        return energy_i_score(
            jax.random.key(2),
            filled,
            layout.observed(np.asarray(data.m)),
            column_imputer(make, layout),
            levels=layout.levels,
        ).score

    x, m = map(np.asarray, data)
    bad = bad_fillings(x, m, lambda rng, a, known: a)
    entries = {
        name: np.flatnonzero(layout.owners(x.shape[1]) == j)
        for j, name in enumerate(layout.names)
    }

    def wrong(name):
        def make(part):
            own = np.concatenate([entries[one] for one in part.names])

            def fill(rng, a, known):
                whole = np.zeros((len(a), x.shape[1]))
                return bad[name](rng, whole, None)[:, own]

            return drawing(fill)

        return score(make)

    chained = score(lambda part: make_imputer("chained", layout=part))
    found = {
        name: wrong(name) for name in ("hot deck", "mean", "noise", "constant")
    }
    assert chained < 0.9 * found["hot deck"]
    others = found["mean"], found["noise"], found["constant"]
    assert found["hot deck"] < min(others)
