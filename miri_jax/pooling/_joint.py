"""Tests of several parameters at once: D1, D2 and D3.

D1 takes covariance matrices, D3 log likelihoods, D2 no more than chi-square
statistics; take the first that the analysis allows. Sources: Li, Raghunathan
and Rubin (1991, JASA 86) for D1; Li, Meng, Raghunathan and Rubin (1991,
Statistica Sinica 1) for D2; Meng and Rubin (1992, Biometrika 79) for D3; Reiter
(2007, Biometrika 94) for small samples; van Buuren (2018), section 5.3, tells
them side by side. Numbers are those of the R packages mice and mitml.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from miri_jax.exceptions import DataError
from miri_jax.pooling._fits import Fits, at_least_two, numbers, read


class JointTest(NamedTuple):
    """An F test of k parameters.

    Attributes:
      statistic: the pooled D, which is F distributed if the null is true.
      df: k, degrees of freedom of the numerator.
      df_error: of the denominator; infinite where imputations do not differ.
      p_value: of the null.
      increase: average relative increase in variance due to the gaps, r.
    """

    statistic: float
    df: int
    df_error: float
    p_value: float
    increase: float


def d1(
    estimates: Any,
    covariances: Any = None,
    *,
    restricted: Sequence[Any] | None = None,
    names: Sequence[Hashable] | None = None,
    df_complete: float | None = None,
) -> JointTest:
    """Wald test that k parameters are all 0, from their covariance matrices.

        D1 = qbar' ubar^-1 qbar / (k (1 + r)),
        r = (1 + 1 / m) trace(b ubar^-1) / k

    with qbar `[k]` and ubar `[k, k]` the means of estimates and covariances,
    and b `[k, k]` the covariance of the estimates over the imputations (Li,
    Raghunathan and Rubin, 1991). Degrees of freedom are Reiter's (2007) where
    `df_complete` is finite.

    Args:
      estimates: m fits with covariance matrices, as `pool` takes them; or with
        `covariances` the estimates `[m, p]`.
      covariances: None, or `[m, p, p]`.
      restricted: m fits of the smaller model: tested is what it leaves out.
      names: instead of it, the names of what is tested, or places in `[p]`
        where there are no names. With neither all are tested, an intercept
        among them.
      df_complete: see `pool`.

    Returns:
      `JointTest`.

    Raises:
      DataError: as `pool`; on variances without covariances, models that are
        not nested, and parameters that follow from one another.
    """
    fits = read(estimates, covariances, df_complete)
    if fits.covariances is None:
        raise DataError(
            "D1 needs covariance matrices and these are variances; give"
            " matrices [m, k, k], or take d2 of each table's chi-square"
        )
    at = _tested(fits, restricted, names)
    q, u = fits.estimates[:, at], fits.covariances[:, at][:, :, at]
    (m, k), qbar, ubar = q.shape, q.mean(axis=0), u.mean(axis=0)
    b = np.atleast_2d(np.cov(q, rowvar=False))
    try:
        root = np.linalg.cholesky(ubar)
    except np.linalg.LinAlgError:
        raise DataError(
            "the covariance matrix is not positive definite; leave out"
            " parameters that follow from others"
        ) from None
    inverse = np.linalg.inv(root)
    r = (1 + 1 / m) * np.trace(inverse @ b @ inverse.T) / k
    d = np.sum((inverse @ qbar) ** 2) / (k * (1 + r))
    return _tell(d, k, _reiter(k, m, r, fits.df_complete), r)


def d2(statistics: ArrayLike, k: int) -> JointTest:
    """Pools chi-square statistics: Wald, likelihood ratio or any other.

        D2 = (dbar / k - (m + 1) / (m - 1) r) / (1 + r),
        r = (1 + 1 / m) var(sqrt(d))

    with dbar the mean of d (Li, Meng, Raghunathan and Rubin, 1991). It needs
    the least and is the least exact: take D1 or D3 if you can.

    Args:
      statistics: d `[m]`, the chi-square of each table.
      k: its degrees of freedom.

    Returns:
      `JointTest`.

    Raises:
      DataError: on a single imputation, or statistics that are not finite or
        below 0.
    """
    d = _of_tables(statistics, "statistics")
    m, k = len(d), _count(k)
    if (d < 0).any():
        raise DataError("a chi-square statistic is below 0; look at its test")
    r = (1 + 1 / m) * np.var(np.sqrt(d), ddof=1)
    statistic = (d.mean() / k - (m + 1) / (m - 1) * r) / (1 + r)
    df = k ** (-3 / m) * (m - 1) * (1 + 1 / r) ** 2 if r > 0 else np.inf
    return _tell(statistic, k, df, r)


def d3(
    full: ArrayLike,
    restricted: ArrayLike,
    full_at_pooled: ArrayLike,
    restricted_at_pooled: ArrayLike,
    k: int,
) -> JointTest:
    """Likelihood ratio test of two nested models.

        D3 = dtilde / (k (1 + r)),
        r = (m + 1) / (k (m - 1)) (dbar - dtilde)

    with dbar the mean over the tables of twice the difference of the log
    likelihoods, each model at that table's estimates, and dtilde the same at
    the estimates pooled over all tables (Meng and Rubin, 1992). An r below 0,
    which is possible in small samples, counts as 0.

    Args:
      full: `[m]`, log likelihood of the larger model on each table.
      restricted: `[m]`, of the smaller model.
      full_at_pooled: `[m]`, of the larger model on each table, its parameters
        those that `pool` gives.
      restricted_at_pooled: `[m]`, likewise of the smaller model.
      k: how many parameters more the larger model has.

    Returns:
      `JointTest`.

    Raises:
      DataError: on a single imputation, lengths that differ, or numbers that
        are not finite.
    """
    given = (full, restricted, full_at_pooled, restricted_at_pooled)
    one, zero, one_at, zero_at = (_of_tables(x, "likelihoods") for x in given)
    if len({len(one), len(zero), len(one_at), len(zero_at)}) > 1:
        raise DataError(
            "the log likelihoods are of different numbers of tables; give all"
            " four of each table"
        )
    m, k = len(one), _count(k)
    apart = 2 * np.mean(one - zero)
    together = 2 * np.mean(one_at - zero_at)
    r = max(0.0, (m + 1) / (k * (m - 1)) * (apart - together))
    return _tell(together / (k * (1 + r)), k, _li(k, m, r), r)


def _tested(
    fits: Fits,
    restricted: Sequence[Any] | None,
    names: Sequence[Hashable] | None,
) -> list[int]:
    """Places of the parameters under test."""
    p = fits.estimates.shape[1]
    known = range(p) if fits.names is None else fits.names
    if restricted is not None:
        if names is not None:
            raise DataError("give restricted fits or names, not both")
        kept = read(restricted).names
        if fits.names is None or kept is None:
            raise DataError(
                "the parameters have no names to compare the models by; say"
                " with names=[...] which places are tested"
            )
        _check_known(kept, known)
        names = [name for name in known if name not in kept]
    names = list(known) if names is None else list(names)
    _check_known(names, known)
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"nothing is tested, or one parameter twice: {names}; name each"
            " parameter that the smaller model leaves out once"
        )
    return [list(known).index(name) for name in names]


def _check_known(names: Sequence[Hashable], known: Sequence[Hashable]) -> None:
    """Refuses names of parameters that the model does not have."""
    for name in names:
        if name not in known:
            raise DataError(
                f"{name!r} is no parameter of the model; it has"
                f" {', '.join(map(str, known))}"
            )


def _of_tables(values: ArrayLike, what: str) -> np.ndarray:
    """One finite number of each table, `[m]`."""
    found = np.atleast_1d(numbers(values, f"the {what}"))
    if found.ndim > 1 or not np.isfinite(found).all():
        raise DataError(
            f"the {what} are not one finite number of each table; give [m]"
        )
    at_least_two(len(found))
    return found


def _count(k: int) -> int:
    """How many parameters are tested."""
    if not isinstance(k, int | np.integer) or k < 1:
        raise DataError(f"k is {k!r}; give the number of tested parameters")
    return int(k)


def _li(k: int, m: int, r: float) -> float:
    """Degrees of freedom in a large sample: Li et al. (1991)."""
    t = k * (m - 1)
    if r <= 0:
        return np.inf
    if t > 4:
        return 4 + (t - 4) * (1 + (1 - 2 / t) / r) ** 2
    return t * (1 + 1 / k) * (1 + 1 / r) ** 2 / 2


def _reiter(k: int, m: int, r: float, df_complete: float) -> float:
    """Degrees of freedom in a small sample: Reiter (2007).

    The series is for k (m - 1) > 4, and for samples that are not tiny.
    Elsewhere large and small samples are joined as Barnard and Rubin (1999) do
    for one parameter, whose degrees of freedom these are if k is 1.
    """
    large, t = _li(k, m, r), k * (m - 1)
    if not np.isfinite(df_complete):
        return large
    v = (df_complete + 1) / (df_complete + 3) * df_complete
    a = r * t / (t - 2) if t > 4 else 0.0
    c1, c2 = v - 2 * (1 + a), v - 4 * (1 + a)
    if t <= 4 or c2 <= 0:
        observed = v / (1 + r)
        return 1 / (1 / large + 1 / observed)
    z = 1 / c2 + (
        a**2 * c1 / ((1 + a) ** 2 * c2)
        + 8 * a**2 * c1 / ((1 + a) * c2**2)
        + 4 * a**2 / ((1 + a) * c2)
        + 4 * a**2 / (c2 * c1)
        + 16 * a**2 * c1 / c2**3
        + 8 * a**2 / c2**2
    ) / (t - 4)
    return 4 + 1 / z


def _tell(d: float, k: int, df: float, r: float) -> JointTest:
    """The test of a statistic."""
    if np.isinf(df):
        p = stats.chi2.sf(k * d, k)
    else:
        p = stats.f.sf(d, k, df)
    return JointTest(float(d), k, float(df), float(p), float(r))
