"""TabCSDI: the split, what is learned from it, and what is drawn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.engine import draws, fit
from miri_jax.imputers import _ddpm, make_imputer, tabcsdi
from miri_jax.types import Masked


def _splits(m, target_share, n=2000):
    keys = jax.random.split(jax.random.key(0), n)
    split = lambda key: tabcsdi.split_observed(key, m, target_share)
    return np.asarray(jax.jit(jax.vmap(split))(keys))


@pytest.mark.parametrize("target_share", [None, 0.8])
def test_split_is_a_partition_of_the_observed_entries(target_share):
    m = np.array([True, False, True, True, False, True])
    cond, target = _splits(jnp.asarray(m), target_share)
    np.testing.assert_array_equal(cond ^ target, np.tile(m, (2000, 1)))
    assert not (cond & target).any()
    # Every observed entry is a target equally often.
    share = target.mean(0)[m]
    np.testing.assert_allclose(share, share.mean(), atol=4 * 0.5 / 2000**0.5)


def test_number_of_targets():
    """Uniform on 1 ... 4, or the authors' share, rounded."""
    m = jnp.array([True, True, False, True, True])
    counts = _splits(m, None)[1].sum(1)
    found = np.bincount(counts, minlength=5) / 2000
    error = 4 * (0.25 * 0.75 / 2000) ** 0.5
    np.testing.assert_allclose(found, [0, 0.25, 0.25, 0.25, 0.25], atol=error)
    assert set(_splits(m, 0.8)[1].sum(1).tolist()) == {3}
    # With two columns the authors' share leaves nothing to condition on.
    assert not _splits(jnp.array([True, True]), 0.8, 50)[0].any()


def test_nothing_observed_is_split_into_nothing():
    m = jnp.zeros(3, bool)
    cond, target = tabcsdi.split_observed(jax.random.key(0), m, None)
    assert not cond.any() and not target.any()


def _batch(key, data, schedule):
    draw = partial(tabcsdi.split_batch, batch_size=300, target_share=None)
    return jax.jit(draw)(key, data, schedule)


def test_loss_is_over_targets_only(key, table):
    """A zero network: the mean of their squared noise."""
    data, _ = table
    schedule = _ddpm.quadratic_schedule(50)
    hidden = Masked(jnp.where(data.m, data.x, jnp.nan), data.m)
    batch = _batch(key, hidden, schedule)
    x_t, x_cond, cond = map(np.asarray, batch.inputs)
    target = np.asarray(batch.counts)
    assert np.isfinite(x_t).all() and np.isfinite(x_cond).all()
    assert not (cond & target).any()
    # The network sees each entry once: clean where it is conditioned on.
    assert not x_t[cond].any() and not x_cond[~cond].any()
    zero = lambda params, inputs, t: jnp.zeros_like(inputs[0])
    loss, _ = _ddpm.noise_loss((), zero, batch)
    expected = np.mean(np.asarray(batch.noise)[target] ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_targets_are_diffused_observed_entries(key, table):
    data, _ = table
    schedule = _ddpm.quadratic_schedule(50)
    batch = _batch(key, data, schedule)
    # Later the signal is too small to be told from rounding.
    early = np.asarray(batch.t) < 30
    x0 = batch.inputs[0] - schedule.noise[batch.t][:, None] * batch.noise
    x0 = np.asarray(x0 / schedule.signal[batch.t][:, None])
    x = np.where(
        batch.counts, x0, np.where(batch.inputs[2], batch.inputs[1], 0)
    )
    rows = np.where(data.m, data.x, 0)
    nearest = abs(x[early][:, None] - rows[None]).max(-1).min(-1)
    assert nearest.max() < 1e-4


def test_draws_have_the_conditional_mean_and_variance(plane):
    """x2 given x1 of a normal plane with correlation 0.8, 20 % missing."""
    imputer = make_imputer(
        "tabcsdi",
        num_iterations=2,
        num_steps=700,
        batch_size=64,
        learning_rate=4e-3,
        model={"width": 32, "depth": 1},
    )
    state = fit(jax.random.key(0), imputer, plane)
    given = np.linspace(-1.5, 1.5, 2000, dtype=np.float32)
    x = jnp.stack([jnp.asarray(given), jnp.zeros(2000)], axis=1)
    seen = jnp.ones((2000, 2), bool).at[:, 1].set(False)
    drawn = imputer.impute(jax.random.key(2), state, Masked(x, seen))[:, 1]
    slope, intercept = np.polyfit(given, drawn, 1)
    assert slope == pytest.approx(0.8, abs=0.1)
    assert intercept == pytest.approx(0.0, abs=0.1)
    residual = np.std(drawn - slope * given)
    assert residual == pytest.approx(0.6, abs=0.1)


@pytest.mark.parametrize(
    "name", [pytest.param("missdiff", marks=pytest.mark.slow), "tabcsdi"]
)
def test_degenerate_columns_and_rows(name):
    """A constant column, one with a single entry, one without, empty rows."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((60, 4)).astype(np.float32)
    truth[:, 1] = 0.5
    m = rng.random(truth.shape) > 0.4
    m[:, 2], m[:, 3], m[5] = False, False, False
    m[7, 2] = True
    data = Masked(jnp.where(m, truth, 0), jnp.asarray(m))
    imputer = make_imputer(
        name,
        num_iterations=1,
        num_steps=5,
        diffusion_steps=8,
        model={"width": 8},
    )
    state = fit(jax.random.key(0), imputer, data)
    one, two = draws(jax.random.key(1), imputer, state, data, 2)
    for x in map(np.asarray, (state.x, one, two)):
        assert np.isfinite(x).all()
        np.testing.assert_array_equal(x[:, 1], np.float32(0.5))
        np.testing.assert_array_equal(x[:, 2], truth[7, 2])
        np.testing.assert_array_equal(x[:, 3], 0)
    assert np.mean((one == two)[~m[:, 0], 0]) < 0.5
