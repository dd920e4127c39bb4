"""Which columns are a linear form of few others: stepwise regression.

A column is regressed on the one that goes with it most, then on that and the
one that goes with what is left most, until nothing is left but rounding. Of
logarithms the same finds products of powers.
"""

from typing import NamedTuple

import numpy as np

# Rows that a step looks at, most columns of a form, and the part of what is
# left that a step, and the last one, has to explain.
ROWS, MOST, GAIN, LAST = 500, 10, 0.05, 0.9
# Rows beyond those that a form's coefficients take.
SPARE = 8


class Form(NamedTuple):
    """A column, and those that it is a linear form of."""

    target: int
    of: tuple[int, ...]


class Scaled(NamedTuple):
    """Columns for a search.

    Attributes:
      z: `[s, p]`, in deviations, 0 where unknown.
      m: `[s, p]` float, 1 where known.
      slack: `[s, p]`, what a cell is rounded by, in deviations.
      whole: `[p]` bool, whose forms with whole coefficients are exact.
      deviation: `[p]`.
    """

    z: np.ndarray
    m: np.ndarray
    slack: np.ndarray
    whole: np.ndarray
    deviation: np.ndarray


def scaled(x: np.ndarray, slack: np.ndarray, whole: np.ndarray) -> Scaled:
    """Columns `[s, p]` with NaN, and what cells are rounded by, `[s, p]`."""
    m = ~np.isnan(x)
    count = np.maximum(m.sum(axis=0), 1)
    mean = np.where(m, x, 0).sum(axis=0) / count
    centred = np.where(m, x - mean, 0)
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    deviation = np.where(deviation > 0, deviation, 1)
    return Scaled(
        centred / deviation,
        m.astype(np.float64),
        np.where(m, slack, 0) / deviation,
        whole,
        deviation,
    )


def form_of(
    s: Scaled,
    target: int,
    allowed: np.ndarray,
    groups: np.ndarray,
    most: int = MOST,
) -> Form | None:
    """The columns that a column is a form of, as far as a sample tells.

    Args:
      s: the columns.
      target: which.
      allowed: `[p]` bool, what it may be a form of.
      groups: `[p]`, of which each may have one column in a form.
      most: how many columns.
    """
    rows = np.flatnonzero(s.m[:, target])[:ROWS]
    z, m, y = s.z[rows], s.m[rows], s.z[rows, target]
    allowed, chosen = allowed & (groups != groups[target]), []
    residual, left = y - y.mean(), 1.0
    while len(chosen) < most and allowed.any():
        with_one = _correlation(residual, z, m)
        with_one[~allowed] = 0
        best = int(np.argmax(with_one))
        # That of the others would be smaller still; the last leaves nothing.
        last = len(chosen) == most - 1
        if with_one[best] < (LAST if last else GAIN):
            return None
        chosen.append(best)
        allowed &= groups != groups[best]
        keep = m[:, best] > 0
        z, m, y, rows = z[keep], m[keep], y[keep], rows[keep]
        if len(rows) < 2 * (len(chosen) + 2) + SPARE:
            return None
        exact, residual = _fits(s, rows, target, chosen)
        if exact:
            return Form(target, _needed(s, rows, target, chosen))
        now = residual.var() / max(y.var(), 1e-30)
        if now > (1 - GAIN) * left:
            return None
        left = now
    return None


def _correlation(
    residual: np.ndarray, z: np.ndarray, m: np.ndarray
) -> np.ndarray:
    """Squared correlations `[p]` of what is left with each column."""
    count = np.maximum(m.sum(axis=0), 1)
    sums, squares = z.sum(axis=0), np.einsum("np,np->p", z, z)
    own, own_squares = residual @ m, residual**2 @ m
    covariance = residual @ z - own * sums / count
    variances = (squares - sums**2 / count) * (own_squares - own**2 / count)
    found = covariance**2 / np.maximum(variances, 1e-12)
    return np.where(count >= SPARE, np.minimum(found, 1), 0)


def _fits(
    s: Scaled, rows: np.ndarray, target: int, chosen: list[int]
) -> tuple[bool, np.ndarray]:
    """Whether nothing is left but rounding, and what is left."""
    a = np.column_stack([s.z[np.ix_(rows, chosen)], np.ones(len(rows))])
    y = s.z[rows, target]
    slopes = np.linalg.lstsq(a, y, rcond=None)[0]
    residual = y - a @ slopes
    raw = slopes[:-1] * s.deviation[target] / s.deviation[chosen]
    slack = s.slack[rows, target]
    if s.whole[[target, *chosen]].all():
        if np.all(np.abs(raw - np.round(raw)) < 0.05):
            slack = 0 * slack + 0.05 / s.deviation[target]
        else:
            slack = 0 * slack + 0.5 / s.deviation[target]
    elif s.whole[target]:
        slack = slack + 0.5 / s.deviation[target]
    slack = slack + s.slack[np.ix_(rows, chosen)] @ np.abs(slopes[:-1])
    small = 1e-7 * (1 + np.abs(y)) + 1e-9 * np.abs(s.z[rows]).max()
    return bool(np.all(np.abs(residual) <= 1.5 * slack + small)), residual


def _needed(
    s: Scaled, rows: np.ndarray, target: int, chosen: list[int]
) -> tuple[int, ...]:
    """Those of the columns without which something is left."""
    for one in list(chosen):
        rest = [k for k in chosen if k != one]
        if rest and _fits(s, rows, target, rest)[0]:
            chosen = rest
    return tuple(chosen)
