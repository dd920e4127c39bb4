"""Normal scores: invertible, monotone, with tails beyond what was observed."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.special import ndtri

from miri_jax.data import columns as cols
from miri_jax.data.beside import tails_of
from miri_jax.data.scores import (
    END,
    are_codes,
    fit_atoms,
    fit_knots,
    fit_scores,
    from_scores,
    knots_of,
    to_scores,
)
from miri_jax.data.transforms import LARGEST

RNG = np.random.default_rng(0)
GRID = np.linspace(-END, END, 4001)
SAMPLES = {
    "normal": RNG.standard_normal(300),
    "cauchy": RNG.standard_cauchy(300),
    "lognormal": np.exp(3 * RNG.standard_normal(2000)),
    "heap": np.where(RNG.random(900) < 0.7, 0.0, RNG.gamma(2, 3, 900)),
    "two heaps": np.clip(RNG.normal(0, 1, 900), -1, 0.8),
    "inner heap": np.where(RNG.random(900) < 0.3, 1.0, RNG.normal(0, 2, 900)),
    "whole": RNG.poisson(np.exp(2 * RNG.standard_normal(900))).astype(float),
    "huge": 1e308 * np.tanh(RNG.standard_cauchy(300)),
    "tiny": 1e-300 * RNG.standard_cauchy(300),
}


def _column(values, **settings):
    values = pd.Series(values)
    return cols.fit_column("c", values, values.isna().to_numpy(), **settings)


@pytest.fixture(params=SAMPLES)
def numbers(request):
    return SAMPLES[request.param]


@pytest.fixture(params=["none", "observed", "wide"])
def knots(request, numbers):
    low, high = numbers.min(), numbers.max()
    if request.param == "observed":
        return fit_knots(numbers, low, high)
    if request.param == "wide":
        with np.errstate(over="ignore"):
            low, high = 1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low
        return fit_knots(numbers, low, high)
    return fit_knots(numbers)


def test_decoding_ascends_and_is_finite(knots):
    found = from_scores(knots, GRID)
    assert np.isfinite(found).all() and (np.diff(found) >= 0).all()


def test_scores_ascend_with_the_numbers(knots, numbers):
    at = np.sort(np.concatenate([numbers, from_scores(knots, GRID)]))
    found = to_scores(knots, at)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()
    # Strictly where the numbers differ and both are in the range.
    order = np.unique(numbers)
    assert (np.diff(to_scores(knots, order)) > 0).all()


def test_scores_and_numbers_are_inverse(knots, numbers):
    """Within the observed range, in the tails, and at heaps."""
    made = from_scores(knots, GRID)
    back = from_scores(knots, to_scores(knots, made))
    span = numbers.max() / 2 - numbers.min() / 2
    assert (np.abs(back / 2 - made / 2) <= 1e-7 * span).all()
    again = from_scores(knots, to_scores(knots, numbers))
    np.testing.assert_allclose(again / span, numbers / span, atol=1e-7)


def test_scores_come_back_in_a_tail(numbers):
    knots = fit_knots(numbers)
    first, last = ndtri(knots.shares[0]), ndtri(knots.shares[-1])
    for slope, z in zip(knots.slopes, (GRID[GRID < first], GRID[GRID > last])):
        if slope > 0:
            back = to_scores(knots, from_scores(knots, z))
            np.testing.assert_allclose(back, z, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_normal_tail_goes_on_beyond_the_observed(seed):
    """Of 300 numbers one in 600 draws lies beyond, about as far as it should.

    The 99.9 % quantile of a normal distribution is 3.09; the largest of 300
    numbers is about 2.9, give or take 0.4, which the tail begins at.
    """
    x = np.random.default_rng(seed).standard_normal(300)
    for sign in (1, -1):
        drawn = sign * from_scores(fit_knots(x), ndtri(np.arange(1, 1e4) / 1e4))
        beyond = np.mean(drawn > (sign * x).max())
        assert beyond == pytest.approx(1 / 600, rel=0.1)
        far = np.quantile(drawn, 0.999)
        assert (sign * x).max() < far < 4.3 and far > 2.2


def test_tails_of_normal_samples_are_right_on_average():
    found, far = [], np.array([-3.5, -3.1, 3.1, 3.5])
    for seed in range(200):
        x = np.random.default_rng(seed).standard_normal(300)
        found.append(from_scores(fit_knots(x), far))
    np.testing.assert_allclose(np.mean(found, axis=0), far, atol=0.15)


def test_a_bound_ends_the_tail_without_a_heap():
    x = np.abs(RNG.standard_normal(500)) + 0.05
    knots = fit_knots(x, 0.0, np.inf)
    drawn = from_scores(knots, ndtri(np.arange(1, 1e5) / 1e5))
    assert drawn.min() > 0 and drawn.min() < x.min()
    assert len(np.unique(drawn)) == len(drawn)  # no two at the bound
    above = from_scores(fit_knots(-x, -np.inf, 0.0), np.array([END]))
    assert above[0] == pytest.approx(0)
    at_bound = fit_knots(x, x.min(), x.max())
    np.testing.assert_array_equal(
        from_scores(at_bound, np.array([-END, END])), [x.min(), x.max()]
    )


def test_a_bound_far_off_does_not_stretch_the_tail():
    x = RNG.standard_cauchy(300)
    free, far = fit_knots(x), fit_knots(x, -1e300, 1e300)
    np.testing.assert_array_equal(
        from_scores(free, GRID), from_scores(far, GRID)
    )


def test_a_heap_at_zero_comes_back_as_one():
    x = np.where(RNG.random(4000) < 0.7, 0.0, RNG.gamma(2, 3, 4000))
    column = _column(x)
    assert column.knots is not None and column.low == -np.inf
    drawn = cols.decode(column, RNG.standard_normal((20000, 1)))
    assert abs(np.mean(drawn == 0) - np.mean(x == 0)) < 0.02
    assert drawn.min() == 0  # no bound is needed
    assert cols.decode(column, np.array([[-50.0]]))[0] == 0
    np.testing.assert_allclose(drawn.mean(), x.mean(), rtol=0.05)


def test_scores_of_a_heap_lie_in_its_middle_and_the_rest_above():
    x = np.array([0.0] * 70 + [*range(1, 31)], float)
    z = to_scores(fit_knots(x), np.array([-4.0, 0.0, 1e-9, 0.5, 1.0]))
    assert z[0] == z[1] == pytest.approx(ndtri(0.35))
    assert z[2] == pytest.approx(ndtri(0.7), abs=1e-6)
    assert z[2] < z[3] < z[4] == pytest.approx(ndtri(0.705))


def test_scores_of_heavy_tails_are_normal():
    x = SAMPLES["lognormal"]
    column = _column(x)
    assert column.knots is not None
    block, _ = cols.encode(column, pd.Series(x), np.zeros(len(x), bool))
    z = block[:, 0]
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.02
    assert (np.diff(z[np.argsort(x)]) >= 0).all()
    np.testing.assert_allclose(cols.decode(column, block), x, rtol=0.05)
    far = cols.decode(column, np.array([[4.0], [5.0]]))
    assert x.max() < far[0] < far[1] < 20 * x.max()


def test_a_whole_column_with_a_type_stays_in_it():
    x = np.minimum(RNG.poisson(np.exp(2 * RNG.standard_normal(900))), 255)
    column = _column(pd.Series(x, dtype="uint8"))
    assert column.knots is not None and column.kind == "integer"
    made = cols.decode(column, GRID[:, None])
    assert made.min() == 0 and made.max() <= 255
    np.testing.assert_array_equal(made, np.round(made))


def test_numbers_have_scores_where_there_are_enough():
    for x in (RNG.standard_normal(500), RNG.random(50), RNG.poisson(3, 99)):
        assert _column(x).knots is not None
        assert _column(x[:49]).knots is None
    assert _column([5.0] * 500).knots is None
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(
        RNG.permutation(900)[:300], "D"
    )
    column = _column(days)
    found, _ = cols.encode(column, pd.Series(days), np.zeros(300, bool))
    assert abs(found.mean()) < 0.01 and abs(found.std() - 1) < 0.02
    seconds = cols.decode(column, found)
    assert list(pd.to_datetime(seconds, unit="s")) == list(days)


@pytest.mark.parametrize(
    "values, unit, codes",
    [
        ([10, 20, 25] * 10, 1.0, True),
        ([10, 20, 25] * 6, 1.0, False),  # too few cells to tell
        ([1, 2, 3, 4, 5] * 20, 1.0, False),  # 6 may be still to come
        ([0.25, 0.5, 1.25] * 20, 0.01, True),
        ([0.1, 0.2, 0.3] * 20, 0.1, False),
        ([1 / 3, 2 / 3] * 20, 0.0, True),
        (RNG.standard_normal(500), 0.0, False),
        (RNG.poisson(4, 500), 1.0, False),
        ([*([500, 700] * 40), *range(1000, 1600, 100)], 1.0, False),
    ],
)
def test_codes_are_few_values_with_gaps_between(values, unit, codes):
    assert are_codes(np.array(values, float), unit) == codes


def test_codes_come_back_as_values_that_occur_as_often():
    x = RNG.choice([10, 20, 25, 60], 2000, p=[0.5, 0.3, 0.19, 0.01])
    column = _column(x)
    drawn = cols.decode(column, RNG.standard_normal((40000, 1)))
    for value in (10, 20, 25, 60):
        true = np.mean(x == value)
        assert abs(np.mean(drawn == value) - true) < 0.01
    assert set(drawn) == {10, 20, 25, 60}
    assert set(cols.decode(column, np.array([[-99.0], [99.0]]))) == {10, 60}


def test_counts_go_on_beyond_what_was_seen():
    x = RNG.poisson(30, 3000)
    drawn = cols.decode(_column(x), RNG.standard_normal((10**5, 1)))
    assert drawn.max() > x.max() and drawn.min() < x.min()
    assert abs(drawn.mean() - x.mean()) < 0.1
    assert abs(drawn.std() - x.std()) < 0.1


@pytest.mark.parametrize(
    "x",
    [
        RNG.exponential(3, 400),
        RNG.lognormal(0, 2, 400),
        RNG.random(400),
        RNG.gamma(2, 1, 60),
    ],
)
def test_positive_numbers_are_not_drawn_negative(x):
    knots = fit_knots(x)
    low = from_scores(knots, np.array([-END, -4.0, -3.5]))
    assert (low > 0).all() and (np.diff(low) > 0).all()
    np.testing.assert_allclose(
        to_scores(knots, low), [-END, -4.0, -3.5], atol=1e-6
    )
    assert to_scores(knots, np.array([0.0, -1.0])).tolist() == [-END, -END]


def test_normal_numbers_that_happen_to_be_positive_may_be_negative():
    below = [
        from_scores(fit_knots(x[x > 0]), np.array([-6.0]))[0] < 0
        for x in np.random.default_rng(0).normal(10, 3, (50, 300))
    ]
    assert np.mean(below) > 0.8


def test_an_atom_is_spread_over_its_width():
    x = np.array([0.0] * 70 + [*range(1, 31)], float)
    knots = fit_knots(x)
    place = np.linspace(0, 1, 101)
    found = to_scores(knots, np.zeros(101), place)
    np.testing.assert_allclose(
        found[1:-1], ndtri(0.7 * place[1:-1]), atol=1e-12
    )
    assert np.isfinite(found).all() and (np.diff(found) > 0).all()
    np.testing.assert_array_equal(from_scores(knots, found), 0)


def test_values_that_all_are_atoms():
    knots = fit_atoms(np.array([1.0, 5.0, 7.0]), np.array([1, 2, 1]))
    np.testing.assert_array_equal(
        from_scores(knots, ndtri([1e-9, 0.2, 0.3, 0.7, 0.8, 1 - 1e-9])),
        [1, 1, 5, 5, 7, 7],
    )
    # In the middle, and of variance 1: 1/2 z^2 = 1.
    found = to_scores(knots, np.array([1.0, 5.0, 7.0]), 0.9)
    np.testing.assert_allclose(found, [-np.sqrt(2), 0, np.sqrt(2)], atol=1e-12)


def test_uneven_atoms_are_spread():
    """The second one's middle, scaled, would be the third's."""
    knots = fit_atoms(np.arange(4.0), np.array([90, 5, 3, 2]))
    found = to_scores(knots, np.arange(4.0), 0.5)
    np.testing.assert_allclose(found, ndtri([0.45, 0.925, 0.965, 0.99]))


@pytest.mark.parametrize("n", [60, 1000, 200000])
def test_values_come_back_wherever_in_an_atom(n):
    """However narrow it is and wherever: rounding leads to no neighbour."""
    x = RNG.geometric(0.3, n) * 1.5
    knots = fit_scores(x, unit=0.1)
    for place in (0.0, 1e-9, 0.5, 1 - 1e-9, 1.0):
        back = from_scores(knots, to_scores(knots, np.unique(x), place))
        np.testing.assert_allclose(back, np.unique(x), atol=1e-6)


def test_knots_come_back_from_lists(knots):
    plain = [list(x) if isinstance(x, tuple) else x for x in knots]
    assert knots_of(plain) == knots


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    hnp.arrays(
        float, st.integers(11, 60), elements=st.floats(-LARGEST, LARGEST)
    ),
    hnp.arrays(float, 5, elements=st.floats(-LARGEST, LARGEST)),
)
def test_nothing_overflows_whatever_the_numbers(numbers, others):
    knots = fit_knots(numbers)
    found = from_scores(knots, GRID[::50])
    assert np.isfinite(found).all() and (np.diff(found) >= 0).all()
    others = np.sort(np.concatenate([others, numbers]))
    scores = to_scores(knots, others)
    assert np.isfinite(scores).all() and (np.diff(scores) >= -1e-6).all()


def test_draws_end_where_a_thousand_tables_would_have_their_extremes():
    x = RNG.standard_normal(500)
    heap = np.where(RNG.random(500) < 0.3, 0.0, np.exp(x))
    few = [1.0, 5.0, 2.5]
    low, high = tails_of(
        [_column(x), _column(heap), _column(few), _column(["a", "b"])]
    )
    # Beyond the middle of the least of 500 lies one of 1000.
    assert low[0] == pytest.approx(ndtri(1e-6)) and high[0] == -low[0]
    # At a heap there is no tail, and few numbers have no scores.
    assert (low[1], high[1]) == (-8, pytest.approx(high[0]))
    assert np.isinf([low[2:], high[2:]]).all()
    low, high = tails_of([_column(x)], limited=["c"])
    assert (low, high) == (-np.inf, np.inf)
