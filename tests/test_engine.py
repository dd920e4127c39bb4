"""The engine: fits that go back, draws within bounds, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from miri_jax import engine
from miri_jax.exceptions import (
    ConfigError,
    DataError,
    DivergedError,
    NonFiniteError,
)
from miri_jax.imputers import make_imputer
from miri_jax.types import Masked, Region


def _diverging(limit, rate=1.0):
    """Means, with a loss that is NaN at iteration 3 above a learning rate."""
    mean = make_imputer("mean")

    def step(key, state, data):
        state, _ = mean.step(key, state, data)
        loss = jnp.full(4, rate)
        if int(state.iteration) == 3 and rate > limit:
            loss = loss.at[2].set(jnp.nan)
        return state, {"loss": loss}

    return mean._replace(
        step=step,
        num_iterations=5,
        slowed=lambda scale: _diverging(limit, scale),
    )


class _Notes(engine.Watch):
    def __init__(self):
        self.said, self.rates, self.ended = [], [], 0

    def step(self, now, info, *, last):
        self.rates.append(float(info["loss"][0]))

    def diverged(self, sentence):
        self.said.append(sentence)

    def end(self):
        self.ended += 1


def test_a_diverged_fit_goes_back_with_smaller_steps(table):
    watch = _Notes()
    state = engine.fit(
        jax.random.key(0), _diverging(0.1), table[0], watch=watch
    )
    assert int(state.iteration) == 5 and watch.ended == 1
    # Without anything saved, back is the start.
    assert watch.rates == [1, 1, 0.25, 0.25, *[0.0625] * 5]
    assert len(watch.said) == 2
    assert "iteration 3, SGD step 2" in watch.said[0]
    assert "last good state is the start; going back" in watch.said[0]


def test_a_fit_that_always_diverges_ends_with_a_diagnosis(table):
    with pytest.raises(DivergedError, match="did not help, 3 times; try"):
        engine.fit(jax.random.key(0), _diverging(0), table[0])
    without = _diverging(0)._replace(slowed=None)
    with pytest.raises(NonFiniteError, match="is the start$"):
        engine.fit(jax.random.key(0), without, table[0])


def test_a_methods_learning_rate_is_the_one_that_shrinks():
    imputer = make_imputer("knewimp", learning_rate=0.01, num_steps=3)
    assert imputer.slowed(0.25) is not None
    assert make_imputer("mean").slowed is None


def test_saved_states_go_on_to_the_same_bits(table):
    imputer = make_imputer("gaussian", num_iterations=6)
    whole = engine.fit(jax.random.key(0), imputer, table[0])

    class Resumed(engine.Watch):
        """From what another fit had after three steps."""

        kept_state = None

        def resume(self, imputer, data):
            if self.kept_state is not None:
                return engine.Snapshot(3, self.kept_state)

        def step(self, now, info, *, last):
            if now.step == 3 and self.kept_state is None:
                self.kept_state = jax.tree.map(jnp.array, now.state)

    watch = Resumed()
    engine.fit(jax.random.key(0), imputer, table[0], watch=watch)
    again = engine.fit(jax.random.key(0), imputer, table[0], watch=watch)
    np.testing.assert_array_equal(again.x, whole.x)


def test_draws_are_the_same_alone_in_a_set_and_padded(table):
    data = table[0]
    imputer = make_imputer("gaussian", num_iterations=5)
    state = engine.fit(jax.random.key(0), imputer, data)
    of = lambda data, **how: engine.draws(
        jax.random.key(3), imputer, state, data, 3, spread_out=False, **how
    )
    first, *others = of(data)
    alone = engine.draw(jax.random.key(3), imputer, state, data)
    np.testing.assert_array_equal(first, alone)
    gaps = ~np.asarray(data.m)
    for other in others:
        assert np.mean(other[gaps] == first[gaps]) < 0.01
    # Rows behind others change nothing in them.
    few = Masked(data.x[:40], data.m[:40])
    np.testing.assert_allclose(next(of(few)), first[:40], atol=1e-5)


def test_what_cannot_draw_again_gives_its_table(table):
    data = table[0]
    imputer = make_imputer(
        "miri_paper",
        num_iterations=2,
        num_steps=5,
        ode_steps=2,
        model={"width": 8},
    )
    assert not imputer.redraws
    state = engine.fit(jax.random.key(0), imputer, data)
    for seed in (0, 1):
        x = engine.draw(jax.random.key(seed), imputer, state, data)
        np.testing.assert_array_equal(x, state.x)
    with pytest.raises(ConfigError, match="one imputation a fit"):
        list(engine.draws(jax.random.key(0), imputer, state, data, 2))
    # Cells outside go to the bound: nobody redraws them.
    gaps = ~np.asarray(data.m)
    low, high = np.full((2, 3), [[-0.1], [0.1]])
    x = engine.draw(
        jax.random.key(0), imputer, state, data, bounds=Region(low, high)
    )
    expected = np.clip(state.x, np.float32(-0.1), np.float32(0.1))
    np.testing.assert_array_equal(x[gaps], expected[gaps])
    np.testing.assert_array_equal(x[~gaps], np.asarray(data.x)[~gaps])


def test_bounded_cells_are_truncated_given_the_rest_of_their_row():
    """A normal plane with correlation 0.8, the second column cut at 0.

    Given x1, imputed x2 follow N(0.8 x1, 0.6^2) truncated below 0: their
    probability transforms are uniform. Rows that were thrown away and drawn
    again would be too, but nothing would be left of x1's own imputations.
    """
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((6000, 2)).astype(np.float32)
    truth[:, 1] = 0.8 * truth[:, 0] + 0.6 * truth[:, 1]
    m = np.ones(truth.shape, bool)
    m[:3000, 1] = False
    m[1000:2000, 0] = False  # both are missing
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer("gaussian", num_iterations=20, shrinkage=0.0)
    state = engine.fit(jax.random.key(1), imputer, data)
    bounds = Region(np.array([-np.inf, 0.0]), np.full(2, np.inf))
    x = engine.draw(jax.random.key(2), imputer, state, data, bounds=bounds)
    assert (x[:3000, 1] >= 0).all()
    free = engine.draw(jax.random.key(2), imputer, state, data)
    kept = free[:3000, 1] >= 0
    np.testing.assert_array_equal(x[:3000][kept], free[:3000][kept])
    # Where x1 is imputed as well it stays as it was drawn.
    np.testing.assert_array_equal(x[1000:2000, 0], free[1000:2000, 0])
    seen = np.r_[0:1000, 2000:3000]
    mean = 0.8 * truth[seen, 0]
    cut = stats.norm.cdf((0 - mean) / 0.6)
    place = (stats.norm.cdf((x[seen, 1] - mean) / 0.6) - cut) / (1 - cut)
    # Only where nearly nothing lies inside is the bound itself taken.
    assert np.mean(cut > 0.9) > 0.05 and (cut[x[seen, 1] == 0] > 0.95).all()
    likely = cut < 0.95
    assert stats.kstest(place[likely], "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    "x, m, message",
    [
        (np.zeros((3, 2), np.float32), np.ones((3, 1), bool), "has shape"),
        (np.zeros((0, 2), np.float32), np.ones((0, 2), bool), "has shape"),
        (np.zeros(3, np.float32), np.ones(3, bool), "has shape"),
        (np.zeros((3, 2)), np.ones((3, 2), bool), "give float32"),
        (np.zeros((3, 2), np.float32), np.ones((3, 2)), "bool that is"),
        (np.full((3, 2), np.nan, np.float32), np.ones((3, 2), bool), "put 0"),
    ],
)
def test_data_of_another_form_are_refused(x, m, message):
    with pytest.raises(DataError, match=message):
        engine.fit(jax.random.key(0), make_imputer("mean"), Masked(x, m))


def test_resampled_columns_keep_an_observed_cell():
    m = np.ones((40, 3), bool)
    m[1:, 0] = False
    rows = engine.resample(jax.random.key(0), m)
    assert m[rows].any(axis=0).all() and len(np.unique(rows)) < 40
    seldom = np.zeros((40, 25), bool)
    seldom[np.arange(25), np.arange(25)] = True
    assert seldom[engine.resample(jax.random.key(0), seldom)].any(axis=0).all()


def test_several_fits_differ_and_the_first_is_the_only_one_s(table):
    imputer = make_imputer("gaussian", num_iterations=4)
    one = engine.fit(jax.random.key(0), imputer, table[0])
    first, second = engine.fit_many(jax.random.key(0), imputer, table[0], 2)
    np.testing.assert_array_equal(first.x, one.x)
    assert not np.array_equal(second.x, one.x)


def test_the_best_try_of_each_row_is_the_first_with_most_inside():
    inside = np.array(
        [
            [[0, 0], [1, 0], [0, 1]],
            [[1, 0], [1, 1], [1, 1]],
            [[0, 0], [0, 0], [0, 0]],
        ],
        bool,
    )
    best = engine.drawing._first_best(inside)
    np.testing.assert_array_equal(best, [1, 1, 0])


def test_cells_are_bounded_alike_alone_among_others_and_in_any_order():
    """Half of the cells lie outside at first: one call does not hold them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2)).astype(np.float32)
    x[300:, 0] = 0.25  # equal rows
    x[:, 1] = 0
    m = np.tile([True, False], (400, 1))
    imputer = make_imputer("gaussian", num_iterations=2)
    state = imputer.init(jax.random.key(1), Masked(*map(jnp.asarray, (x, m))))
    bounds = Region(np.array([-np.inf, 0.5]), np.full(2, np.inf))

    def draw(rows):
        data = Masked(jnp.asarray(x[rows]), jnp.asarray(m[rows]))
        key = jax.random.key(2)
        return engine.draw(key, imputer, state, data, bounds=bounds)[:, 1]

    every = draw(np.arange(400))
    assert (every > 0.5).all() and len(np.unique(every)) == 400
    for row in (*range(40), 300):
        np.testing.assert_allclose(draw([row]), every[row], atol=1e-5)
    order = rng.permutation(300)
    np.testing.assert_allclose(draw(order), every[order], atol=1e-5)
    # The upper 31 % of a normal.
    tail = stats.norm.sf(every) / stats.norm.sf(0.5)
    assert stats.kstest(tail, "uniform").pvalue > 1e-3
