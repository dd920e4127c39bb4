"""Normal scores: columns with heavy tails or heaps as imputers see them.

A number is taken by its place in the distribution of the observed ones, and the
place as the quantile of a normal distribution (Liu, Lafferty and Wasserman,
2009, call this the nonparanormal).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

# Excess kurtosis from which numbers are taken by their normal scores, and the
# share of one value that has the same effect. A normal column has 0.
HEAVY_TAILS, POINT_MASS = 7.0, 0.2
NUM_KNOTS = 512
# Observed values below which tails cannot be told.
MIN_VALUES = 50


class Knots(NamedTuple):
    """A distribution function, linear between its points, flat at atoms.

    Attributes:
      shares: ascending, from 0 to 1.
      values: the quantiles there, ascending.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]


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


def fit_knots(numbers: np.ndarray, low: float, high: float) -> Knots:
    """The distribution function of numbers `[n]` on [low, high].

    Values that are a hundredth of all or more are atoms: all shares within
    them have the same quantile.
    """
    values, counts = np.unique(numbers, return_counts=True)
    above = np.cumsum(counts) / len(numbers)
    below = above - counts / len(numbers)
    atom = counts >= max(0.01 * len(numbers), 2)
    middle = np.flatnonzero(~atom)
    if len(middle) > NUM_KNOTS:
        places = np.linspace(0, len(middle) - 1, NUM_KNOTS).round()
        middle = middle[places.astype(int)]
    points = [
        *zip(below[atom], values[atom]),
        *zip(above[atom], values[atom]),
        *zip((below + above)[middle] / 2, values[middle]),
        # Without a bound, quantiles end at what was observed.
        (0.0, values[0] if np.isinf(low) else low),
        (1.0, values[-1] if np.isinf(high) else high),
    ]
    shares, quantiles = zip(*sorted((float(u), float(v)) for u, v in points))
    return Knots(shares, quantiles)


def to_scores(knots: Knots, numbers: np.ndarray) -> np.ndarray:
    """Normal scores of numbers `[n]`: an atom's are in its middle."""
    shares, values = np.array(knots.shares), np.array(knots.values)
    # The last point of equal values from the left, the first from the right.
    first = np.searchsorted(values, numbers, "left")
    last = np.searchsorted(values, numbers, "right") - 1
    atom = (first < len(values)) & (last > first)
    at = np.clip(first, 0, len(values) - 1), np.clip(last, 0, len(values) - 1)
    middle = (shares[at[0]] + shares[at[1]]) / 2
    unique, index = np.unique(values, return_index=True)
    between = np.interp(numbers, unique, shares[index])
    share = np.where(atom, middle, between)
    return ndtri(np.clip(share, 1e-6, 1 - 1e-6))


def from_scores(knots: Knots, scores: np.ndarray) -> np.ndarray:
    """The numbers `[n]` of normal scores `[n]`."""
    return np.interp(ndtr(scores), knots.shares, knots.values)
