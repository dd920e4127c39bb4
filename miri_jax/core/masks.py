"""Amputation: masks that hide a chosen share of a complete table.

All mechanisms end alike: each entry gets a score, the entry is observed where
its score is >= 0, and rows that would lose everything are rescued (`_cut`).
`m` is True where a value is OBSERVED. Keys are typed (`jax.random.key`); rates
and shapes are Python values, so that every function but `amputate` may be
jitted over key and x.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.exceptions import DataError
from miri_jax.types import Array


class Amputation(NamedTuple):
    """A mask and the rate it really has.

    Attributes:
      m: `[n, *dims]` bool, True where observed.
      rate: scalar float32, realised share of missing entries among those that
        the mechanism may hide (for `mar`: without the driver columns).
    """

    m: Array
    rate: Array


def mcar(
    key: Array,
    shape: tuple[int, int],
    rate: float,
    *,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides every entry with the same probability, independently.

    MissDiff, appendix C.2, "independent missing".

    Args:
      key: PRNG key.
      shape: (n, d).
      rate: probability of missing, in [0, 1).
      allow_empty_rows: False rescues rows that lost all entries: they get one
        back, and another row with two or more loses one in the same column.
        The rate stays what it was, at most (d - 1) / d.

    Returns:
      An `Amputation` with m `[n, d]`.

    Raises:
      DataError: rate outside [0, 1), or d == 1 without `allow_empty_rows`.
    """
    _check_rate(rate, shape[1], allow_empty_rows)
    score = jax.random.uniform(key, shape, jnp.float32) - rate
    m = _cut(score, allow_empty_rows)
    return Amputation(m, _missing_share(m))


def mcar_exact(
    key: Array,
    shape: tuple[int, int],
    rate: float,
    *,
    axis: int,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides an exact number of entries in each row or in each column.

    MissDiff, appendix C.2, "row missing" and "column missing". Rescued rows
    (see `mcar`) leave the count of each column as it was.

    Args:
      key: PRNG key.
      shape: (n, d).
      rate: share of missing entries, in [0, 1).
      axis: 1 hides floor(d * rate) entries in each row, 0 hides
        floor(n * rate) entries in each column.
      allow_empty_rows: False keeps an entry in each row.

    Returns:
      An `Amputation` with m `[n, d]`; the realised rate is below the one asked
      for where the product is no whole number.

    Raises:
      DataError: rate outside [0, 1), an axis other than 0 and 1, or more
        entries to hide than leave one in each row.
    """
    n, d = shape
    _check_rate(rate, d, allow_empty_rows)
    if axis not in (0, 1):
        raise DataError(
            f"axis {axis!r} does not exist; pass 1 for exact shares in rows "
            "or 0 for exact shares in columns"
        )
    # 100 * 0.29 is 28.999999999999996: the tolerance keeps floor at 29.
    missing = math.floor(shape[axis] * rate + 1e-9)
    if axis == 0 and not allow_empty_rows and d * missing > n * (d - 1):
        raise DataError(
            f"rate {rate} hides {missing} of {n} entries in each of {d} "
            f"columns, so that some row keeps none; lower it to {d - 1}/{d} "
            "or pass allow_empty_rows=True"
        )
    ranks = _ranks(jax.random.uniform(key, shape, jnp.float32), axis)
    # floor(d * rate) < d: exact rows keep an entry by themselves.
    m = _cut(ranks - missing, allow_empty_rows or axis == 1)
    return Amputation(m, _missing_share(m))


def mar(
    key: Array,
    x: Array,
    rate: float,
    *,
    driver_share: float = 0.3,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides entries depending on columns that stay complete (logistic MAR).

    round(driver_share * d) random driver columns stay complete. Another column
    j is missing with probability sigmoid(w_j . x_drivers + b_j), w_j normal,
    the logits scaled to mean 0 and variance 1 over the rows. The intercept b_j
    is the one that makes the REALISED share right (see `_logistic_score`).
    MissDiff, appendix C.2; Muzellec et al. 2020.

    Args:
      key: PRNG key.
      x: `[n, d]`, complete, on any scale; it is standardised here. Drivers that
        are all constant leave MCAR.
      rate: share of missing entries in each column but the drivers, in [0, 1);
        met to within 1 / n.
      driver_share: share of driver columns in [0, 1]; at least one column is
        and one is not a driver.
      allow_empty_rows: no effect: a row always keeps its drivers.

    Returns:
      An `Amputation` with m `[n, d]` and the rate over the other columns.

    Raises:
      DataError: rate or driver_share out of range, or d < 2.
    """
    del allow_empty_rows  # Taken so that all mechanisms are called alike.
    key_logits, key_score = jax.random.split(key)
    logits, is_driver = _driver_logits(key_logits, x, rate, driver_share)
    n, d = logits.shape
    missing = jnp.where(is_driver, 0, round(n * rate))
    m = _logistic_score(key_score, logits, missing) >= 0
    hidable = n * (d - _num_drivers(d, driver_share))
    return Amputation(m, _missing_share(m, hidable))


def mnar(
    key: Array,
    x: Array,
    rate: float,
    *,
    driver_share: float = 0.3,
    driver_rate: float | None = None,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides entries depending on columns that then get gaps themselves.

    As `mar`, but the driver columns are masked too, MCAR, so that what the
    missingness depends on is partly unseen. Muzellec et al. 2020.

    Args:
      key: PRNG key.
      x: `[n, d]`, complete, on any scale.
      rate: share of missing entries in each column but the drivers, in [0, 1);
        met to within 1 / n, unless that leaves empty rows (see `mcar`).
      driver_share: see `mar`.
      driver_rate: share of missing entries in each driver column, in [0, 1);
        None takes `rate`.
      allow_empty_rows: False keeps an entry in each row.

    Returns:
      An `Amputation` with m `[n, d]` and the rate over all entries.

    Raises:
      DataError: a rate or driver_share out of range, or d < 2.
    """
    driver_rate = rate if driver_rate is None else driver_rate
    key_logits, key_score = jax.random.split(key)
    logits, is_driver = _driver_logits(key_logits, x, rate, driver_share)
    n, d = logits.shape
    _check_rate(driver_rate, d, allow_empty_rows)
    missing = jnp.where(is_driver, round(n * driver_rate), round(n * rate))
    score = _logistic_score(key_score, logits, missing)
    m = _cut(score, allow_empty_rows)
    return Amputation(m, _missing_share(m))


def mnar_self(
    key: Array,
    x: Array,
    rate: float,
    *,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides entries depending on their own value (self-masking).

    Column j is missing with probability sigmoid(w_j x_j + b_j) on standardised
    x; w_j has a random sign and a size uniform on [0.5, 1.5], so that no column
    is MCAR by bad luck. The intercept is found as in `mar`. Muzellec et al.
    2020.

    Args:
      key: PRNG key.
      x: `[n, d]`, complete, on any scale. Constant columns are MCAR.
      rate: share of missing entries in each column, in [0, 1); met to within
        1 / n where it is at most (d - 1) / d.
      allow_empty_rows: False keeps an entry in each row (see `mcar`).

    Returns:
      An `Amputation` with m `[n, d]`.

    Raises:
      DataError: rate outside [0, 1), or d == 1 without `allow_empty_rows`.
    """
    key_sign, key_size, key_score = jax.random.split(key, 3)
    n, d = x.shape
    _check_rate(rate, d, allow_empty_rows)
    sign = jax.random.rademacher(key_sign, (1, d), jnp.float32)
    size = jax.random.uniform(
        key_size, (1, d), jnp.float32, minval=0.5, maxval=1.5
    )
    logits = sign * size * _standardise(x)
    score = _logistic_score(key_score, logits, jnp.full(d, round(n * rate)))
    m = _cut(score, allow_empty_rows)
    return Amputation(m, _missing_share(m))


def pixels(
    key: Array,
    shape: tuple[int, int, int, int],
    rate: float,
    *,
    per_channel: bool = False,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Hides pixels of images, MCAR.

    Args:
      key: PRNG key.
      shape: (n, h, w, c).
      rate: probability of missing, in [0, 1).
      per_channel: False hides all channels of a pixel together, True draws each
        channel on its own.
      allow_empty_rows: False keeps a pixel in each image (see `mcar`).

    Returns:
      An `Amputation` with m `[n, h, w, c]`.

    Raises:
      DataError: rate outside [0, 1), or images of one entry without
        `allow_empty_rows`.
    """
    n, h, w, c = shape
    drawn = (n, h, w, c if per_channel else 1)
    m, realised = mcar(
        key,
        (n, math.prod(drawn[1:])),
        rate,
        allow_empty_rows=allow_empty_rows,
    )
    return Amputation(jnp.broadcast_to(m.reshape(drawn), shape), realised)


def _of_shape(mechanism: Callable[..., Amputation], **fixed):
    """Lets a mechanism that ignores values be called with the table."""

    def of_table(key, x, rate, **settings):
        return mechanism(key, x.shape, rate, **fixed, **settings)

    return of_table


# name -> function(key, x [n, d], rate, *, allow_empty_rows) -> Amputation
MECHANISMS: dict[str, Callable[..., Amputation]] = {
    "mcar": _of_shape(mcar),
    "mcar_row": _of_shape(mcar_exact, axis=1),
    "mcar_column": _of_shape(mcar_exact, axis=0),
    "mar": mar,
    "mnar": mnar,
    "mnar_self": mnar_self,
}


def amputate(
    key: Array,
    x: Array,
    *,
    mechanism: str,
    rate: float,
    allow_empty_rows: bool = False,
) -> Amputation:
    """Draws a mask for a complete table by the mechanism's name.

    Checks values, therefore not to be jitted; the mechanisms themselves may be.

    Args:
      key: PRNG key.
      x: `[n, d]`, complete, on any scale.
      mechanism: a name in `MECHANISMS`.
      rate: share of missing entries, in [0, 1).
      allow_empty_rows: False keeps an entry in each row.

    Returns:
      An `Amputation` with m `[n, d]`.

    Raises:
      DataError: an unknown mechanism, a rate outside [0, 1), a table that is
        empty, not `[n, d]` or not complete, or what the mechanism raises.
    """
    if mechanism not in MECHANISMS:
        names = ", ".join(MECHANISMS)
        raise DataError(
            f"mechanism {mechanism!r} does not exist; choose one of {names}"
        )
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or not x.size:
        raise DataError(
            f"amputation needs rows and columns, but the table has shape "
            f"{x.shape}; reshape it to [n, d]"
        )
    gaps = np.count_nonzero(~np.isfinite(x))
    if gaps:
        raise DataError(
            f"amputation needs a complete table, but {gaps} of {x.size} values "
            "are not finite in float32; drop their rows or fill them first"
        )
    draw = jax.jit(
        MECHANISMS[mechanism], static_argnames=("rate", "allow_empty_rows")
    )
    return draw(key, x, rate=rate, allow_empty_rows=allow_empty_rows)


def _check_rate(rate: float, d: int, allow_empty_rows: bool) -> None:
    """Raises DataError on a rate that cannot be drawn in rows of d entries."""
    if not 0 <= rate < 1:
        raise DataError(
            f"rate {rate} is not a share of missing entries; give a number in "
            "[0, 1)"
        )
    if d == 1 and rate > 0 and not allow_empty_rows:
        raise DataError(
            f"rate {rate} empties rows, as each has a single entry; pass "
            "allow_empty_rows=True"
        )


def _missing_share(m: Array, hidable: int | None = None) -> Array:
    """Missing entries of m over `hidable` ones (None: all), scalar."""
    # Counted in integers: float32 stops counting at 2^24 entries.
    return jnp.sum(~m, dtype=jnp.int32) / jnp.float32(hidable or m.size)


def _ranks(values: Array, axis: int) -> Array:
    """Ranks 0, 1, ... along an axis, as float32; ties in order of place."""
    order = jnp.argsort(values, axis)
    return jnp.argsort(order, axis).astype(jnp.float32)


def _standardise(x: Array) -> Array:
    """Columns of `[n, d]` to mean 0, deviation 1; constant columns to 0."""
    # Exact zeros for constant columns, and no overflow on extreme scales.
    x = jnp.asarray(x, jnp.float32)
    x = x - x[:1]
    largest = jnp.max(jnp.abs(x), axis=0, keepdims=True)
    x = x / jnp.where(largest > 0, largest, 1)
    std = jnp.std(x, axis=0, keepdims=True)
    mean = jnp.mean(x, axis=0, keepdims=True)
    return (x - mean) / jnp.where(std > 0, std, 1)


def _num_drivers(d: int, driver_share: float) -> int:
    """Number of driver columns, from 1 to d - 1."""
    return min(max(round(driver_share * d), 1), d - 1)


def _driver_logits(
    key: Array, x: Array, rate: float, driver_share: float
) -> tuple[Array, Array]:
    """Logits of missing from random drivers: `[n, d]`, 0 in driver columns.

    Returns:
      The logits and `is_driver` `[d]` bool.
    """
    key_columns, key_weights = jax.random.split(key)
    x = jnp.asarray(x, jnp.float32)
    d = x.shape[1]
    if d < 2:
        raise DataError(
            f"a table of {d} column has none to depend on beside the one with "
            "gaps; use mechanism 'mnar_self' or 'mcar'"
        )
    _check_rate(rate, d, allow_empty_rows=True)
    if not 0 <= driver_share <= 1:
        raise DataError(
            f"driver_share {driver_share} is not a share of columns; give a "
            "number in [0, 1]"
        )
    num_drivers = _num_drivers(d, driver_share)
    drivers = jax.random.permutation(key_columns, d)[:num_drivers]
    weights = jax.random.normal(key_weights, (num_drivers, d), jnp.float32)
    is_driver = jnp.zeros(d, bool).at[drivers].set(True)
    logits = _standardise(_standardise(x[:, drivers]) @ weights)
    return jnp.where(is_driver[None], 0, logits), is_driver


def _logistic_score(key: Array, logits: Array, missing: Array) -> Array:
    """Scores `[n, d]` that hide `missing[j]` entries of column j.

    An entry with uniform u is missing where u < sigmoid(logit + b_j), that is
    where log(u / (1 - u)) - logit < b_j. The b_j that hides exactly missing[j]
    entries is thus an order statistic of the left side, found by sorting.
    """
    noise = jax.random.logistic(key, logits.shape, jnp.float32)
    return _ranks(noise - logits, axis=0) - missing[None]


def _cut(score: Array, allow_empty_rows: bool) -> Array:
    """Observes the entries with score >= 0 and rescues empty rows.

    An empty row gets an entry in the column of a spare: an observed entry that
    is not the best of its row. The spares with the lowest scores, the next to
    go missing, are hidden in exchange, so that the share of each column stays.
    Where spares run out, the remaining empty rows just keep their best entry.

    Args:
      score: `[n, d]` float32.
      allow_empty_rows: True rescues none.

    Returns:
      m `[n, d]` bool.
    """
    observed = score >= 0
    if allow_empty_rows:
        return observed
    # The sort over all entries is spared where, as mostly, no row is empty.
    has_empty = ~jnp.all(jnp.any(observed, axis=1))
    return jax.lax.cond(has_empty, _rescue, _leave, observed, score)


def _leave(m: Array, score: Array) -> Array:
    """The mask as it is."""
    del score
    return m


def _rescue(m: Array, score: Array) -> Array:
    """The mask with an entry in each row; see `_cut`."""
    n, d = m.shape
    best = jax.nn.one_hot(jnp.argmax(score, axis=1), d, dtype=bool)
    empty = ~jnp.any(m, axis=1)
    spare = m & ~best
    spares = jnp.argsort(jnp.where(spare, score, jnp.inf).ravel())[:n]
    givers, columns = jnp.divmod(spares, d)
    takers = jnp.argsort(~empty)  # Empty rows come first.
    swaps = jnp.minimum(jnp.sum(empty), jnp.sum(spare))
    live = jnp.arange(n) < swaps
    # Row n does not exist: what is written there is dropped.
    m = m.at[jnp.where(live, givers, n), columns].set(False, mode="drop")
    m = m.at[jnp.where(live, takers, n), columns].set(True, mode="drop")
    return m | (best & ~jnp.any(m, axis=1, keepdims=True))
