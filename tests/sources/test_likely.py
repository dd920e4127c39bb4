"""The most likely normal distribution, against EM as it is printed."""

import numpy as np
import pytest

from miri_jax.sources import likely

SHAPE = (600, 4)


def _exact_em(x, m, rounds=30000):
    """Dempster, Laird and Rubin's EM, row by row of each pattern."""
    patterns, of = np.unique(m, axis=0, return_inverse=True)
    mean, cov = np.zeros(x.shape[1]), np.eye(x.shape[1])
    groups = [(p, x[of.ravel() == k]) for k, p in enumerate(patterns)]
    groups = [(p, rows) for p, rows in groups if p.any()]
    n = sum(len(rows) for _, rows in groups)
    for _ in range(rounds):
        first, second = np.zeros_like(mean), np.zeros_like(cov)
        for seen, rows in groups:
            slopes = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen]).T
            filled = mean + (rows[:, seen] - mean[seen]) @ slopes.T
            left = cov - slopes @ cov[seen]
            first += filled.sum(axis=0)
            second += filled.T @ filled + len(rows) * left
        last, mean = cov, first / n
        cov = second / n - np.outer(mean, mean)
        if abs(cov - last).max() < 1e-12:
            break
    return mean, cov


def _case(mechanism, rate, shape=SHAPE, seed=0):
    """Rows of a normal distribution whose correlations are .3 to .8."""
    rng = np.random.default_rng(seed)
    n, d = shape
    root = np.linalg.cholesky(0.6 * np.ones((d, d)) + 0.4 * np.eye(d))
    x = rng.standard_normal(shape) @ root.T * np.arange(1, d + 1) + 3
    if mechanism == "mcar":
        return x, rng.random(shape) > rate
    # The first column is always seen, and larger where others are not.
    score = (x[:, :1] - 3) + rng.logistic(size=shape)
    m = score < np.quantile(score, 1 - rate, axis=0)
    m[:, 0] = True
    return x, m


@pytest.mark.parametrize("rate", [0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_a_fit_is_the_most_likely_one(mechanism, rate):
    n = 2000 if rate == 0.8 else 600
    x, m = _case(mechanism, rate, (n, 4))
    mean, cov = _exact_em(x, m)
    found = likely.most_likely(np.where(m, x, np.nan), m, shrinkage=0)
    scale = np.sqrt(cov.diagonal())
    np.testing.assert_allclose(found.mean / scale, mean / scale, atol=1e-6)
    unit = np.outer(scale, scale)
    np.testing.assert_allclose(found.cov / unit, cov / unit, atol=1e-6)


@pytest.mark.parametrize("shrinkage", [0, 1])
def test_no_step_lowers_the_likelihood(shrinkage):
    x, m = _case("mcar", 0.5, (300, 6))
    problem = likely.problem_of(x, m, shrinkage)
    fit, before, ended = problem.start, -np.inf, False
    for k in range(100):
        fit, value = likely.advance(problem, fit, k)
        assert value >= before - 1e-9
        ended = likely.ended(problem, k, before, value)
        before = value
        if ended:
            break
    assert ended and k > 2


def test_the_likelihood_is_that_of_the_observed_cells():
    x, m = _case("mcar", 0.5, (50, 3))
    problem = likely.problem_of(x, m, 0)
    mean, cov = problem.in_units(problem.start)
    expected = 0.0
    for row, seen in zip(x, m):
        some = cov[np.ix_(seen, seen)]
        away = row[seen] - mean[seen]
        expected -= 0.5 * np.linalg.slogdet(some)[1]
        expected -= 0.5 * away @ np.linalg.solve(some, away)
    expected += m.sum(axis=0) @ np.log(problem.scale)
    value, _ = likely.em_round(problem, problem.start)
    assert abs(value - expected) < 1e-4  # the ridge


def test_shrinkage_is_fixed_before_the_first_round():
    """In each round anew, and by observed rows, .3 collapsed to 0."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        x = rng.standard_normal((200, 6)) + 0.65 * rng.standard_normal((200, 1))
        m = rng.random(x.shape) > 0.6
        found.append([_mean_r(x, m, s) for s in (0, 1)])
    free, shrunk = np.mean(found, axis=0)
    assert abs(free - 0.3) < 0.03
    assert 0.2 < shrunk < free


def _mean_r(x, m, shrinkage):
    cov = likely.most_likely(x, m, shrinkage=shrinkage).cov
    scale = np.sqrt(cov.diagonal())
    r = cov / np.outer(scale, scale)
    return r[np.triu_indices(len(r), 1)].mean()


@pytest.mark.parametrize("unrelated", [0, 60])
def test_twins_stay_twins(unrelated):
    """To 0.1 % of a deviation, whatever stands beside them."""
    rng = np.random.default_rng(0)
    one = rng.standard_normal((400, 1))
    x = np.hstack([one, 1.8 * one + 32, rng.standard_normal((400, unrelated))])
    m = rng.random(x.shape) > 0.4
    _, cov = likely.most_likely(x, m, shrinkage=1)
    left = cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]
    assert np.sqrt(left / cov[1, 1]) < 1e-3


@pytest.mark.parametrize(
    "shape, rate",
    [
        ((30, 50), 0.3),
        ((30, 50), 0.8),
        ((1, 3), 0.5),
        ((5, 1), 0.5),
        ((40, likely.WIDE + 10), 0.5),
    ],
)
def test_few_rows_give_a_sane_distribution(shape, rate):
    x, m = _case("mcar", rate, shape)
    mean, cov = likely.most_likely(x, m, shrinkage=1, rounds=10)
    assert np.isfinite(mean).all() and np.isfinite(cov).all()
    values = np.linalg.eigvalsh(cov)
    assert values[0] > 0 and values[-1] < 10 * np.sum(x.var(axis=0) + 1)


def test_odd_columns_are_survived():
    """Empty, constant, one cell, and two that are never seen together."""
    x, m = _case("mcar", 0.3, (200, 6))
    m[:, 0] = False
    x[:, 1] = 7
    m[:, 2] = np.arange(200) == 13
    m[:, 3] = np.arange(200) < 100
    m[:, 4] = ~m[:, 3]
    m[:5] = False
    mean, cov = likely.most_likely(x, m, shrinkage=1)
    assert np.linalg.eigvalsh(cov)[0] > 0 and cov.max() < 100
    assert abs(mean[1] - 7) < 1e-6 and cov[1, 1] < 1e-4
    assert abs(mean[2] - x[13, 2]) < 1e-6
