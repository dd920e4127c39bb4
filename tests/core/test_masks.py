"""Amputation: shares, independence, dependence, rescued rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from miri_jax.core import masks
from miri_jax.exceptions import DataError

# Most tests share three shapes, as compiling is what takes the time: a table,
# a small one of many empty rows, and a stack of small ones.
N, D = 4000, 6
SMALL = (600, 3)
STACK = (100, 100, 3)
NAMES = tuple(masks.MECHANISMS)


@pytest.fixture(scope="module")
def table():
    """Correlated columns on very different scales, one skewed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D))
    x[:, 0] = np.exp(x[:, 0])
    scale = np.array([1.0, 1e-3, 1e4, 1.0, 30.0, 1e-6])
    return jnp.asarray(x * scale + 10 * scale, jnp.float32)


def normal(seed, shape):
    """A standard normal table with independent columns."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), "f4")


def missing_by_column(m):
    return np.sum(~np.asarray(m), axis=0)


def mean_gap(values, missing):
    """Mean of the missing minus that of the observed, in standard errors."""
    a, b = values[missing], values[~missing]
    return (a.mean() - b.mean()) / np.sqrt(a.var() / len(a) + b.var() / len(b))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_rate_is_the_share_of_missing_entries(name, rate, table):
    m, realised = masks.amputate(
        jax.random.key(1), table, mechanism=name, rate=rate
    )
    missing = missing_by_column(m)
    if name == "mar":
        missing = missing[missing > 0]  # Drivers are not amputable.
    share = missing.sum() / (N * max(missing.size, 1))
    assert m.dtype == bool and m.shape == (N, D)
    np.testing.assert_allclose(realised, share, rtol=1e-6)
    error = 5 * np.sqrt(rate * (1 - rate) / (N * D)) + 0.5 / N
    tolerance = 1 / D if name == "mcar_row" else error  # floor(d * rate)
    assert abs(share - rate) <= tolerance


def test_mcar_entries_are_independent():
    m = np.asarray(masks.mcar(jax.random.key(2), (N, D), 0.3).m, float)
    columns = np.corrcoef(m.T)[np.triu_indices(D, 1)]
    rows = np.corrcoef(m[:-1].ravel(), m[1:].ravel())[0, 1]
    assert np.all(np.abs(columns) < 4 / np.sqrt(N))
    assert abs(rows) < 4 / np.sqrt(N * D)
    np.testing.assert_allclose(m.mean(0), 0.7, atol=4 * np.sqrt(0.21 / N))


@pytest.mark.parametrize("rate", [0.34, 0.58])
def test_exact_shares_are_exact_and_uniform(rate):
    # 100 * 0.58 is 57.99999999999999, which means 58.
    draws, n, d = STACK
    for axis, per_line in ((1, 1), (0, round(n * rate))):
        keys = jax.random.split(jax.random.key(3), draws)
        m = jax.vmap(
            lambda k, axis=axis: masks.mcar_exact(k, (n, d), rate, axis=axis).m
        )(keys)
        assert np.all(np.sum(~np.asarray(m), axis=1 + axis) == per_line)
        # Every entry is as likely to be missing as the next one.
        share = per_line / (n, d)[axis]
        error = np.sqrt(share * (1 - share) / draws)
        assert np.max(np.abs(np.mean(~m, axis=0) - share)) <= 5.5 * error


def test_exact_columns_stay_exact_at_the_limit_of_nonempty_rows():
    m, rate = masks.mcar_exact(jax.random.key(4), SMALL, 2 / 3, axis=0)
    assert np.all(missing_by_column(m) == 400)
    assert np.all(np.sum(m, axis=1) == 1)  # No other mask is possible.
    np.testing.assert_allclose(rate, 2 / 3, rtol=1e-6)
    with pytest.raises(DataError, match="lower it to 2/3"):
        masks.mcar_exact(jax.random.key(4), SMALL, 0.7, axis=0)
    free = masks.mcar_exact(
        jax.random.key(4), SMALL, 0.7, axis=0, allow_empty_rows=True
    )
    assert np.all(missing_by_column(free.m) == 420)


@pytest.mark.parametrize("rate", [0.03, 0.5, 0.9])
def test_mar_drivers_are_complete_and_other_shares_met(rate, table):
    m, realised = masks.mar(jax.random.key(5), table, rate)
    missing = missing_by_column(m)
    assert np.sum(missing == 0) == 2  # round(0.3 * 6)
    assert np.all(np.abs(missing[missing > 0] / N - rate) <= 1 / N)
    assert abs(realised - rate) <= 1 / N


def test_mar_depends_on_drivers_only(table):
    def draw(x):
        return np.asarray(masks.mar(jax.random.key(6), x, 0.4).m)

    m = draw(table)
    drivers = np.all(m, axis=0)
    x = np.asarray(table)
    for j in np.flatnonzero(~drivers):
        gaps = [mean_gap(x[:, i], ~m[:, j]) for i in np.flatnonzero(drivers)]
        assert np.max(np.abs(gaps)) > 6
    # Whatever the columns with gaps hold, the mask is the same.
    other = jnp.where(drivers[None], table, -7 * table[::-1] ** 2)
    np.testing.assert_array_equal(draw(other), m)
    # It is not where the drivers change, nor does their scale matter.
    assert np.mean(draw(table[::-1]) != m) > 0.05
    np.testing.assert_array_equal(draw(1024 * table), m)


def test_mar_probability_is_the_logistic_of_the_driver():
    # With two columns the logit is the standardised driver, up to its sign.
    n, bins = 20_000, 20
    x = normal(7, (n, 2))
    m = np.asarray(masks.mar(jax.random.key(8), 5 + 3 * x, 0.5).m)
    driver = int(np.argmax(np.all(m, axis=0)))
    z = np.asarray(x[:, driver])
    z = (z - z.mean()) / z.std()
    missing = ~m[:, 1 - driver]
    z = z * np.sign(mean_gap(z, missing))
    order = np.argsort(z).reshape(bins, -1)
    p = 1 / (1 + np.exp(-z[order]))  # By symmetry the intercept is 0.
    error = np.sqrt(np.mean(p * (1 - p), axis=1) / order.shape[1])
    gap = np.mean(missing[order], axis=1) - np.mean(p, axis=1)
    assert np.max(np.abs(gap) / error) < 4


def test_mnar_hides_drivers_at_their_own_rate(table):
    # The same key gives mar's drivers and, with driver_rate 0, mar's mask.
    mar = masks.mar(jax.random.key(9), table, 0.3).m
    drivers = np.all(mar, axis=0)
    same = masks.mnar(jax.random.key(9), table, 0.3, driver_rate=0.0)
    np.testing.assert_array_equal(same.m, mar)
    m, realised = masks.mnar(jax.random.key(9), table, 0.3, driver_rate=0.1)
    expected = np.where(drivers, 0.1, 0.3)
    np.testing.assert_allclose(missing_by_column(m) / N, expected, atol=1 / N)
    np.testing.assert_allclose(realised, expected.mean(), atol=1 / N)
    # The drivers themselves are MCAR.
    for j in np.flatnonzero(drivers):
        values, hidden = np.asarray(table[:, j]), ~np.asarray(m[:, j])
        assert abs(mean_gap(values, hidden)) < 4


def test_mnar_self_depends_on_the_own_value():
    x = normal(10, (N, D))  # Independent columns.
    m = ~np.asarray(masks.mnar_self(jax.random.key(11), x, 0.4).m)
    x = np.asarray(x)
    gaps = np.array([[mean_gap(a, b) for b in m.T] for a in x.T])
    assert np.all(np.abs(np.diag(gaps)) > 8)
    assert np.max(np.abs(gaps[~np.eye(D, dtype=bool)])) < 4
    assert len(set(np.sign(np.diag(gaps)))) == 2  # Both signs occur.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.5, 0.66, 0.9])
def test_no_row_is_empty(name, rate):
    draws, n, d = STACK
    if name == "mcar_column" and rate > (d - 1) / d:
        return  # Refused; see the test of the limit above.
    x = normal(12, (n, d))
    draw = masks.MECHANISMS[name]
    keys = jax.random.split(jax.random.key(13), draws)
    m, realised = jax.vmap(lambda k: draw(k, x, rate))(keys)
    assert np.all(np.any(m, axis=2))
    if name in ("mar", "mnar_self"):  # Rescued rows do not change the share.
        best = rate if name == "mar" else min(rate, (d - 1) / d)
        np.testing.assert_allclose(realised, best, atol=1 / n)


@pytest.mark.parametrize("name", ["mcar", "mnar", "mnar_self"])
def test_rescue_keeps_the_share_of_each_column(name):
    x = normal(14, SMALL)
    draw = masks.MECHANISMS[name]
    free = draw(jax.random.key(15), x, 0.5, allow_empty_rows=True).m
    kept = draw(jax.random.key(15), x, 0.5).m
    empty = ~np.any(free, axis=1)
    assert empty.sum() > 20
    np.testing.assert_array_equal(missing_by_column(kept), np.sum(~free, 0))
    # One entry more in each rescued row, one less in as many others.
    gained = np.sum(kept, axis=1) - np.sum(free, axis=1)
    assert np.all(gained[empty] == 1)
    assert np.sum(kept != free) == 2 * empty.sum()


@pytest.mark.parametrize("name", NAMES)
def test_keys_decide_the_mask(name, table):
    draw = masks.MECHANISMS[name]
    first, again, other = (
        np.asarray(draw(jax.random.key(seed), table, 0.4).m)
        for seed in (16, 16, 17)
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.2


@pytest.mark.parametrize("name", ["mar", "mnar", "mnar_self"])
def test_constant_columns_and_extreme_scales_are_safe(name):
    x = np.random.default_rng(1).normal(size=(N, D)) * 1e30
    x[:, 1:5] = [0.1, 0.0, 3e9, -1e-9]
    x[:, 5] *= 1e-65  # Around 1e-35.
    z = masks._standardise(x)
    assert np.all(np.isfinite(z)) and np.all(z[:, 1:5] == 0)
    np.testing.assert_allclose(np.std(z[:, [0, 5]], axis=0), 1, rtol=1e-4)
    m, rate = masks.amputate(jax.random.key(18), x, mechanism=name, rate=0.4)
    missing = missing_by_column(m)
    assert set(missing) <= ({0, 1600} if name == "mar" else {1600})
    np.testing.assert_allclose(rate, 0.4, rtol=1e-6)
    constant = masks.amputate(
        jax.random.key(18), np.ones((N, D)), mechanism=name, rate=0.4
    )
    np.testing.assert_allclose(constant.rate, 0.4, rtol=1e-6)


def test_pixels_share_a_mask_over_channels_or_not():
    shape, rate = (20, 16, 16, 3), 0.4
    together, share = masks.pixels(jax.random.key(19), shape, rate)
    assert np.all(together == together[..., :1])
    np.testing.assert_allclose(share, np.mean(~together), rtol=1e-6)
    apart, share = masks.pixels(
        jax.random.key(19), shape, rate, per_channel=True
    )
    np.testing.assert_allclose(share, np.mean(~apart), rtol=1e-6)
    flat = np.asarray(apart, float).reshape(-1, 3)
    correlation = np.corrcoef(flat.T)[np.triu_indices(3, 1)]
    assert np.all(np.abs(correlation) < 4 / np.sqrt(len(flat)))
    for m in (together, apart):
        error = np.sqrt(0.24 / (20 * 16 * 16))
        assert abs(np.mean(~m) - rate) < 4 * error


def test_pixels_keep_an_entry_in_each_image():
    keep = masks.pixels(jax.random.key(20), (600, 1, 3, 2), 0.9).m
    assert np.all(np.any(keep, axis=(1, 2, 3)))
    free = masks.pixels(
        jax.random.key(20), (600, 1, 3, 2), 0.9, allow_empty_rows=True
    ).m
    assert not np.all(np.any(free, axis=(1, 2, 3)))


def test_single_columns_need_empty_rows():
    x = normal(21, (600, 1))
    for name in ("mcar", "mcar_row", "mcar_column", "mnar_self"):
        draw = masks.MECHANISMS[name]
        with pytest.raises(DataError, match="allow_empty_rows=True"):
            draw(jax.random.key(22), x, 0.5)
        assert np.all(draw(jax.random.key(22), x, 0.0).m)
    m = masks.mnar_self(jax.random.key(22), x, 0.5, allow_empty_rows=True).m
    assert missing_by_column(m) == 300
    for name in ("mar", "mnar"):
        with pytest.raises(DataError, match="use mechanism 'mnar_self'"):
            masks.amputate(jax.random.key(22), x, mechanism=name, rate=0.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_refused(name, rate, table):
    with pytest.raises(DataError, match=rf"rate {rate} .*\[0, 1\)"):
        masks.amputate(jax.random.key(0), table, mechanism=name, rate=rate)


def test_other_wrong_settings_are_refused(table):
    key = jax.random.key(0)
    with pytest.raises(DataError, match="'mcr' does not exist; .*mcar_row"):
        masks.amputate(key, table, mechanism="mcr", rate=0.3)
    with pytest.raises(DataError, match="1 of 24000 values"):
        gap = table.at[0, 0].set(jnp.nan)
        masks.amputate(key, gap, mechanism="mar", rate=0.3)
    with pytest.raises(DataError, match=r"shape \(4000,\)"):
        masks.amputate(key, table[:, 0], mechanism="mar", rate=0.3)
    with pytest.raises(DataError, match="driver_share 1.5"):
        masks.mar(jax.random.key(1), table, 0.3, driver_share=1.5)
    with pytest.raises(DataError, match="rate 1.2"):
        masks.mnar(jax.random.key(2), table, 0.3, driver_rate=1.2)
    with pytest.raises(DataError, match="axis 2"):
        masks.mcar_exact(key, (10, 3), 0.3, axis=2)


@pytest.mark.parametrize("name", ["mcar", "mnar"])
def test_mechanisms_give_the_same_under_jit(name):
    x = normal(23, SMALL)
    draw = masks.MECHANISMS[name]
    eager = draw(jax.random.key(24), x, 0.5)
    jitted = jax.jit(lambda k, x: draw(k, x, 0.5))(jax.random.key(24), x)
    np.testing.assert_array_equal(eager.m, jitted.m)
