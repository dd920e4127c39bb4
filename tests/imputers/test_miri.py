"""miri and its presets: iterations, early stopping, what they keep."""

import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import fit
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import _early_stopping, make_imputer, miri
from miri_jax.imputers._early_stopping import Stop
from miri_jax.types import Masked
from tests.imputers.small import (
    fit_case,
    make_case,
    normal_with_gaps,
    small_settings,
)


def test_slices_add_up_to_an_iteration(table):
    """An iteration cut into parts ends where the whole one does."""
    whole, _ = fit_case(make_case("miri_paper"), table[0])
    parts, infos = fit_case(make_case("miri_paper num_slices=4"), table[0])
    assert len(infos) == 8 and infos[0]["loss"].shape == (2,)
    np.testing.assert_allclose(whole.x, parts.x, atol=1e-5)


def test_paper_starts_each_iteration_afresh(table):
    """Algorithm 1, line 3, against the warm start of the fast preset."""
    data, _ = table
    for case, continues in (
        ("miri_paper", False),
        ("miri source=gaussian", True),
    ):
        imputer = make_case(case)
        state = imputer.init(jax.random.key(0), data)
        state, _ = imputer.step(jax.random.key(1), state, data)
        first = int(state.train.step)
        state, _ = imputer.step(jax.random.key(2), state, data)
        assert int(state.train.step) == first * (2 if continues else 1)


def test_paper_keeps_the_velocity_of_every_iteration(table):
    data, _ = table
    imputer = make_case("miri_paper")
    state = imputer.init(jax.random.key(0), data)
    kept = []
    for i in range(imputer.num_iterations):
        state, _ = imputer.step(jax.random.key(i), state, data)
        kept.append(jax.tree.map(np.asarray, state.train.params))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *kept)
    chex.assert_trees_all_equal(state.kept, stacked)


def test_new_draws_need_kept_velocities(table):
    imputer = make_imputer(
        "miri_paper",
        keep_velocities=False,
        num_iterations=1,
        num_steps=2,
        ode_steps=2,
        model={"width": 8},
    )
    state, _ = fit_case(imputer, table[0])
    with pytest.raises(ConfigError, match="keep_velocities=True"):
        imputer.impute(jax.random.key(0), state, table[0])


@pytest.mark.parametrize(
    "source",
    ["gaussian", pytest.param("noise", marks=pytest.mark.slow), "previous"],
)
def test_miri_meets_the_conditional_mean_of_a_normal(source):
    """E[x_mis | x_obs] of a bivariate normal, within its standard error."""
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((3000, 2)).astype(np.float32)
    truth[:, 1] = 0.8 * truth[:, 0] + 0.6 * truth[:, 1]
    m = np.ones(truth.shape, bool)
    m[:1500, 1] = False  # column 2 is hidden, MCAR, in half the rows
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer(
        "miri",
        source=source,
        num_iterations=6,
        num_steps=150,
        batch_size=256,
        model={"width": 48},
    )
    state, _ = fit_case(imputer, data)
    x = np.asarray(state.x)[:1500]
    slope, intercept = np.polyfit(x[:, 0], x[:, 1], 1)
    # Standard errors: the draws' and the fit's, each 0.6 / sqrt(n).
    assert slope == pytest.approx(0.8, abs=4 * 0.6 / 1500**0.5 * 2**0.5)
    assert intercept == pytest.approx(0.0, abs=4 * 0.6 / 1500**0.5 * 2**0.5)
    residual = x[:, 1] - slope * x[:, 0] - intercept
    assert residual.std() == pytest.approx(0.6, abs=0.08)


def test_early_stopping_keeps_the_best_weights():
    """Overtrained on 60 rows, the fit ends early and holds its best loss."""
    data, _, _ = normal_with_gaps(60, 0.4)
    imputer = make_imputer(
        "miri",
        source="gaussian",
        num_iterations=30,
        num_steps=40,
        batch_size=64,
        held_out=0.2,
        patience=3,
        model={"width": 32},
    )
    state, infos = fit_case(imputer, data)
    assert bool(state.done) and int(state.iteration) < 30
    assert int(state.held_out.since) == 3
    losses = [float(info["held_out_loss"]) for info in infos]
    assert losses == sorted(losses, reverse=True)
    # Draws come from the weights of that loss, not from the last ones.
    nowhere = jax.tree.map(jnp.ones_like, state.train.ema)
    other = state._replace(train=state.train._replace(ema=nowhere))
    of = lambda s: imputer.impute(jax.random.key(1), s, data)
    np.testing.assert_array_equal(of(state), of(other))
    worse = state._replace(held_out=state.held_out._replace(best=nowhere))
    assert not np.array_equal(of(state), of(worse))


def test_held_out_entries_are_observed_and_no_targets():
    m = jax.random.bernoulli(jax.random.key(0), 0.5, (300, 4))
    held = _early_stopping.hold_out(
        jax.random.key(1), m, jnp.arange(300), Stop(0.1, 1), {}
    )
    entries = m & ~held.targets
    assert not bool((held.targets & ~m).any())
    share = float(entries.sum() / m.sum())
    assert share == pytest.approx(0.1, abs=4 * (0.09 / 600) ** 0.5)


def test_a_level_is_held_out_as_a_whole():
    """The other entries of a level told the one that was held out."""
    owners = np.array([0, 1, 1, 1])
    layout = types.SimpleNamespace(owners=lambda width: owners[:width])
    m = jax.random.bernoulli(jax.random.key(0), 0.5, (300, 2))[:, owners]
    held = _early_stopping.hold_out(
        jax.random.key(1), m, jnp.arange(300), Stop(0.1, 1, layout), {}
    )
    entries = np.asarray(m & ~held.targets)
    assert (entries[:, 1:] == entries[:, 1:2]).all()
    assert 0.05 < entries[:, 1].sum() / m[:, 1].sum() < 0.15
    assert not (entries[:, 0] == entries[:, 1]).all()


def test_more_rows_than_an_iteration_takes():
    """Iterations take turns over the rows; the last one moves them all."""
    data, truth, cov = normal_with_gaps(3000, 0.3)
    imputer = make_imputer(
        "miri",
        source="gaussian",
        max_rows=500,
        chunk=128,
        num_iterations=3,
        num_steps=20,
        batch_size=64,
        model={"width": 16},
    )
    state = fit(jax.random.key(0), imputer, data)
    x = np.asarray(state.x)
    assert bool(state.done)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.12)
    gaps = ~np.asarray(data.m)
    assert np.std((x - truth)[gaps]) > 0.3  # they are draws
    first = imputer.init(jax.random.key(0), data).x
    assert np.all(np.asarray(first)[gaps] != x[gaps])


@pytest.mark.parametrize(
    ("method", "recipe", "words"),
    [
        ("miri", miri.FAST, {"source": "gaussian"}),
        pytest.param(*("miri_paper", miri.PAPER, {}), marks=pytest.mark.slow),
    ],
)
def test_the_words_defaults_are_the_recipes(method, recipe, words, table):
    """Two places have them: the signature, for configs, and the expression."""
    few = recipe.sgd._replace(num_steps=lambda shape: 6)
    by_recipe = miri.miri(recipe._replace(sgd=few, num_iterations=2))
    by_words = make_imputer(method, num_steps=6, num_iterations=2, **words)
    every = make_imputer(method, **words)
    assert every.num_iterations == recipe.num_iterations
    one, other = (
        fit(jax.random.key(0), imputer, table[0])
        for imputer in (by_recipe, by_words)
    )
    chex.assert_trees_all_equal(one, other)


@pytest.mark.slow
def test_few_rows_teach_to_draw_many():
    """The network had the width that the drawn rows would be learnt with."""
    few, _, _ = normal_with_gaps(300, 0.3)
    many, _, _ = normal_with_gaps(12000, 0.3)
    assert miri.auto_width(few.x.shape) < miri.auto_width(many.x.shape)
    settings = small_settings("miri", source="gaussian")
    settings.pop("model", None)
    imputer = make_imputer("miri", **settings)
    state, _ = fit_case(imputer, few)
    x = np.asarray(imputer.impute(jax.random.key(1), state, many))
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x[many.m], np.asarray(many.x)[many.m])
