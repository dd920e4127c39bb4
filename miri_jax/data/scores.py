"""Normal scores: columns of numbers as imputers see them.

A number is taken by its place in the distribution of the observed ones, and the
place as the quantile of a normal distribution (Liu, Lafferty and Wasserman,
2009, call this the nonparanormal). A value that occurs often, an atom, has an
interval of places; which of them a cell gets is up to the caller. Beyond the
observed extremes the distribution goes on: linear in the score, as steep as its
outer part; towards 0, of positive numbers whose logarithms fit their scores
better, linear in the logarithm. Where a bound is given the tail ends there, and
where the extreme is an atom there is no tail.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from miri_jax.data.transforms import LARGEST

NUM_KNOTS = 512
# Observed numbers below which their distribution cannot be told.
MIN_VALUES = 50
# Share, and number, of the observed cells from which a value is an atom.
ATOM_SHARE, ATOM_CELLS = 0.01, 5
# Codes: so many cells at least, so many of them for each value, no more than
# this share with a value that occurs once (Good and Turing's estimate of how
# often a new value is still to come), and no more than this share with another
# value one unit away, as counts have.
CODE_CELLS, CELLS_PER_CODE, MAX_SINGLE, MAX_NEXT = 20, 10, 0.05, 0.5
# So many observations in from the extreme a tail's steepness is measured, and
# of so many the logarithm is compared with the number itself.
INNER, OUTER = 10, 50
# Scores end here, where one of 1e15 normal numbers lies beyond: the scores of a
# far cell stay numbers that a network can take, and tails end.
END = 8.0
# A score further out than one of so many tables of this size would hold any is
# no draw of this table, but what a regression makes of a row unlike all others.
TABLES = 1000
# How near to the ends of an atom's interval its places are, in its width: at
# the ends themselves rounding would lead to the next value.
EDGE = 1e-3


class Knots(NamedTuple):
    """A distribution function, linear between its points, flat at atoms.

    Attributes:
      shares: ascending; from 0 where the smallest value is an atom, to 1 where
        the largest is one, else from and to the middle of the extremes.
      values: the quantiles there, ascending.
      slopes: what the value changes by for each unit of the score, below the
        first and above the last point; 0 at an atom.
      log_below: whether it is the value's logarithm that changes so below the
        first point.
      middles: the one score of each value, where all are atoms that need not
        be spread, see `fit_atoms`; else none.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, float] = (0.0, 0.0)
    log_below: bool = False
    middles: tuple[float, ...] = ()


def knots_of(content: Sequence[Any]) -> Knots:
    """Knots from lists, as JSON holds them."""
    return Knots(*(tuple(x) if isinstance(x, list) else x for x in content))


def fit_scores(
    numbers: np.ndarray,
    low: float = -np.inf,
    high: float = np.inf,
    unit: float = 0.0,
) -> Knots | None:
    """The distribution function of a column's numbers.

    Args:
      numbers: `[n]`, not all the same.
      low: smallest and
      high: largest number that there may be.
      unit: what numbers are whole multiples of; 0 for nothing.

    Returns:
      `Knots`, of codes with no values but those observed; None of too few
      numbers.
    """
    if are_codes(numbers, unit):
        return fit_atoms(*np.unique(numbers, return_counts=True))
    if len(numbers) >= MIN_VALUES:
        return fit_knots(numbers, low, high)
    return None


def are_codes(numbers: np.ndarray, unit: float = 0.0) -> bool:
    """Whether numbers `[n]` are codes: no others than those are to be expected.

    Few values, each of which occurs often, and which do not follow one another
    by units, as 10, 20 and 25 where 1, 2, 3 would be counts.
    """
    values, counts = np.unique(numbers, return_counts=True)
    n = len(numbers)
    if n < CODE_CELLS or n < CELLS_PER_CODE * len(values):
        return False
    with np.errstate(over="ignore"):
        near = np.diff(values) <= 1.5 * unit
    has_next = np.append(near, False) | np.append(False, near)
    return bool(
        np.sum(counts == 1) <= MAX_SINGLE * n
        and counts[has_next].sum() <= MAX_NEXT * n
    )


def fit_atoms(values: np.ndarray, counts: np.ndarray) -> Knots:
    """The distribution function of values `[k]`, ascending, that all are atoms.

    Spread over their shares, values that go strictly with one another would not
    do so any more. So each has the score of its middle, all of them scaled to
    variance 1: then normal numbers are each value as often as it was observed.
    Where some value's score would come back as another one, as where shares are
    very uneven, values are spread all the same.

    Args:
      values: `[k]`.
      counts: `[k]`, positive: how often each occurs.
    """
    share = counts / np.sum(counts)
    ends = np.append(0.0, np.cumsum(share))
    ends[-1] = 1.0
    middles = ndtri((ends[1:] + ends[:-1]) / 2)
    middles = middles - share @ middles
    middles /= np.sqrt(share @ middles**2) or 1.0
    shares, ways = np.repeat(ends, 2)[1:-1], ndtr(middles)
    edge = EDGE * share
    own = np.all(ways > ends[:-1] + edge) and np.all(ways < ends[1:] - edge)
    return Knots(
        tuple(shares.tolist()),
        tuple(np.repeat(values, 2).tolist()),
        middles=tuple(middles.tolist()) if own else (),
    )


def all_atoms(knots: Knots) -> bool:
    """Whether there are no other values than those at the points."""
    shares, values = knots.shares, knots.values
    return (
        (shares[0], shares[-1]) == (0.0, 1.0)
        and values[::2] == values[1::2]
        and shares[1:-1:2] == shares[2::2]
    )


def nearest_of(choices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of ascending choices the nearest to each value `[n]`."""
    middles = (choices[1:] + choices[:-1]) / 2
    return choices[np.searchsorted(middles, values)]


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
    atom = counts >= max(ATOM_SHARE * len(numbers), ATOM_CELLS)
    if atom.all():
        return fit_atoms(values, counts)
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
    below, above = -ndtri(shares[0]), ndtri(shares[-1])
    log_below = low <= 0 and _is_log(ordered)
    if log_below and np.isfinite(below):
        rise = np.log(ordered[INNER]) - np.log(ordered[0])
        slope = float(rise / (below + inner))
    else:
        # The lower tail is the upper one of the numbers with the other sign.
        slope = _slope(below, -inner, -ordered[0], -ordered[INNER], -low)
    slopes = (
        slope,
        _slope(above, -inner, ordered[-1], ordered[-1 - INNER], high),
    )
    return Knots(shares, quantiles, slopes, bool(log_below))


def _is_log(ordered: np.ndarray) -> bool:
    """Whether the smallest of numbers go by the logarithm towards 0.

    Where the scores of the outer part are nearer to a line in the logarithm
    than in the number: what lies beyond is then positive, too.
    """
    if not ordered[0] > 0:
        return False
    outer = ordered[: min(OUTER, len(ordered) // 2)]
    scores = ndtri((np.arange(len(outer)) + 0.5) / len(ordered))
    by_number = _straightness(outer / outer[-1], scores)
    return _straightness(np.log(outer), scores) > by_number


def _straightness(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of numbers `[n]`; 0 where one does not vary."""
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt(np.sum(x**2) * np.sum(y**2))
    return float(np.sum(x * y) / size) if size > 0 else 0.0


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


def to_scores(
    knots: Knots, numbers: np.ndarray, place: float | np.ndarray = 0.5
) -> np.ndarray:
    """Normal scores of numbers `[n]`, the inverse of `from_scores`.

    Args:
      knots: the distribution function.
      numbers: `[n]`, finite; beyond a tail of slope 0 a number has the score of
        the extreme.
      place: in [0, 1], `[n]` or for all: where in its interval an atom's share
        is, no nearer to its ends than `EDGE`.
    """
    shares, values = np.array(knots.shares), np.array(knots.values)
    inside = np.clip(numbers, values[0], values[-1])
    # The first and the last point of equal values.
    first = np.searchsorted(values, inside, "left")
    last = np.searchsorted(values, inside, "right") - 1
    between = _interpolate(inside, values, shares, last, first)
    width = shares[last] - shares[first]
    within = shares[first] + np.clip(place, EDGE, 1 - EDGE) * width
    found = ndtri(np.where(last >= first, within, between))
    if knots.middles:
        # Points are pairs, one for each value.
        found = np.where(
            last >= first, np.array(knots.middles)[first // 2], found
        )
    (below, above), (low, high) = (
        knots.slopes,
        (numbers < inside, numbers > inside),
    )
    with np.errstate(over="ignore", divide="ignore"):
        if knots.log_below and below > 0:
            ratio = np.maximum(numbers[low], 0.0) / values[0]
            found[low] = ndtri(shares[0]) + np.log(ratio) / below
        elif below > 0:
            found[low] = ndtri(shares[0]) + (numbers[low] - values[0]) / below
        if above > 0:
            found[high] = (
                ndtri(shares[-1]) + (numbers[high] - values[-1]) / above
            )
    return np.clip(found, -END, END)


def from_scores(knots: Knots, scores: np.ndarray) -> np.ndarray:
    """The numbers `[n]` of normal scores `[n]`, which end at -`END`, `END`."""
    shares, values = np.array(knots.shares), np.array(knots.values)
    scores = np.clip(scores, -END, END)
    share = ndtr(scores)
    start = np.searchsorted(shares, share, "right") - 1
    start = np.clip(start, 0, len(shares) - 2)
    found = _interpolate(share, shares, values, start, start + 1)
    first, last = ndtri(shares[0]), ndtri(shares[-1])
    low, high = scores < first, scores > last
    with np.errstate(over="ignore"):
        step = knots.slopes[0] * (scores[low] - first)
        tail = values[0] * np.exp(step) if knots.log_below else values[0] + step
        found[low] = np.maximum(tail, -LARGEST)
        step = knots.slopes[1] * (scores[high] - last)
        found[high] = np.minimum(values[-1] + step, LARGEST)
    return found


def ends_of(knots: Knots) -> tuple[float, float]:
    """The scores that a draw lies between, see `TABLES`."""
    below, above = knots.shares[0], 1 - knots.shares[-1]
    low, high = ndtri(below / TABLES), -ndtri(above / TABLES)
    return max(float(low), -END), min(float(high), END)


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
        width = x[end] - x[start]
        part = (at - x[start]) / width
        if np.isinf(width).any():
            halves = (at / 2 - x[start] / 2) / (x[end] / 2 - x[start] / 2)
            part = np.where(np.isinf(width), halves, part)
    part = np.clip(np.where(np.isnan(part), 0, part), 0, 1)
    line = (1 - part) * y[start] + part * y[end]
    # Rounding must not leave the two ends.
    return np.clip(line, y[start], y[end])
