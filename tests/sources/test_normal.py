"""The conditional Gaussian: its draws, its regression, its fit to gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.imputers import make_imputer
from miri_jax.sources import normal as gaussian
from miri_jax.types import Masked
from tests.imputers.small import fit_case, normal_with_gaps


@pytest.mark.parametrize("share", [1, 20000])  # conjugate gradients, sweep
def test_conditional_draw_equals_the_normal_distribution(share):
    """Mean and covariance of x_mis | x_obs, within their standard error."""
    _, _, cov = normal_with_gaps(1, 0)
    mean = np.array([1.0, -2.0, 0.5])
    normal = gaussian.Gaussian(
        jnp.asarray(mean, jnp.float32),
        jnp.asarray(cov, jnp.float32),
        jnp.asarray(np.linalg.cholesky(cov), jnp.float32),
    )
    m = jnp.array([False, True, False])
    x = jnp.array([0.0, 1.5, 0.0])
    n = 20000
    noise = jax.random.normal(jax.random.key(0), (n // share, share, 3))
    x_obs = jnp.broadcast_to(x, noise.shape)
    draw = lambda z, x: gaussian.conditional_draw(z, x, m, normal, 20)
    drawn, means = np.reshape(jax.vmap(draw)(noise, x_obs), (2, n, 3))
    gain = cov[[0, 2], 1] / cov[1, 1]
    expected = mean[[0, 2]] + gain * (1.5 - mean[1])
    left = cov[np.ix_([0, 2], [0, 2])] - np.outer(gain, cov[1, [0, 2]])
    error = np.sqrt(np.diag(left) / n)
    assert np.all(abs(drawn[:, [0, 2]].mean(0) - expected) < 4 * error)
    np.testing.assert_allclose(
        np.cov(drawn[:, [0, 2]].T), left, atol=4 * left.max() * (2 / n) ** 0.5
    )
    np.testing.assert_array_equal(drawn[:, 1], np.float32(1.5))
    np.testing.assert_allclose(means[0, [0, 2]], expected, atol=5e-3)
    # Elsewhere rows may be rounded each in its way.
    exact = 0 if jax.default_backend() == "cpu" else 1e-5
    np.testing.assert_allclose(means, np.tile(means[:1], (n, 1)), rtol=exact)


def test_regression_equals_its_closed_form():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    cov = root @ root.T + 0.1 * np.eye(6)
    for m in rng.random((5, 6)) < 0.5:
        expected = np.zeros((6, 6))
        expected[np.ix_(~m, m)] = np.linalg.solve(
            cov[np.ix_(m, m)], cov[np.ix_(m, ~m)]
        ).T
        found = gaussian.regression(
            jnp.asarray(cov, jnp.float32), jnp.asarray(m)
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gaussian_recovers_the_covariance_from_gaps():
    data, _, cov = normal_with_gaps(4000, 0.4)
    fitted, x = gaussian.gaussian().fit(jax.random.key(0), data, None)
    np.testing.assert_allclose(fitted.cov, cov, atol=0.08)
    # The filled table has the covariance too: imputed cells are draws.
    np.testing.assert_allclose(np.cov(np.asarray(x).T), cov, atol=0.1)


def test_gaussian_survives_collinear_and_constant_columns():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((1000, 2))
    truth = np.c_[base, base[:, :1], base.sum(1), np.zeros(1000)]
    m = rng.random(truth.shape) > 0.5
    data = Masked(
        jnp.where(m, jnp.asarray(truth, jnp.float32), 0), jnp.asarray(m)
    )
    state, _ = fit_case(make_imputer("gaussian"), data)
    x = np.asarray(state.x)
    assert np.isfinite(x).all() and abs(x).max() < 10
    both = m[:, 0] & ~m[:, 2]  # the copy of a seen value is known
    # Shrinkage leaves what some hundred pairs can say of a correlation of 1.
    assert np.std(x[both, 2] - truth[both, 0]) < 0.15
    assert abs(x[:, 4]).max() < 0.05
