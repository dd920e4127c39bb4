"""Columns of any type: kinds, codes, bounds, normal scores."""

import numpy as np
import pandas as pd
import pytest

from miri_jax.data import codes
from miri_jax.data import columns as cols
from miri_jax.exceptions import DataError

RNG = np.random.default_rng(0)
WORDS = [f"w{k}" for k in range(500)]


def _fit(values, missing=None, **settings):
    values = pd.Series(values)
    missing = values.isna().to_numpy() if missing is None else missing
    return cols.fit_column("c", values, missing, **settings)


@pytest.mark.parametrize(
    "values, kind",
    [
        ([1.5, 2.0, None], "real"),
        ([1, 2, None, 7], "integer"),
        ([1, 2, 3] * 9, "integer"),
        ([0, 1, None] * 15, "categorical"),
        ([5, 6, None] * 15, "integer"),
        (list(range(5, 30)), "id"),
        ([*range(5, 30), None], "integer"),
        ([True, False, None], "boolean"),
        (["a", "b", None], "categorical"),
        (WORDS[:30], "id"),
        ([*WORDS[:30], None], "categorical"),
        ([*WORDS[:30], "w0"], "categorical"),
        (pd.to_datetime(["2020-01-01", None]), "datetime"),
        (pd.Categorical(["a", "b"]), "categorical"),
        (pd.Categorical(["a", "b"], ordered=True), "ordinal"),
        ([None, None], "real"),
        ([1e16, 2e16], "real"),
    ],
)
def test_kinds_are_found_by_the_stated_rules(values, kind):
    values = pd.Series(values)
    assert cols.detect("c", values, values.isna().to_numpy()) == kind


@pytest.mark.parametrize("count", [1, 2, 3, 24, 25, 500])
@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_every_level_comes_back(count, kind):
    column = _fit(WORDS[:count], kind=kind)
    block, unseen = cols.encode(
        column, pd.Series(WORDS[:count]), np.zeros(count, bool)
    )
    assert block.shape == (count, column.width) and not unseen.any()
    assert len(np.unique(block, axis=0)) == count
    if count > codes.MAX_ONE_HOT and kind == "categorical":
        assert column.width == int(np.ceil(np.log2(count)))
    noisy = block + RNG.uniform(-0.4, 0.4, block.shape)
    assert list(cols.decode(column, noisy)) == WORDS[:count]
    np.testing.assert_array_equal(cols.settle_column(column, noisy), block)


def test_no_level_is_made_up():
    """Five hundred levels have nine bits, which could say 512."""
    column = _fit(WORDS, kind="categorical")
    found = cols.decode(column, RNG.normal(0.5, 2, (5000, column.width)))
    assert set(found) <= set(WORDS) and len(set(found)) > 400


def test_levels_keep_their_type():
    for levels in ([3, 1, 2], [2.5, -1.0, 0.0], [True, False], ["b", "a"]):
        column = _fit(levels, kind="categorical")
        block, _ = cols.encode(
            column, pd.Series(levels), np.zeros(len(levels), bool)
        )
        found = cols.decode(column, block[: len(levels)])
        assert [type(x) for x in found] == [type(x) for x in levels]
        assert list(found) == levels


def test_unseen_levels_are_told():
    column = _fit(["a", "b"], kind="categorical")
    values = pd.Series(["b", "c", None])
    block, unseen = cols.encode(column, values, values.isna().to_numpy())
    assert list(unseen) == [False, True, False]
    assert not block[1:].any()


def test_mirrored_numbers_are_inside_and_make_no_heap():
    x = RNG.normal(0, 3, 10000)
    inside = codes.mirror(x, -1.0, 2.0)
    assert inside.min() >= -1 and inside.max() <= 2
    np.testing.assert_array_equal(
        inside[(x >= -1) & (x <= 2)], x[(x >= -1) & (x <= 2)]
    )
    assert np.mean(np.isclose(inside, 2, atol=1e-3)) < 0.01
    np.testing.assert_allclose(
        codes.mirror(np.array([2.5, -1.25]), -1, 2), [1.5, -0.75]
    )
    np.testing.assert_array_equal(
        codes.mirror(np.array([-2.0, 5]), 0, np.inf), [2, 5]
    )
    big = codes.mirror(np.array([1.7e308, -1.7e308]), -1e308, 1e308)
    assert np.isfinite(big).all() and np.abs(big).max() <= 1e308


def test_numbers_have_the_decimals_and_bounds_of_their_column():
    column = _fit([0.25, 1.5, 10.0], bounds=(0, None))
    assert (column.low, column.high, column.decimals) == (0, 10, 2)
    found = cols.decode(column, np.array([[0.123], [-0.5], [10.5]]))
    np.testing.assert_array_equal(found, [0.12, 0.5, 9.5])
    whole = _fit([3, 9, 40, None])
    np.testing.assert_array_equal(
        cols.decode(whole, np.array([[7.4], [2.6], [41.0]])), [7, 3, 39]
    )


def test_limits_are_those_that_rounding_needs():
    columns = [
        _fit([3, 9, 40]),
        _fit([0.25, 1.5]),
        _fit(["a", "b", "c"]),
        _fit([5.0, 5.0]),
    ]
    low, high = cols.limits(columns)
    np.testing.assert_allclose(low[:2], [2.5, 0.245])
    np.testing.assert_allclose(high[:2], [40.5, 1.505])
    assert np.isinf(low[2:]).all() and len(low) == 6


def test_normal_scores_are_normal_and_invertible():
    x = np.exp(3 * RNG.standard_normal(2000))
    column = _fit(x)
    assert column.knots is not None
    block, _ = cols.encode(column, pd.Series(x), np.zeros(2000, bool))
    z = block[:, 0]
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.02
    assert (np.diff(z[np.argsort(x)]) >= 0).all()
    np.testing.assert_allclose(cols.decode(column, block), x, rtol=0.05)
    far = cols.decode(column, np.array([[-50.0], [50.0]]))
    np.testing.assert_array_equal(far, [x.min(), x.max()])


def test_a_heap_at_zero_comes_back_as_one():
    x = np.where(RNG.random(4000) < 0.7, 0.0, RNG.gamma(2, 3, 4000))
    column = _fit(x)
    assert column.knots is not None
    drawn = cols.decode(column, RNG.standard_normal((20000, 1)))
    assert abs(np.mean(drawn == 0) - np.mean(x == 0)) < 0.02
    np.testing.assert_allclose(drawn.mean(), x.mean(), rtol=0.05)


def test_normal_columns_stay_as_they_are():
    for x in (
        RNG.standard_normal(500),
        RNG.random(500),
        RNG.integers(0, 9, 500),
    ):
        assert _fit(x).knots is None


def test_times_come_back_to_the_step_they_had():
    days = pd.Series(pd.to_datetime(["2020-01-01", "2024-02-29", None]))
    column = _fit(days)
    assert column.step == 86400
    block, _ = cols.encode(column, days, days.isna().to_numpy())
    found = pd.to_datetime(cols.decode(column, block[:2] + 4000), unit="s")
    assert list(found) == list(days[:2])


def test_whole_numbers_stay_within_fractional_bounds():
    column = _fit([1, 3, 7], bounds=(0.3, 8.6))
    made = cols.decode(column, np.linspace(-30, 30, 999)[:, None])
    assert set(made) == set(range(1, 9))


def test_heavy_tails_without_bounds_are_finite():
    numbers = np.random.default_rng(0).standard_cauchy(300)
    column = _fit(numbers, bounds=(-np.inf, np.inf))
    assert column.knots is not None
    made = cols.decode(column, np.array([[-40.0], [0.0], [40.0]]))
    assert np.isfinite(made).all()
    assert made[0] == numbers.min() and made[2] == numbers.max()


def test_levels_that_are_numbers_may_be_called_numbers():
    values = pd.Series(pd.Categorical([3, None, 5]))
    column = _fit(values, kind="real")
    found, _ = cols.encode(column, values, values.isna().to_numpy())
    np.testing.assert_array_equal(found[:, 0], [3, 0, 5])


@pytest.mark.parametrize(
    "values, settings, message",
    [
        ([1.0, np.inf], {}, "infinite value"),
        ([1, 2j], {}, "complex numbers"),
        (pd.to_timedelta([1, 2], unit="s"), {}, "durations"),
        ([1, "x", 3], {}, r"holds text \('x' in row 2\)"),
        ([[1], [2]], {}, "holds list"),
        ([[1], [2]], {"kind": "categorical"}, "list objects"),
        ([1.5, 2], {"kind": "integer"}, "holds 1.5; call it real"),
        ([1, 2], {"kind": "number"}, "cannot be 'number'; use one of"),
        (["a", "b", "c"], {"kind": "boolean"}, "3 different values"),
        (["a", None], {"kind": "id"}, "nothing can fill"),
        (["a", "b"], {"bounds": (0, 1)}, "has no bounds"),
        ([1.0, 2.5], {"bounds": (3, 1)}, "first must be the smaller"),
        ([1.0, 2.5], {"bounds": (2, 9)}, "beyond its bounds"),
        ([1.0, 2.5], {"bounds": ("a", 9)}, "give two numbers"),
        ([1.0, 2.5], {"bounds": 3}, "give two numbers"),
        ([1, 3], {"bounds": (1.2, 1.8)}, "beyond its bounds"),
        (["a", "b"], {"levels": ["a", "b", "a"]}, "has 'a' twice"),
        (["a", "b"], {"levels": ["a"]}, "not in its order"),
        (["a", "b"], {"levels": ["a", "b"], "kind": "id"}, "call it ordinal"),
        (["a", "b"], {"kind": "real"}, "holds text"),
        (["a", "b"], {"kind": "datetime"}, "holds text"),
    ],
)
def test_what_cannot_be_used_is_named(values, settings, message):
    with pytest.raises(DataError, match=message) as error:
        _fit(values, **settings)
    assert "'c'" in str(error.value) and "\n" not in str(error.value)
