"""Ranks, coverage and scores of cells that were filled again."""

import numpy as np
import pytest

from miri_jax.metrics.overimputation import (
    Cells,
    check_cells,
    places,
)


def _cells(draws, truth, seen, weight=None):
    weight = np.ones(len(truth)) if weight is None else weight
    return Cells(truth, draws, weight, seen)


@pytest.mark.parametrize("count", [2, 5, 50])
@pytest.mark.parametrize("decimals", [0, 6])
def test_right_draws_are_calibrated_however_few_and_tied(count, decimals):
    rng = np.random.default_rng(count)
    centre = rng.normal(size=4000)
    make = lambda: np.round(centre + rng.normal(size=4000), decimals)
    draws = np.stack([make() for _ in range(count)])
    found = check_cells(_cells(draws, make(), rng.normal(size=900) * 1.4), 0)
    assert found.coverage_90 == pytest.approx(0.9, abs=0.02)
    assert found.coverage_50 == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(found.ranks, 0.1, atol=0.025)
    assert sum(found.ranks) == pytest.approx(1)
    assert abs(found.bias) < 4 * found.bias_error
    assert found.score < 0.85


def test_too_narrow_wide_and_shifted_draws_are_told_apart():
    rng = np.random.default_rng(0)
    truth, seen = rng.normal(size=(2, 2000))
    of = lambda centre, scale: check_cells(
        _cells(centre + scale * rng.normal(size=(20, 2000)), truth, seen), 0
    )
    narrow, wide, shifted = of(0, 0.5), of(0, 2), of(1, 1)
    assert narrow.coverage_90 < 0.7 and wide.coverage_90 > 0.97
    assert min(narrow.ranks[0], narrow.ranks[-1]) > 2 * narrow.ranks[5]
    assert max(wide.ranks[0], wide.ranks[-1]) < 0.5 * wide.ranks[5]
    assert shifted.bias == pytest.approx(1, abs=0.1)
    assert shifted.ranks[0] > 0.2 > 0.05 > shifted.ranks[-1]
    right = of(0, 1)
    assert right.score == pytest.approx(1, abs=0.03)
    assert all(right.score < one.score for one in (narrow, wide, shifted))


def test_levels_are_hit_as_often_as_draws_agree():
    rng = np.random.default_rng(0)
    chance = rng.dirichlet([0.5, 0.5, 0.5], 3000).cumsum(axis=1)
    make = lambda: (rng.random((3000, 1)) > chance).sum(axis=1)
    draws, truth = np.stack([make() for _ in range(8)]), make()
    found = check_cells(_cells(draws, truth, make()), 3)
    assert abs(found.agreement - found.hit) < 3 * found.hit_error
    assert found.score < 0.8 and found.accuracy > 0.6
    assert found.coverage_90 is None and found.rmse is None
    sure = np.repeat([draws[0]], 8, axis=0)
    wrong = check_cells(_cells(sure, truth, make()), 3)
    assert wrong.agreement == pytest.approx(1) and wrong.hit < 0.7
    assert wrong.score > found.score and wrong.log_score > found.log_score
    assert np.isfinite(wrong.log_score)


def test_weights_count_cells_as_often():
    rng = np.random.default_rng(0)
    truth, seen, draws = rng.normal(size=30), rng.normal(size=50), None
    draws = rng.normal(size=(6, 30))
    weight = rng.integers(1, 4, 30)
    one = check_cells(_cells(draws, truth, seen, weight), 0)
    often = np.repeat(np.arange(30), weight)
    other = check_cells(_cells(draws[:, often], truth[often], seen), 0)
    for name in ("score", "coverage_50", "coverage_90", "bias", "rmse"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name
    assert one.effective < one.cells == 30


def test_the_score_of_observed_values_is_one():
    """The base is the CRPS of the whole sample, whatever its scale."""
    rng = np.random.default_rng(0)
    seen = np.exp(rng.normal(size=400))
    truth, draws = rng.choice(seen, 800), rng.choice(seen, (30, 800))
    for scale in (1e-300, 1.0, 1e300):
        parts = (part * scale for part in (draws, truth, seen))
        found = check_cells(_cells(*parts), 0)
        assert found.score == pytest.approx(1, abs=0.05)
        assert np.isfinite([found.rmse, found.bias, found.score_error]).all()


def test_no_error_is_zero():
    truth, draws = np.full(9, 2.0), np.full((3, 9), 2.0)
    found = check_cells(_cells(draws, truth, np.full(5, 2.0)), 0)
    assert found.score == 1 and found.bias == 0
    for name in ("score_error", "coverage_error", "bias_error"):
        assert getattr(found, name) > 0.05
    found = check_cells(_cells(0 * draws, 0 * truth, np.zeros(5)), 2)
    assert found.hit == pytest.approx(1) and found.hit_error > 0


def test_places_among_draws():
    low, high = places(np.array([[1.0, 2], [3, 2]]), np.array([2.0, 2]))
    np.testing.assert_allclose(low, [1 / 3, 0])
    np.testing.assert_allclose(high, [2 / 3, 1])
