"""SGD as a scan: it minimises, it repeats, it can be cut into parts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core import train

OPTIMIZER = train.cosine_adam(0.05, 200)


def _loss(params, batch):
    x, y = batch
    return jnp.mean((x @ params - y) ** 2), {}


def _sample(key):
    x = jax.random.normal(key, (64, 2))
    return x, x @ jnp.array([2.0, -1.0])


def _fit(state, num_steps, ema_decay=0.9):
    return train.sgd(
        jax.random.key(1),
        state,
        _sample,
        num_steps,
        loss_fn=_loss,
        optimizer=OPTIMIZER,
        ema_decay=ema_decay,
    )


def _start():
    return train.init_train_state(jnp.zeros(2), OPTIMIZER)


def test_fit_recovers_linear_regression():
    state, losses = _fit(_start(), 200)
    np.testing.assert_allclose(state.params, [2.0, -1.0], atol=0.02)
    assert losses.shape == (200,)
    assert losses[-1] < 1e-2 * losses[0]


def test_two_parts_equal_one_run():
    whole, losses = _fit(_start(), 30)
    half, first = _fit(_start(), 15)
    rest, second = _fit(half, 15)
    chex.assert_trees_all_equal(whole, rest)
    np.testing.assert_array_equal(losses, jnp.concatenate([first, second]))


def test_average_equals_its_recursion():
    state = _start()
    ema = np.zeros(2)
    for step in range(5):
        state, _ = _fit(state, 1)
        decay = min(0.9, (1 + step) / (10 + step))
        ema = decay * ema + (1 - decay) * np.asarray(state.params)
        np.testing.assert_allclose(state.ema, ema, rtol=1e-5)


def test_no_decay_makes_the_average_the_weights():
    state, _ = _fit(_start(), 3, ema_decay=0.0)
    np.testing.assert_array_equal(state.ema, state.params)


def test_learning_rate_follows_the_cosine():
    """Adam's first step is the rate itself; after the schedule it is 0."""
    optimizer = train.cosine_adam(0.1, 10, clip_norm=1e9)
    params = jnp.zeros(1)
    opt_state = optimizer.init(params)
    sizes = []
    for _ in range(12):
        updates, opt_state = optimizer.update(jnp.ones(1), opt_state)
        sizes.append(float(abs(updates[0])))
    expected = [0.05 * (1 + np.cos(np.pi * min(s, 10) / 10)) for s in range(12)]
    assert sizes == pytest.approx(expected, abs=1e-6)
