"""Correlations and R^2, pooled where they are nearly normal: Fisher's z.

    z = artanh(r),    var(z) = 1 / (n - 3)

is pooled by Rubin's rules, and the answer taken back by tanh (Schafer, 1997;
for R^2 Harel, 2009).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from miri_jax.exceptions import DataError
from miri_jax.pooling._fits import at_least_two, listed, numbers, part
from miri_jax.pooling._rubin import Pooled, pool


class FisherPooled(NamedTuple):
    """A pooled correlation or R^2; each `[*k]`.

    Attributes:
      estimate: pooled.
      low: end of its confidence interval.
      high: the other end.
      z: what was pooled, on Fisher's scale; `z.missing_information` and, of a
        correlation being 0, `z.p_value()` hold for both scales.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    z: Pooled


def pool_correlations(
    correlations: ArrayLike, n: ArrayLike, level: float = 0.95
) -> FisherPooled:
    """Pools correlations of m imputed tables.

    Args:
      correlations: `[m, *k]`, strictly between -1 and 1, but for a 1 that is
        one in all tables, as on the diagonal of a matrix.
      n: rows, of all tables or of each, `[m]`.
      level: of the confidence interval, by the t distribution.

    Returns:
      `FisherPooled`.

    Raises:
      DataError: as `pool`; on what is no correlation, and fewer than 4 rows.
    """
    r = np.atleast_1d(numbers(correlations, "correlations"))
    same = (np.abs(r) == 1) & (r == r[:1]).all(axis=0)
    z = _pool(np.where(same, 0.0, r), n)
    sure = np.copysign(np.inf, r[0])
    z = z._replace(estimate=np.where(same[0], sure, z.estimate))
    ends = (z.estimate, *z.interval(level))
    return FisherPooled(*map(np.tanh, ends), z)


def pool_r_squared(
    r_squared: Any,
    n: ArrayLike | None = None,
    *,
    adjusted: bool = False,
    level: float = 0.95,
) -> FisherPooled:
    """Pools R^2 of regressions, as `pool.r.squared` of mice: artanh(sqrt(R^2)).

    The interval is by the normal distribution, as there, and ends at 0, where
    that of mice turns back.

    Args:
      r_squared: m fits that have `rsquared`, `rsquared_adj` and `nobs`; or with
        `n` the numbers `[m, *k]`, adjusted or not. Those below 0 count as 0.
      n: rows, of all tables or of each, `[m]`.
      adjusted: take adjusted R^2 of the fits.
      level: of the confidence interval.

    Returns:
      `FisherPooled`.

    Raises:
      DataError: as `pool`; on what is no R^2, and fewer than 4 rows.
    """
    if n is None:
        word = "rsquared_adj" if adjusted else "rsquared"
        fits = [
            _of_fit(fit, word, k) for k, fit in enumerate(listed(r_squared), 1)
        ]
        at_least_two(len(fits))
        r_squared, n = zip(*fits)
    squares = np.atleast_1d(numbers(r_squared, "R^2"))
    z = _pool(np.sqrt(np.maximum(squares, 0.0)), n)
    reach = stats.norm.ppf((1 + level) / 2) * z.error
    ends = (z.estimate, z.estimate - reach, z.estimate + reach)
    return FisherPooled(*(np.tanh(np.maximum(x, 0.0)) ** 2 for x in ends), z)


def _of_fit(fit: Any, word: str, k: int) -> tuple[float, float]:
    """R^2 and rows of the k-th fit."""
    found = part(fit, (word,)), part(fit, ("nobs",))
    if None in found:
        raise DataError(
            f"fit {k}, a {type(fit).__name__}, has no {word} or no nobs; give"
            " the numbers and the rows: pool_r_squared(numbers, n)"
        )
    return found


def _pool(r: np.ndarray, n: ArrayLike) -> Pooled:
    """Pooled z of correlations `[m, *k]`."""
    if not (np.abs(r) < 1).all():
        raise DataError(
            "a correlation, or R, is not between -1 and 1; look at each"
            " table's analysis"
        )
    n = numbers(n, "the rows n")
    if n.shape not in ((), r.shape[:1]) or not (n > 3).all():
        raise DataError(
            f"n is {n}; give the rows, 4 or more, of all tables or of each"
        )
    n = n.reshape(n.shape + (1,) * (r.ndim - n.ndim))
    return pool(np.arctanh(r), np.broadcast_to(1 / (n - 3), r.shape))
