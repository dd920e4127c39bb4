"""Normal scores: columns with heavy tails or heaps as imputers see them.

A number is taken by its place in the distribution of the observed ones, and the
place as the quantile of a normal distribution (Liu, Lafferty and Wasserman,
2009, call this the nonparanormal). Beyond the observed extremes the
distribution goes on: linear in the score, as steep as its outer part. Where a
bound is given the tail ends there, and where the extreme is a heap there is no
tail.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from miri_jax.data.transforms import LARGEST

# Excess kurtosis from which numbers are taken by their normal scores, and the
# share of one value that has the same effect. A normal column has 0.
HEAVY_TAILS, POINT_MASS = 7.0, 0.2
NUM_KNOTS = 512
# Observed values below which tails cannot be told.
MIN_VALUES = 50
# So many observations in from the extreme a tail's steepness is measured.
INNER = 10
# Scores end here, where one of 1e15 normal numbers lies beyond: the scores of a
# far cell stay numbers that a network can take, and tails end.
END = 8.0


class Knots(NamedTuple):
    """A distribution function, linear between its points, flat at atoms.

    Attributes:
      shares: ascending; from 0 where the smallest value is an atom, to 1 where
        the largest is one, else from and to the middle of the extremes.
      values: the quantiles there, ascending.
      slopes: what the value changes by for each unit of the score, below the
        first and above the last point; 0 at an atom.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]


def has_heavy_tails(numbers: np.ndarray) -> bool:
    """Whether numbers `[n]` are far from normal in their tails, or pile up."""
    if len(numbers) < MIN_VALUES:
        return False
    _, counts = np.unique(numbers, return_counts=True)
    if len(counts) < 10:
        return False
    largest = np.max(np.abs(numbers))
    centred = numbers / largest - np.mean(numbers / largest)
    variance = np.mean(centred**2)
    kurtosis = np.mean(centred**4) / max(variance**2, 1e-300) - 3
    return kurtosis > HEAVY_TAILS or counts.max() > POINT_MASS * len(numbers)


def fit_knots(
    numbers: np.ndarray, low: float = -np.inf, high: float = np.inf
) -> Knots:
    """The distribution function of numbers `[n]`, n > 10, within [low, high].

    Values that are a hundredth of all or more are atoms: all shares within
    them have the same quantile.
    """
    values, counts = np.unique(numbers, return_counts=True)
    ends = np.cumsum(counts)
    above, below = ends / len(numbers), (ends - counts) / len(numbers)
    atom = counts >= max(0.01 * len(numbers), 2)
    middle = np.flatnonzero(~atom)
    if len(middle) > NUM_KNOTS:
        places = np.linspace(0, len(middle) - 1, NUM_KNOTS).round()
        middle = middle[places.astype(int)]
    points = [
        *zip(below[atom], values[atom]),
        *zip(above[atom], values[atom]),
        *zip((below + above)[middle] / 2, values[middle]),
    ]
    shares, quantiles = zip(*sorted((float(u), float(v)) for u, v in points))
    ordered = np.sort(numbers)
    inner = ndtri((INNER + 0.5) / len(numbers))
    slopes = (
        # The lower tail is the upper one of the numbers with the other sign.
        _slope(-ndtri(shares[0]), -inner, -ordered[0], -ordered[INNER], -low),
        _slope(
            ndtri(shares[-1]), -inner, ordered[-1], ordered[-1 - INNER], high
        ),
    )
    return Knots(shares, quantiles, slopes)


def _slope(
    score: float, inner_score: float, value: float, inner: float, bound: float
) -> float:
    """How steep an upper tail is.

    Args:
      score: of the extreme; infinite where it is an atom.
      inner_score: of the value further in.
      value: the extreme.
      inner: the value further in.
      bound: what the tail reaches at `END` at the latest.
    """
    if np.isinf(score) or not value > inner:
        return 0.0
    # Halves, as a difference could overflow.
    rise = (value / 2 - inner / 2) / (score - inner_score)
    left = (min(bound, LARGEST) / 2 - value / 2) / (END - score)
    return float(2 * min(rise, left, LARGEST / 2))


def to_scores(knots: Knots, numbers: np.ndarray) -> np.ndarray:
    """Normal scores of numbers `[n]`: an atom's are in its middle.

    The inverse of `from_scores`. Beyond a tail of slope 0 a number has the
    score of the extreme.
    """
    shares, values = np.array(knots.shares), np.array(knots.values)
    # The first and the last point of equal values.
    first = np.searchsorted(values, numbers, "left")
    last = np.searchsorted(values, numbers, "right") - 1
    start, end = np.clip(last, 0, None), np.clip(first, None, len(values) - 1)
    between = _interpolate(numbers, values, shares, start, end)
    middle = (shares[end] + shares[start]) / 2
    found = ndtri(np.where(last >= first, middle, between))
    for k, outside in ((0, last < 0), (-1, first == len(values))):
        slope, at = knots.slopes[k], values[k]
        if slope > 0:
            with np.errstate(over="ignore"):
                beyond = (numbers[outside] - at) / slope
            found[outside] = ndtri(shares[k]) + beyond
        else:
            found[outside] = ndtri(shares[values == at].mean())
    return np.clip(found, -END, END)


def from_scores(knots: Knots, scores: np.ndarray) -> np.ndarray:
    """The numbers `[n]` of normal scores `[n]`, which end at -`END`, `END`."""
    shares, values = np.array(knots.shares), np.array(knots.values)
    scores = np.clip(scores, -END, END)
    share = ndtr(scores)
    start = np.searchsorted(shares, share, "right") - 1
    start = np.clip(start, 0, len(shares) - 2)
    found = _interpolate(share, shares, values, start, start + 1)
    for k, side in ((0, np.less), (-1, np.greater)):
        outside = side(scores, ndtri(shares[k]))
        with np.errstate(over="ignore"):
            step = knots.slopes[k] * (scores[outside] - ndtri(shares[k]))
            found[outside] = np.clip(values[k] + step, -LARGEST, LARGEST)
    return found


def _interpolate(
    at: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> np.ndarray:
    """The line through points `start` and `end` of (x, y), `[n]`.

    NumPy's `interp` takes the slope first, which overflows, and the first of
    points that have one x.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        part = (at - x[start]) / (x[end] - x[start])
        halves = (at / 2 - x[start] / 2) / (x[end] / 2 - x[start] / 2)
    part = np.where(np.isinf(x[end] - x[start]), halves, part)
    part = np.clip(np.nan_to_num(part), 0, 1)
    line = (1 - part) * y[start] + part * y[end]
    # Rounding must not leave the two ends.
    return np.clip(line, y[start], y[end])
