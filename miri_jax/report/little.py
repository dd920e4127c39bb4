"""Little's test of whether gaps are completely at random."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from miri_jax.data import FileTable
from miri_jax.data.transforms import Scaler, standardise
from miri_jax.report.facts import MAX_MATRIX, View, sample_rows

# Rows and patterns that the test looks at, at most.
MAX_TESTED, MAX_GROUPS = 5000, 100
# Rows, and observed cells of a column, below which there is no test.
MIN_TESTED, MIN_CELLS = 30, 5
# Keeps copied columns from dividing nothing by nothing.
RIDGE = 1e-5


class McarTest(NamedTuple):
    """Little's test of whether gaps are completely at random.

    Attributes:
      statistic: chi-square.
      df: its degrees of freedom.
      p: the chance of a statistic as large if they were.
      columns: how many columns and
      patterns: how many patterns of gaps were compared.
    """

    statistic: float
    df: int
    p: float
    columns: int
    patterns: int


def little_test(values: np.ndarray, m: np.ndarray) -> McarTest | None:
    """Little's test of gaps that are missing completely at random.

    Were they, the means of the rows of each pattern of gaps would differ by
    chance only. Mean and covariance are those of the most likely normal
    distribution, by EM. Under the hypothesis patterns do not depend on values,
    so that the test may look at the most frequent ones alone.

    Args:
      values: `[n, d]` numbers, not read in the gaps.
      m: `[n, d]` bool, True = observed.

    Returns:
      The `McarTest`; None where there is nothing to compare.

    Source: Little (1988), A test of missing completely at random for
    multivariate data with missing values, JASA 83, equation 6.
    """
    found = _comparable(values, m)
    if found is None:
        return None
    z, m = found
    patterns, index = np.unique(m, axis=0, return_inverse=True)
    groups = [np.flatnonzero(index == p) for p in range(len(patterns))]
    mean, cov = _most_likely_normal(z, patterns, groups)
    precision = _precisions(cov, patterns)
    means = np.stack([z[group].mean(axis=0) for group in groups])
    apart = np.where(patterns, means - mean, 0)
    distance = np.einsum("pi,pij,pj->p", apart, precision, apart)
    statistic = float(np.sum([len(group) for group in groups] * distance))
    df = int(patterns.sum() - z.shape[1])
    if df < 1:
        return None
    p = float(chdtrc(df, statistic))
    used = patterns.any(axis=1).sum()
    return McarTest(statistic, df, p, z.shape[1], int(used))


def little_of_file(
    dataset: FileTable, views: Sequence[View]
) -> McarTest | None:
    """Little's test on a file's columns that have one number each."""
    ends = np.cumsum([column.width for column in dataset.table.columns])
    single = [
        view
        for view, column in zip(views, dataset.table.columns)
        if column.width == 1 and view.levels is None and len(view.observed)
    ]
    # Those with the most gaps, and the first of the others.
    order = sorted(single, key=lambda view: -int(view.missing.sum()))
    places = [ends[view.number - 1] - 1 for view in order[:MAX_MATRIX]]
    if not places:
        return None
    scaler = Scaler(*(part[places] for part in dataset.scaler))
    m = dataset.m[:, places]
    z = standardise(dataset.values[:, places], m, scaler).x
    return little_test(np.asarray(z, np.float64), m)


def _comparable(
    values: np.ndarray, m: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows of the most frequent patterns of gaps, and columns that vary.

    Args: see `little_test`.

    Returns:
      Values `[r, c]` less their mean, of unit variance, 0 in the gaps, and what
      is observed of them; None where too few are left.
    """
    rows = sample_rows(np.flatnonzero(m.any(axis=1)), MAX_TESTED)
    _, index, counts = np.unique(
        m[rows], axis=0, return_inverse=True, return_counts=True
    )
    most = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
    rows = rows[np.isin(index, most)]
    z, m = np.where(m[rows], values[rows], 0.0), m[rows]
    number = m.sum(axis=0)
    mean = z.sum(axis=0) / np.maximum(number, 1)
    z = np.where(m, z - mean, 0)
    deviation = np.sqrt(np.sum(z**2, axis=0) / np.maximum(number, 1))
    varied = (deviation > 1e-9 * np.abs(mean)) & (number >= MIN_CELLS)
    if varied.sum() < 2 or len(rows) < MIN_TESTED:
        return None
    return z[:, varied] / deviation[varied], m[:, varied]


def _most_likely_normal(
    z: np.ndarray, patterns: np.ndarray, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[d]` and covariance `[d, d]` of rows `[n, d]` with gaps, by EM.

    Args:
      z: rows, 0 in the gaps, of about unit variance.
      patterns: `[p, d]` bool, True = observed.
      groups: the rows of each pattern.
    """
    mean, cov = np.zeros(z.shape[1]), np.eye(z.shape[1])
    counts = np.array([len(group) for group in groups])
    filled = z.copy()
    for _ in range(50):
        slopes = cov @ _precisions(cov, patterns)
        for group, slope, observed in zip(groups, slopes, patterns):
            rest = np.where(observed, z[group] - mean, 0)
            filled[group] = np.where(observed, z[group], mean + rest @ slope.T)
        # What the gaps vary by, given the observed cells of their row.
        unknown = ~patterns[:, :, None] & ~patterns[:, None, :]
        within = np.where(unknown, cov - slopes @ cov, 0)
        mean, last = filled.mean(axis=0), cov
        centred = filled - mean
        cov = centred.T @ centred + np.einsum("p,pij->ij", counts, within)
        cov /= len(z)
        if np.abs(cov - last).max() < 1e-4:
            break
    return mean, cov


def _precisions(cov: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Inverse covariance `[p, d, d]` of each pattern's columns, 0 elsewhere."""
    eye = np.eye(len(cov))
    both = patterns[:, :, None] & patterns[:, None, :]
    return np.linalg.inv(np.where(both, cov + RIDGE * eye, eye)) * both
