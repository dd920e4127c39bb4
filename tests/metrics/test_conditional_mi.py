"""What filled cells tell of their gaps, given the observed cells of a row."""

import jax
import numpy as np
import pytest
from scipy.special import entr

from miri_jax.metrics import (
    estimate_conditional_mi,
    estimate_mutual_information,
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def mar():
    """Three normal columns whose gaps depend on a complete fourth."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4))
    x[:, 1:] += 0.8 * x[:, :1]
    chance = 1 / (1 + np.exp(1 - 2 * x[:, 0]))
    m = np.ones(x.shape, bool)
    m[:, 1:] = rng.random((2000, 3)) > chance[:, None]
    return x, m


def _fillings(x, m):
    rng = np.random.default_rng(1)
    draw = 0.8 * x[:, :1] + rng.normal(size=x.shape)
    mean = np.where(m, x, 0).sum(axis=0) / m.sum(axis=0)
    parts = {
        "truth": x,
        "draw": draw,
        "mean": mean,
        "hot deck": [rng.choice(c[k], len(c)) for c, k in zip(x.T, m.T)],
        "noise": rng.normal(size=x.shape) * 3,
    }
    parts["hot deck"] = np.transpose(parts["hot deck"])
    return {name: np.where(m, x, part) for name, part in parts.items()}


def test_under_mar_a_right_filling_is_near_zero_and_wrong_ones_above(mar):
    x, m = mar
    entropy = np.sum(entr(m.mean(axis=0)) + entr(1 - m.mean(axis=0)))
    for name, filled in _fillings(x, m).items():
        nats, error = estimate_conditional_mi(KEY, filled, m)
        assert error > 0 and nats < entropy
        if name in ("truth", "draw"):
            assert abs(nats) < 4 * error, name
            # The drivers tell of the gaps whatever fills them.
            assert estimate_mutual_information(KEY, filled, m).nats > 0.2
        else:
            assert nats > 0.1 and nats > 5 * error, name


def test_the_scale_of_numbers_does_not_matter(mar):
    x, m = mar
    filled = _fillings(x, m)["hot deck"]
    one = estimate_conditional_mi(KEY, filled, m)
    assert one == estimate_conditional_mi(KEY, np.exp(filled), m)


def test_levels_tell_as_levels():
    """Of three levels that a column tells, filled as it tells or at random."""
    rng = np.random.default_rng(0)
    levels = rng.integers(3, size=1500)
    number = levels % 2 + 0.3 * rng.normal(size=1500)
    x, m = np.stack([number, levels], axis=1), np.ones((1500, 2), bool)
    m[:, 1] = rng.random(1500) > 0.4
    wrong = np.where(m, x, rng.permutation(x))
    right, wrong = (
        estimate_conditional_mi(KEY, filled, m, (0, 3)) for filled in (x, wrong)
    )
    assert abs(right.nats) < 4 * right.error
    assert wrong.nats > 10 * wrong.error
