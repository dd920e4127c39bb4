"""Columns compared: gaps that go together, differences, draws that agree."""

import numpy as np
import pytest

from miri_jax.report import facts
from tests.report.making import make_view


def test_patterns_are_counted_and_gaps_correlated():
    gaps = np.array([[0, 0, 0]] * 5 + [[1, 1, 0]] * 3 + [[0, 0, 1]] * 2, bool)
    views = [
        make_view([], [])._replace(number=j + 1, missing=m)
        for j, m in enumerate(gaps.T)
    ]
    patterns, counts = facts.gap_patterns(views)
    np.testing.assert_array_equal(counts, [5, 3, 2])
    np.testing.assert_array_equal(patterns[1], [True, True, False])
    shown, correlation = facts.gap_correlation(views)
    assert len(shown) == 3
    assert correlation[0, 1] == pytest.approx(1)
    # phi = -(3 * 2) / sqrt(3 * 7 * 2 * 8)
    assert correlation[0, 2] == pytest.approx(-6 / np.sqrt(336))


def test_difference_is_a_distance_between_distributions():
    assert facts.difference(make_view([1, 2, 3, 4], [1, 2, 3, 4])) == 0
    assert facts.difference(make_view([1, 2, 3, 4], [3, 4, 5, 6])) == 0.5
    assert facts.difference(make_view([1, 2], [3, 4])) == 1
    levels = ("x", "y", "z")
    view = make_view([0, 0, 1, 1], [[0, 0, 2], [0, 0, 0]], levels)
    # Shares 1/2, 1/2, 0 against 5/6, 0, 1/6.
    assert facts.difference(view) == pytest.approx(0.5)


def test_draws_that_agree_are_noticed():
    rng = np.random.default_rng(0)
    observed = rng.standard_cauchy(500)
    once = rng.standard_cauchy(100)
    draws = rng.standard_cauchy((5, 100))
    assert facts.draws_agree(make_view(observed, [once] * 5))
    assert not facts.draws_agree(make_view(observed, draws))
    assert not facts.draws_agree(make_view(observed, [once]))
    levels = rng.integers(0, 2, 500)
    same = [levels[:100]] * 5
    assert facts.draws_agree(make_view(levels, same, ("x", "y")))
    different = rng.integers(0, 2, (5, 100))
    assert not facts.draws_agree(make_view(levels, different, ("x", "y")))
    # With so few gaps a frequent level comes out all the same.
    rare = np.arange(500) == 0
    assert not facts.draws_agree(make_view(rare, np.zeros((5, 9)), ("x", "y")))
