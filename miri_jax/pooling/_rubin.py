"""Rubin's rules: estimates and their variances, of one and all together.

Source: Rubin (1987), chapter 3; degrees of freedom by Barnard and Rubin (1999);
as `pool` and `pool.scalar` of the R package mice.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from miri_jax.pooling._fits import read


class Pooled(NamedTuple):
    """Pooled estimates; each array is `[*k]`, as one estimate is.

    Attributes:
      estimate: mean over the imputations, qbar.
      within: mean of the variances of each analysis, ubar.
      between: variance of the estimates over the imputations, b.
      variance: total, ubar + (1 + 1 / m) b.
      df: degrees of freedom of the t distribution.
      increase: relative increase in variance due to the gaps, r.
      missing_information: fraction of missing information, fmi.
      imputations: how many, m.
      names: of the estimates, where the fits had some; else None.
    """

    estimate: np.ndarray
    within: np.ndarray
    between: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    increase: np.ndarray
    missing_information: np.ndarray
    imputations: int
    names: tuple[Hashable, ...] | None = None

    def __repr__(self) -> str:
        """The summary, under a line that says of what."""
        frame = self.summary().to_string(
            max_rows=60, float_format=lambda x: f"{x:.4g}"
        )
        return f"Pooled over {self.imputations} imputations:\n{frame}"

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
        return 2 * stats.t.sf(np.abs(self._t(null)), self.df)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each estimate, by name.

        Args:
          level: of the confidence interval.

        Returns:
          Columns estimate, se, t, df, p (of the estimate being 0), low, high,
          riv (relative increase in variance), lambda (share of the variance
          that the gaps make) and fmi.
        """
        low, high = self.interval(level)
        columns = {
            "estimate": self.estimate,
            "se": self.error,
            "t": self._t(0.0),
            "df": self.df,
            "p": self.p_value(),
            "low": low,
            "high": high,
            "riv": self.increase,
            "lambda": _share(self.between, self.variance, self.imputations),
            "fmi": self.missing_information,
        }
        names = self.names
        if names is None:
            places = np.ndindex(np.shape(self.estimate))
            names = [",".join(map(str, place)) or "0" for place in places]
        flat = {name: np.ravel(column) for name, column in columns.items()}
        # No index of several levels: names that are tuples stay in one column.
        return pd.DataFrame(flat, pd.Index(names, tupleize_cols=False))

    to_frame = summary

    def _t(self, null: float) -> np.ndarray:
        """The t statistic `[*k]`; infinite where nothing varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.estimate - null) / self.error


def pool(
    estimates: Any, variances: Any = None, df_complete: float | None = None
) -> Pooled:
    """Pools the analyses of m >= 2 imputed tables.

        pool(fits)                              # fitted models
        pool(estimates, variances, df_complete) # numbers

    Args:
      estimates: m fits, in a list: fitted models (`params`; `cov_params()` or
        `bse`; `df_resid`), mappings or objects with `estimates` and `variances`
        or `covariance`, or tuples (estimates, variances). Or, with `variances`,
        the estimates `[m, *k]`. Names of Series and mappings are kept.
      variances: `[m, *k]`, squared standard errors; or covariance matrices
        `[m, k, k]`.
      df_complete: degrees of freedom that the analysis would have without gaps,
        such as rows less coefficients; infinite for a large sample. None for
        the least `df_resid` of the fits; infinite where they have none.

    Returns:
      `Pooled`.

    Raises:
      DataError: on a single imputation, fits of different models, or numbers
        that cannot be pooled.
    """
    fits = read(estimates, variances, df_complete)
    q, u, m = fits.estimates, fits.variances, len(fits.estimates)
    qbar, ubar, b = q.mean(axis=0), u.mean(axis=0), q.var(axis=0, ddof=1)
    total = ubar + (1 + 1 / m) * b
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(b > 0, (1 + 1 / m) * b / ubar, 0.0)
        df = barnard_rubin(m, _share(b, total, m), fits.df_complete)
        fmi = np.where(
            np.isinf(r), 1.0, (r + 2 / (df + 3)) / np.where(b > 0, r + 1, 1.0)
        )
    return Pooled(qbar, ubar, b, total, df, r, fmi, m, fits.names)


def with_imputations(
    tables: Iterable[Any],
    analyse: Callable[[Any], Any],
    df_complete: float | None = None,
) -> Pooled:
    """Analyses each imputed table, and pools the answers.

    Args:
      tables: m imputed tables, such as `MIRIImputer.imputations` gives.
      analyse: takes a table and returns what `pool` takes of one: a fitted
        model, or a pair of estimates and variances (or covariances).
      df_complete: see `pool`.

    Returns:
      `Pooled`.

    Raises:
      DataError: as `pool`.
    """
    return pool([analyse(table) for table in tables], None, df_complete)


def _share(between: np.ndarray, total: np.ndarray, m: int) -> np.ndarray:
    """Of the total variance, the part that the gaps make, lambda `[*k]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(between > 0, (1 + 1 / m) * between / total, 0.0)


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
