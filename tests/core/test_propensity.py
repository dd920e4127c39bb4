"""Weights of observed entries as targets."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core.propensity import fitted, inverse_weights


def _normal(key, n=3000):
    x = jax.random.normal(key, (n, 4))
    return x.at[:, 1].set(0.6 * x[:, 0] + 0.8 * x[:, 1])


def test_weighted_rows_stand_for_all(key):
    """Where a column is lost depends on another and its square."""
    x = _normal(key)
    logits = jnp.stack([1.2 * x[:, 0], 1 - x[:, 3] ** 2 / 2], axis=1)
    seen = jax.random.bernoulli(jax.random.key(5), jax.nn.sigmoid(logits))
    m = jnp.ones(x.shape, bool).at[:, 1:3].set(seen)
    weights = np.asarray(inverse_weights(fitted()(x, m), x))
    x, m = np.asarray(x), np.asarray(m)
    for column, driver, power in ((1, 0, 1), (2, 3, 2)):
        told, every = x[m[:, column], driver] ** power, x[:, driver] ** power
        weight = weights[m[:, column], column]
        assert abs(told.mean() - every.mean()) > 0.25
        mean = np.average(told, weights=weight)
        assert mean == pytest.approx(every.mean(), abs=0.1)
    np.testing.assert_allclose(weights[:, 0], 1, atol=1e-3)  # never lost


def test_weights_stay_where_gaps_are_at_random(key):
    x = _normal(key)
    m = jax.random.bernoulli(jax.random.key(5), 0.4, x.shape)
    weights = np.asarray(inverse_weights(fitted()(x, m), x))
    assert np.sqrt(np.mean((weights - 1) ** 2)) < 0.05


@pytest.mark.parametrize("owners", [None, np.array([0, 1, 2, 2])])
def test_a_column_does_not_tell_of_itself(key, owners):
    """Its imputed values would."""
    x = _normal(key)
    m = jnp.ones(x.shape, bool).at[:, 2].set(x[:, 2] + x[:, 3] > 0)
    layout = owners is not None and types.SimpleNamespace(
        owners=lambda width: owners[:width]
    )
    found = fitted(layout or None)(x, m)
    weights = np.asarray(found.weights)
    told = np.abs(weights[:, 2]).reshape(2, 4).max(axis=0)
    assert told[2] == 0
    assert (told[3] == 0) == (owners is not None)
