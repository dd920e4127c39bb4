import numpy as np
from scipy.stats import truncnorm

from miri_jax.core.truncated import truncated_normal


def test_quantiles_are_those_of_a_normal_that_is_cut():
    u = np.linspace(0.01, 0.99, 9)
    for mean, spread, low, high in (
        (0.0, 1.0, -np.inf, -1.0),
        (3.0, 0.5, 1.0, 2.0),
        (-2.0, 0.5, 1.0, np.inf),
    ):
        found = truncated_normal(
            u, *(np.full(9, x) for x in (mean, spread, low, high))
        )
        ends = (low - mean) / spread, (high - mean) / spread
        wanted = truncnorm.ppf(u, *ends, loc=mean, scale=spread)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_what_lies_far_beyond_is_within_all_the_same():
    u, one = np.linspace(0, 1, 5), np.ones(5)
    found = truncated_normal(u, 100 * one, 1.0, -np.inf * one, 0 * one)
    assert (found <= 0).all() and (found > -1).all()
    assert np.isfinite(found).all()
