"""Columns of any type: kinds, codes, bounds."""

import decimal
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings

from miri_jax.data import codes, tables
from miri_jax.data import columns as cols
from miri_jax.data.detecting import detect
from miri_jax.data.numbers import digits
from miri_jax.data.transforms import LARGEST
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
        ([*range(5, 30), None], "id"),
        ([True, False, None], "boolean"),
        (["a", "b", None], "categorical"),
        (WORDS[:30], "id"),
        ([*WORDS[:30], None], "id"),
        ([*WORDS[:30], "w0"], "id"),
        ([*WORDS[:30], *WORDS[:29]], "categorical"),
        (pd.to_datetime(["2020-01-01", None]), "datetime"),
        (pd.Categorical(["a", "b"]), "categorical"),
        (pd.Categorical(["a", "b"], ordered=True), "ordinal"),
        ([None, None], "real"),
        ([1e16, 2e16], "real"),
    ],
)
def test_kinds_are_found_by_the_stated_rules(values, kind):
    values = pd.Series(values)
    assert detect("c", values, values.isna().to_numpy()).kind == kind


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
    assert list(cols.decode(column, block)) == WORDS[:count]
    np.testing.assert_array_equal(cols.settle_column(column, block), block)
    if kind == "categorical":
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


def test_numbers_have_the_decimals_and_the_users_bounds():
    """The observed extremes, 0.25 and 10, bound nothing."""
    column = _fit([0.25, 1.5, 10.0], bounds=(0, None))
    assert (column.low, column.high, column.decimals) == (0, np.inf, 2)
    found = cols.decode(column, np.array([[0.123], [-0.5], [1000.517]]))
    np.testing.assert_array_equal(found, [0.12, 0, 1000.52])
    whole = _fit([3, 9, 40, None])
    np.testing.assert_array_equal(
        cols.decode(whole, np.array([[7.4], [-2.6], [41.0]])), [7, -3, 41]
    )


def test_bounds_beyond_which_cells_were_observed_are_refused():
    with pytest.raises(DataError, match="holds 0.25 to 10, beyond its bounds"):
        _fit([0.25, 1.5, 10.0], bounds=(0, 9))


def test_a_column_that_differs_by_rounding_is_constant():
    """As it is to the scaler, whose unit is then the value itself."""
    column = _fit([1 - 1e-13, 1.0, 1 + 1e-13])
    assert column.low == column.high == 1
    assert _fit([1 - 1e-10, 1.0, 1 + 1e-10]).low == -np.inf


def test_a_constant_column_keeps_its_value():
    for column in (_fit([5.0, 5.0, None]), _fit([5, 5], bounds=(0, 9))):
        assert column.low == column.high == 5
        found = cols.decode(column, np.array([[-3.0], [1e300]]))
        np.testing.assert_array_equal(found, [5, 5])


@pytest.mark.parametrize(
    "dtype, low, high",
    [
        ("int8", -128, 127),
        ("UInt8", 0, 255),
        ("uint16", 0, 65535),
        ("int64", -(2.0**53), 2.0**53),
        ("uint64", 0, 2.0**53),
        ("float64", -(2.0**53), 2.0**53),  # whole numbers with gaps
    ],
)
def test_a_type_bounds_what_is_imputed(dtype, low, high):
    column = _fit(pd.Series([1, 2, 5], dtype=dtype))
    assert (column.kind, column.low, column.high) == ("integer", low, high)
    far = cols.decode(column, np.array([[-1e300], [1e300]]))
    np.testing.assert_array_equal(far, [low, high])


def test_numbers_that_a_type_need_not_round_are_as_large_as_it():
    values = pd.Series([2**60, 2**61, 2**62], dtype="int64")
    column = _fit(values)
    assert (column.kind, column.low, column.high) == ("real", -(2**63), 2**63)


@pytest.mark.parametrize(
    "dtype, text, first, last",
    [
        ("datetime64[ns]", False, 1677, 2262),
        ("datetime64[us]", False, 1, 9999),
        ("datetime64[s]", False, 1, 9999),
        ("datetime64[us]", True, 1000, 9999),
        (object, False, 1, 9999),
    ],
)
def test_times_are_of_years_that_their_type_holds(dtype, text, first, last):
    days = pd.Series(pd.to_datetime(["2020-01-01", "2024-02-29", None]))
    days = days.dt.date if dtype is object else days.astype(dtype)
    column = _fit(days, text=text)
    found = cols.decode(column, np.array([[-1e15], [1e15]]))
    assert not np.any(found % 86400)
    years = found.astype("datetime64[s]").astype("datetime64[Y]").astype(int)
    np.testing.assert_array_equal(years + 1970, [first, last])
    made = tables.times(found)
    if dtype is not object:
        assert (made.astype(dtype) == made).all()
    if text:
        assert list(made.dt.strftime("%Y-%m-%d").str.len()) == [10, 10]


def test_decimals_are_as_long_as_those_observed():
    cells = [decimal.Decimal("1.50"), decimal.Decimal("-123.4"), None]
    column = _fit(pd.Series(cells, dtype=object))
    assert (column.low, column.high) == (-999.99, 999.99)


def test_limits_are_those_of_users_and_types_with_what_rounds_to_them():
    columns = [
        _fit([3, 9, 40], bounds=(0, 50)),
        _fit([0.25, 1.5]),
        _fit([0.25, 1.5], bounds=(0, None)),
        _fit(["a", "b", "c"]),
        _fit([5.0, 5.0], bounds=(0, 9)),
        _fit(pd.Series([1, 2], dtype="uint8")),
        _fit(pd.to_datetime(pd.Series(["2020-01-01", "2024-02-29"]))),
    ]
    low, high = cols.limits(columns)
    np.testing.assert_allclose(low[:3], [-0.5, -np.inf, -0.005])
    np.testing.assert_allclose(high[:3], [50.5, np.inf, np.inf])
    assert np.isinf(low[3:7]).all() and np.isinf(high[3:7]).all()
    assert (low[7], high[7]) == (-0.5, 255.5)
    times = columns[-1]
    assert low[8] == times.low - 43200 and high[8] == times.high + 43200


def test_ordered_levels_are_as_frequent_as_observed():
    share = [0.9, 0.05, 0.03, 0.015, 0.005]
    values = pd.Series(RNG.choice(WORDS[:5], 4000, p=share))
    column = _fit(values, kind="ordinal")
    drawn = pd.Series(cols.decode(column, RNG.standard_normal((40000, 1))))
    found = drawn.value_counts(normalize=True)
    assert (found - values.value_counts(normalize=True)).abs().max() < 0.004
    ends = cols.decode(column, np.array([[-99.0], [99.0]]))
    assert list(ends) == ["w0", "w4"]


def test_an_ordered_level_that_was_not_observed_has_a_code():
    values = pd.Series(["a", "c", None] * 9)
    column = _fit(values, levels=["a", "b", "c", "d"])
    found, unseen = cols.encode(
        column, pd.Series(["d", "b", "a", "c"]), np.zeros(4, bool)
    )
    assert not unseen.any()
    assert list(cols.decode(column, found)) == ["d", "b", "a", "c"]


def _normal_like(block, n):
    """Normal numbers with the moments of a block `[?, width]`."""
    cov = np.atleast_2d(np.cov(block.T))
    rng = np.random.default_rng(0)
    return rng.multivariate_normal(block.mean(axis=0), cov, n)


@pytest.mark.parametrize(
    "share",
    [
        [0.956, 0.044],
        [0.5, 0.5],
        [0.943, 0.044, 0.013],
        [0.5, 0.49, 0.01],
        [0.2] * 5,
        [0.6, *[0.4 / 22] * 22],
    ],
)
@pytest.mark.parametrize("kind", ["categorical", "boolean"])
def test_drawn_levels_are_as_frequent_as_observed(share, kind):
    if kind == "boolean" and len(share) > 2:
        return
    n = 6000
    counts = np.round(np.array(share) * n).astype(int)
    values = pd.Series(np.repeat(WORDS[: len(share)], counts))
    column = _fit(values, kind=kind)
    block, _ = cols.encode(column, values, np.zeros(len(values), bool))
    drawn = cols.decode(column, _normal_like(block, 40000))
    found = np.array([np.mean(drawn == w) for w in WORDS[: len(share)]])
    error = np.abs(found - counts / counts.sum())
    # What offsets are learnt from are draws, too.
    assert (error < 0.15 * np.array(share) + 0.005).all(), found
    # A code itself is still its own level.
    assert list(cols.decode(column, block)) == list(values)


def test_a_score_within_an_atom_stays_and_no_other():
    """So that filled heaps are as spread as observed ones."""
    x = np.array([0.0] * 700 + [*np.arange(1, 301) / 7], float)
    column = _fit(x, decimals=2)
    drawn = RNG.standard_normal((5000, 1))
    settled = cols.settle_column(column, drawn)
    zero = cols.decode(column, drawn) == 0
    assert np.mean(settled[zero] == drawn[zero]) > 0.99
    np.testing.assert_array_equal(
        cols.decode(column, settled), cols.decode(column, drawn)
    )
    np.testing.assert_array_equal(
        settled[~zero], cols.block_of(column, cols.decode(column, drawn)[~zero])
    )


@pytest.mark.parametrize(
    "values",
    [
        RNG.standard_normal(200).round(2),
        RNG.poisson(3, 200),
        [10, 20, 25] * 30,
        [1.5, 2.5, 4.0],
        [True, False] * 30,
        list("abcd") * 9,
        pd.Categorical(list("abcd") * 9, ordered=True),
        pd.date_range("2020-01-01", periods=99, freq="D"),
    ],
)
def test_values_and_blocks_are_inverse(values):
    column = _fit(values)
    cells = pd.Series(values)
    numbers, _ = cols.read(column, cells, np.zeros(len(cells), bool))
    place = RNG.random(len(cells))
    block = cols.block_of(column, numbers, place)
    assert block.shape == (len(cells), column.width)
    np.testing.assert_allclose(
        cols.values_of(column, block), numbers, atol=1e-9
    )
    encoded, _ = cols.encode(column, cells, np.zeros(len(cells), bool), place)
    np.testing.assert_array_equal(encoded, block)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.lists(st.floats(-LARGEST, LARGEST), min_size=1, max_size=9),
    st.lists(st.floats(-LARGEST, LARGEST), min_size=1, max_size=9),
    st.one_of(st.none(), st.integers(0, 7)),
)
@example([1e308, 0.123], [1e308, -LARGEST], 3)
def test_no_number_overflows(observed, drawn, decimals):
    column = _fit(observed, kind="real", decimals=decimals)
    drawn = np.array(drawn)[:, None]
    found = cols.decode(column, drawn)
    assert np.isfinite(found).all()
    mean = cols.average(column, [drawn, drawn, drawn])
    assert np.isfinite(mean).all()


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


def test_levels_that_are_numbers_may_be_called_numbers():
    values = pd.Series(pd.Categorical([3, None, 5]))
    column = _fit(values, kind="real")
    found, _ = cols.encode(column, values, values.isna().to_numpy())
    np.testing.assert_array_equal(found[:, 0], [3, 0, 5])


@pytest.mark.parametrize(
    "values, settings, message",
    [
        ([1.0, np.inf], {}, "infinite value"),
        ([1, 2j, None], {}, "complex numbers"),
        (pd.to_timedelta([1, 2, None], unit="s"), {}, "durations"),
        ([1, "x", 3], {}, r"holds text \('x' in row 2\)"),
        ([[1], 2], {}, "holds list"),
        ([[1], [2]], {"kind": "categorical"}, "list objects"),
        ([1.5, 2], {"kind": "integer"}, "holds 1.5; call it real"),
        ([1, 2], {"kind": "number"}, "cannot be 'number'; use one of"),
        (["a", "b", "c"], {"kind": "boolean"}, "3 different values"),
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


@pytest.mark.parametrize(
    "numbers, decimals",
    [
        ([0.1 + 0.2, 0.7, 2.5], 1),
        (np.array([54.2, 66.8, 71.1]) * 100, 0),
        (np.float32([66.8, 12.3, 0.1]), 1),
        (np.float32([1 / 3, 2 / 3, 0.1]), None),
        ([1 + 1e-12, 1.0, 2.0], None),
        ([1e300, 1e-300], None),
        ([0.25, 3.0], 2),
        ([5e-324, 1.0], None),
        ([1e16, 2e16], 0),
        ([0.0, 0.0], 0),
    ],
)
def test_digits_are_those_that_were_written(numbers, decimals):
    assert digits(np.asarray(numbers).astype(np.float64)) == decimals


def test_many_gaps_of_many_levels_take_little_memory():
    """Each gap's distance to each level was held: 0.4 GB here, 4.8 in use."""
    count, gaps = 13_000, 4_000
    book = codes.code_book("categorical", count)
    numbers = RNG.normal(0.5, 1, (gaps, book.shape[1]))
    tracemalloc.start()
    try:
        found = codes.nearest_code(book, np.zeros(count), numbers)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * gaps * count / 3
    few = numbers[:5, None] - book
    np.testing.assert_array_equal(found[:5], (few**2).sum(2).argmin(1))
