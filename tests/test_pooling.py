"""Rubin's rules against published values and their closed forms."""

import numpy as np
import pytest

from miri_jax import pooling
from miri_jax.exceptions import DataError


def test_the_worked_example_of_mice():
    """`pool.scalar`'s own example: bmi ~ age of nhanes, m = 2, n = 25."""
    pooled = pooling.pool([-1.5457, -1.428], [0.9723**2, 1.041**2], 25 - 2)
    np.testing.assert_allclose(pooled.estimate, -1.48685)
    np.testing.assert_allclose(pooled.within, 1.0145241, rtol=1e-6)
    np.testing.assert_allclose(pooled.between, 0.006926645, rtol=1e-6)
    np.testing.assert_allclose(pooled.variance, 1.0249141, rtol=1e-6)
    # lambda 0.0101374; 9730.7 and 21.0155 degrees of freedom, combined.
    np.testing.assert_allclose(pooled.df, 20.9702, rtol=1e-4)
    np.testing.assert_allclose(pooled.increase, 0.0102412, rtol=1e-4)
    np.testing.assert_allclose(pooled.missing_information, 0.092726, rtol=1e-4)


def test_degrees_of_freedom_of_a_large_sample():
    """SAS, PROC MIANALYZE: m = 5 and r = 10 % give 484."""
    assert pooling.barnard_rubin(5, 0.1 / 1.1) == pytest.approx(484)


def test_degrees_of_freedom_never_exceed_those_without_gaps():
    """Barnard and Rubin (1999): at most (v + 1) / (v + 3) v."""
    share = np.linspace(0, 0.99, 50)
    df = pooling.barnard_rubin(5, share, 20)
    assert (df <= 20 * 21 / 23 + 1e-9).all() and (np.diff(df) < 0).all()
    few = pooling.barnard_rubin(5, share[1:], 1e9)
    np.testing.assert_allclose(few, 4 / share[1:] ** 2, rtol=1e-4)


def test_without_a_difference_between_tables_it_is_the_analysis_itself():
    pooled = pooling.pool([[2.0, 3.0]] * 3, [[0.25, 1.0]] * 3)
    np.testing.assert_array_equal(pooled.estimate, [2, 3])
    np.testing.assert_array_equal(pooled.error, [0.5, 1])
    low, high = pooled.interval()
    np.testing.assert_allclose(high - low, 2 * 1.959964 * pooled.error, 1e-5)
    np.testing.assert_array_equal(pooled.increase, 0)


def test_intervals_and_p_values_agree():
    pooled = pooling.pool([1.0, 1.4, 0.8, 1.2], [0.09] * 4, 50)
    low, high = pooled.interval(0.95)
    np.testing.assert_allclose(pooled.p_value(low), 0.05)
    np.testing.assert_allclose(pooled.p_value(high), 0.05)
    assert pooled.p_value() < 0.05 < low


def test_no_variance_within_is_all_missing_information():
    pooled = pooling.pool([1.0, 2.0], [0.0, 0.0])
    assert pooled.missing_information == 1 and np.isinf(pooled.increase)


@pytest.mark.parametrize(
    "estimates, variances, message",
    [
        ([1.0], [1.0], "pool at least 2"),
        (1.0, 1.0, "pool at least 2"),
        ([1.0, 2.0], [1.0], "one variance for each"),
        ([1.0, np.nan], [1.0, 1.0], "not finite"),
        ([1.0, 2.0], [1.0, -1.0], "negative"),
    ],
)
def test_what_cannot_be_pooled(estimates, variances, message):
    with pytest.raises(DataError, match=message):
        pooling.pool(estimates, variances)
