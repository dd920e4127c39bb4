"""Rubin's rules: one answer from several imputations.

An analysis is run on each of m imputed tables; `pool` gives its estimate, and a
variance that counts what the gaps leave unknown (Rubin, 1987, chapter 3;
degrees of freedom by Barnard and Rubin, 1999). It does what `pool.scalar` of
the R package mice does, for any number of parameters at once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from miri_jax.exceptions import DataError


class Pooled(NamedTuple):
    """Pooled estimates; each field is `[*k]`, as one estimate is.

    Attributes:
      estimate: mean over the imputations, qbar.
      within: mean of the variances of each analysis, ubar.
      between: variance of the estimates over the imputations, b.
      variance: total, ubar + (1 + 1 / m) b.
      df: degrees of freedom of the t distribution.
      increase: relative increase in variance due to the gaps, r.
      missing_information: fraction of missing information, fmi.
    """

    estimate: np.ndarray
    within: np.ndarray
    between: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    increase: np.ndarray
    missing_information: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard error `[*k]`."""
        return np.sqrt(self.variance)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the confidence interval, `[*k]` each."""
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.error
        return self.estimate - reach, self.estimate + reach

    def p_value(self, null: float = 0.0) -> np.ndarray:
        """Two-sided p value `[*k]` of the estimate being `null`."""
        t = np.abs(self.estimate - null) / self.error
        return 2 * stats.t.sf(t, self.df)


def pool(
    estimates: ArrayLike, variances: ArrayLike, df_complete: float = np.inf
) -> Pooled:
    """Pools the analyses of m >= 2 imputed tables.

    Args:
      estimates: `[m, *k]`, of each table.
      variances: `[m, *k]`, their squared standard errors.
      df_complete: degrees of freedom that the analysis would have without gaps,
        such as rows less coefficients; infinite for a large sample.

    Returns:
      `Pooled`.

    Raises:
      DataError: on a single imputation, or numbers that cannot be pooled.
    """
    q, u = np.asarray(estimates, float), np.asarray(variances, float)
    if q.shape != u.shape:
        raise DataError(
            f"estimates are {q.shape} and variances {u.shape}; give one"
            " variance for each estimate"
        )
    m = len(q) if q.ndim else 0
    if m < 2:
        raise DataError(
            f"{m} imputation(s) say nothing of what the gaps leave unknown;"
            " pool at least 2"
        )
    if not np.isfinite(q).all() or not np.isfinite(u).all() or (u < 0).any():
        raise DataError(
            "an estimate is not finite or a variance is negative; look at each"
            " table's analysis"
        )
    qbar, ubar, b = q.mean(axis=0), u.mean(axis=0), q.var(axis=0, ddof=1)
    total = ubar + (1 + 1 / m) * b
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(b > 0, (1 + 1 / m) * b / ubar, 0.0)
        # Of the total variance, the part that the gaps make.
        share = np.where(b > 0, (1 + 1 / m) * b / total, 0.0)
        df = barnard_rubin(m, share, df_complete)
        fmi = np.where(
            np.isinf(r), 1.0, (r + 2 / (df + 3)) / np.where(b > 0, r + 1, 1.0)
        )
    return Pooled(qbar, ubar, b, total, df, r, fmi)


def barnard_rubin(
    m: int, share: ArrayLike, df_complete: float = np.inf
) -> np.ndarray:
    """Degrees of freedom of the pooled t statistic.

    Args:
      m: imputations.
      share: `[*k]`, lambda: the part of the total variance that gaps make.
      df_complete: see `pool`.

    Source: Barnard and Rubin (1999), eq. 3.
    """
    share = np.maximum(np.asarray(share, float), 1e-4)  # as mice does
    df_old = (m - 1) / share**2
    if not np.isfinite(df_complete):
        return df_old
    df_observed = (df_complete + 1) / (df_complete + 3)
    df_observed = df_observed * df_complete * (1 - share)
    return df_old * df_observed / (df_old + df_observed)
