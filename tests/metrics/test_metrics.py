"""Metrics equal their closed forms."""

import sys

import jax
import numpy as np
import pytest

from miri_jax.metrics import (
    errors,
    estimate_conditional_mi,
    estimate_mutual_information,
    median_distance,
    mmd,
    mutual_information,
)


def _entropy(p):
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def test_errors_equal_numpy_in_both_conventions():
    rng = np.random.default_rng(0)
    truth = rng.normal(3, [1, 10], (50, 2))
    m = rng.random(truth.shape) > 0.4
    x = np.where(m, truth, truth + rng.normal(0, 1, truth.shape))
    found = errors(truth, x, m)
    z = ((x - truth) / truth.std(0))[~m]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(z**2)))
    assert found["mae"] == pytest.approx(np.mean(abs(z)))
    assert found["rmse_all"] == pytest.approx(
        np.sqrt(np.mean((x - truth) ** 2))
    )
    assert found["mae_all"] == pytest.approx(np.mean(abs(x - truth)))


def test_errors_do_not_see_observed_entries_and_survive_no_gaps():
    truth = np.arange(6.0).reshape(3, 2)
    wrong = truth + 5
    assert errors(truth, wrong, np.ones((3, 2), bool))["rmse"] == 0
    constant = np.ones((3, 1))
    off = errors(constant, constant + 2, np.zeros((3, 1), bool))
    assert off["rmse"] == pytest.approx(2)  # scale 1 where there is no spread
    # 0.1 is not exact, and the deviation of a thousand of them not 0.
    tenths = np.full((1000, 1), 0.1)
    off = errors(tenths, tenths + 1e-9, np.zeros(tenths.shape, bool))
    assert off["rmse"] == pytest.approx(1e-9)


def test_errors_refuse_other_shapes():
    with pytest.raises(ValueError, match="must agree"):
        errors(np.ones((2, 2)), np.ones((3, 2)), np.ones((2, 2), bool))


def test_mmd_equals_the_double_sum():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (700, 3)), rng.normal(0.5, 1, (90, 3))

    def mean_kernel(p, q):
        squares = ((p[:, None] - q[None]) ** 2).sum(-1)
        return np.exp(-squares / (2 * 1.3**2)).mean()

    squared = mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
    assert mmd(a, b, 1.3) == pytest.approx(np.sqrt(squared), rel=1e-4)
    assert mmd(a, b, 1.3) == pytest.approx(mmd(b, a, 1.3), rel=1e-6)


def test_mmd_of_equal_samples_is_zero_even_far_from_the_origin():
    a = np.random.default_rng(0).normal(1000, 1, (600, 2))
    assert mmd(a, a, 1.0) < 1e-3


def test_mmd_of_two_points_in_closed_form():
    a, b = np.zeros((1, 2)), np.array([[3.0, 4.0]])
    expected = np.sqrt(2 - 2 * np.exp(-25 / 8))
    assert mmd(a, b, 2.0) == pytest.approx(expected, rel=1e-6)


def test_mmd_of_two_normals_meets_its_closed_form():
    """E k = (s^2 / (s^2 + v))^(d/2) exp(-delta^2 / (2 (s^2 + v)))."""
    rng = np.random.default_rng(0)
    n, delta = 8000, 1.5
    a, b = rng.normal(0, 1, (n, 1)), rng.normal(delta, 1, (n, 1))
    same = 1 / np.sqrt(3)
    squared = 2 * same - 2 * same * np.exp(-(delta**2) / 6)
    assert mmd(a, b, 1.0) == pytest.approx(np.sqrt(squared), abs=0.02)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan")])
def test_mmd_refuses_what_it_cannot_compute(bandwidth):
    with pytest.raises(ValueError, match="must be positive"):
        mmd(np.ones((2, 1)), np.ones((2, 1)), bandwidth)
    with pytest.raises(ValueError, match="at least one row"):
        mmd(np.ones((0, 1)), np.ones((2, 1)), 1.0)


def test_median_distance():
    assert median_distance(np.array([[0.0], [3.0]])) == pytest.approx(3.0)
    assert median_distance(np.ones((5, 2))) == 1.0
    assert median_distance(np.ones((1, 2))) == 1.0
    big = np.random.default_rng(0).normal(size=(4000, 1))
    small = median_distance(big, max_rows=1500)
    # The median of |N(0, 2)|.
    assert small == pytest.approx(0.6745 * np.sqrt(2), rel=0.05)


@pytest.fixture(scope="module")
def correlated():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3)) @ rng.normal(size=(3, 3))
    return x, rng.random(x.shape) > 0.3


def test_mi_of_mean_filling_is_the_entropy_of_the_mask(correlated):
    truth, m = correlated
    mean = np.where(m, truth, 0).sum(0) / m.sum(0)
    filled = np.where(m, truth, mean)
    mi = mutual_information(jax.random.key(0), filled, m)
    assert mi == pytest.approx(3 * _entropy(0.3), rel=0.03)


@pytest.mark.slow
def test_mi_of_wide_tables_is_by_groups_of_columns(correlated, monkeypatch):
    """Filling at random, which is seen by what other columns let expect."""
    truth, m = correlated
    filled = np.where(m, truth, np.random.default_rng(1).permutation(truth))
    found = []
    for most in (3, 2):
        module = sys.modules[mutual_information.__module__]
        monkeypatch.setattr(module, "MAX_REGRESSED", most)
        found.append(mutual_information(jax.random.key(0), filled, m))
    assert found[0] != found[1]
    assert 0.1 < found[1] < 1.05 * found[0]


def test_mi_of_the_truth_is_zero(correlated):
    truth, m = correlated
    mi = mutual_information(jax.random.key(0), truth, m)
    assert abs(mi) < 0.02


def test_mi_of_a_shifted_normal_meets_its_integral():
    """x = z where observed, z + 2 where not: MI by numerical integration."""
    rng = np.random.default_rng(1)
    m = rng.random((4000, 1)) > 0.4
    x = rng.normal(size=m.shape) + 2 * ~m
    grid = np.linspace(-6, 8, 4001)
    normal = lambda mu: np.exp(-((grid - mu) ** 2) / 2) / np.sqrt(2 * np.pi)
    mixture = 0.6 * normal(0) + 0.4 * normal(2)
    step = grid[1] - grid[0]
    expected = step * sum(
        np.sum(p * normal(mu) * np.log(normal(mu) / mixture))
        for p, mu in ((0.6, 0), (0.4, 2))
    )
    mi = mutual_information(jax.random.key(0), x, m)
    assert mi == pytest.approx(expected, abs=0.05)


def test_mi_sees_dependence_between_columns_only_as_far_as_x_tells():
    """Masks that copy each other, independent of x, have no MI with it."""
    rng = np.random.default_rng(2)
    m = np.repeat(rng.random((2000, 1)) > 0.5, 3, axis=1)
    mi = mutual_information(jax.random.key(0), rng.normal(size=m.shape), m)
    assert abs(mi) < 0.03


@pytest.mark.parametrize(
    "of", [estimate_mutual_information, estimate_conditional_mi]
)
def test_nothing_is_known_for_certain(of):
    """No error is 0, and of too few rows there is no estimate."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = np.ones((100, 2))
    found = of(keys[0], x, np.ones(x.shape, bool))
    assert found.nats == 0 and found.error > 0
    few = np.array([[True, False], [False, True]] * 2)
    assert np.isnan(of(keys[1], x[:4], few)).all()
    m = np.random.default_rng(0).random(x.shape) > 0.3
    found = of(keys[2], x, m)
    assert found.error > 0 and abs(found.nats) < 3 * found.error
