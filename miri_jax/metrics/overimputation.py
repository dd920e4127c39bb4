"""How well known cells were filled again: calibration, error, proper scores.

Of each cell there are the true value and draws that were made without it. If
the draws are right, the true value is one more of them, and all that is
computed here rests on that: its rank among m draws has m + 1 equally likely
places, and it equals a draw as often as two draws equal each other. So few
draws are judged as fairly as many. Cells have weights, as in a sample of the
gaps; see `engine.overimpute`.
"""

from typing import NamedTuple

import numpy as np

from miri_jax.metrics.proper import fair_brier, fair_crps

# Bins of the ranks.
BINS = 10


class Cells(NamedTuple):
    """Known cells of a column that were filled again.

    Attributes:
      truth: `[k]`, their values: numbers, or ranks of levels.
      draws: `[m, k]`, m > 1.
      weight: `[k]`, how much each counts.
      seen: `[q]`, other observed values of the column, at least one.
    """

    truth: np.ndarray
    draws: np.ndarray
    weight: np.ndarray
    seen: np.ndarray


class Check(NamedTuple):
    """How well the cells of a column were filled again.

    What is not known of a kind of column is None. No error is 0.

    Attributes:
      cells: how many there are.
      effective: so many of equal weight would tell as much (Kish).
      score: CRPS of numbers, Brier score of levels, over that of values drawn
        at random from the column's observed ones: below 1 is better, 0 is best.
        Both are fair: few draws have the expectation of many.
      score_error: its standard error.
      coverage_50: of numbers, the share of true values within the central
        interval that holds 50 % of the draws, and
      coverage_90: likewise; right draws have 0.5 and 0.9.
      coverage_error: standard error of `coverage_90`.
      bias: of numbers, the mean of draws less truth, in standard deviations of
        the column, and
      bias_error: its standard error.
      rmse: of numbers, of the mean of the draws, in standard deviations.
      ranks: of numbers, the shares of true values whose place among the draws
        is in each tenth from below; right draws have 0.1 in each.
      accuracy: of levels, how often the level drawn most is the true one.
      hit: of levels, how often a draw is the true one, and
      agreement: how often two draws are the same; right draws have equal ones.
      hit_error: standard error of their difference.
      log_score: of levels, the mean of -log p of the true one, in nats, where p
        is its share of the draws and one more spread as the observed levels.
    """

    cells: int
    effective: float
    score: float
    score_error: float
    coverage_50: float | None = None
    coverage_90: float | None = None
    coverage_error: float | None = None
    bias: float | None = None
    bias_error: float | None = None
    rmse: float | None = None
    ranks: tuple[float, ...] | None = None
    accuracy: float | None = None
    hit: float | None = None
    agreement: float | None = None
    hit_error: float | None = None
    log_score: float | None = None


def check_cells(cells: Cells, levels: int) -> Check:
    """How well cells were filled again.

    Args:
      cells: of a column.
      levels: how many levels it has; 0 for numbers, and for levels in an order.
    """
    weight = cells.weight / cells.weight.sum()
    effective = 1 / np.sum(weight**2)
    of_kind = _of_levels if levels else _of_numbers
    own, base, found = of_kind(cells, weight, effective, levels)
    score, error = _ratio(own, base, weight, effective)
    return Check(len(weight), float(effective), score, error, **found)


def _of_numbers(
    cells: Cells, weight: np.ndarray, effective: float, levels: int
) -> tuple[np.ndarray, np.ndarray, dict]:
    """CRPS of each cell `[k]`, that of the observed values, and the rest."""
    del levels
    # In the unit of the largest value, whose squares do not overflow.
    unit = np.abs(cells.seen).max() or 1.0
    truth, draws, seen = (
        part / unit for part in (cells.truth, cells.draws, cells.seen)
    )
    scale = seen.std() or 1.0
    truth, draws, seen = truth / scale, draws / scale, seen / scale
    low, high = places(draws, truth)
    inside = lambda a, b: np.sum(weight * _share_within(low, high, a, b))
    edges = np.linspace(0, 1, BINS + 1)
    apart = draws.mean(axis=0) - truth
    bias, bias_error = _mean(apart, weight, effective)
    coverage, error = _mean(
        _share_within(low, high, 0.05, 0.95), weight, effective
    )
    found = {
        "coverage_50": float(inside(0.25, 0.75)),
        "coverage_90": coverage,
        "coverage_error": error,
        "bias": bias,
        "bias_error": bias_error,
        "rmse": float(np.sqrt(np.sum(weight * apart**2))),
        "ranks": tuple(float(inside(*ends)) for ends in zip(edges, edges[1:])),
    }
    return fair_crps(draws, truth), _crps_of_sample(seen, truth), found


def _of_levels(
    cells: Cells, weight: np.ndarray, effective: float, levels: int
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Brier score of each cell `[k]`, of the observed levels, and the rest."""
    truth, draws = cells.truth.astype(int), cells.draws.astype(int)
    counts = np.stack([np.sum(draws == k, axis=0) for k in range(levels)])
    share = np.bincount(cells.seen.astype(int), minlength=levels)
    share = share / share.sum()
    cell, m = np.arange(len(truth)), len(draws)
    hit = counts[truth, cell] / m
    same = np.sum(counts * (counts - 1), axis=0) / (m * (m - 1))
    chance = (counts[truth, cell] + (share[truth] + 1 / levels) / 2) / (m + 1)
    _, error = _mean(same - hit, weight, effective)
    found = {
        "accuracy": float(np.sum(weight * (counts.argmax(axis=0) == truth))),
        "hit": float(np.sum(weight * hit)),
        "agreement": float(np.sum(weight * same)),
        "hit_error": error,
        "log_score": float(-np.sum(weight * np.log(chance))),
    }
    base = 1 - 2 * share[truth] + np.sum(share**2)
    return fair_brier(draws, truth), base, found


def places(
    draws: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where in [0, 1] true values `[k]` stand among draws `[m, k]`.

    Each true value is spread evenly over [low, high]: over one of m + 1 equal
    parts, or over those of its ties (Czado, Gneiting and Held, 2009). The
    mean over cells is uniform where the truth is one more of the draws.

    Returns:
      low and high, `[k]` each.
    """
    parts = len(draws) + 1
    low = np.sum(draws < truth, axis=0) / parts
    return low, (np.sum(draws <= truth, axis=0) + 1) / parts


def _share_within(
    low: np.ndarray, high: np.ndarray, start: float, stop: float
) -> np.ndarray:
    """Of each of the intervals `[k]` the share that lies within another."""
    inside = np.minimum(high, stop) - np.maximum(low, start)
    return np.maximum(inside, 0) / (high - low)


def _crps_of_sample(sample: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS `[k]` of one sample `[q]` of numbers for all of `[k]`."""
    ordered = np.sort(sample)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    below, q = np.searchsorted(ordered, truth), len(ordered)
    apart = truth * (2 * below - q) + sums[-1] - 2 * sums[below]
    order = 2 * np.arange(1, q + 1) - q - 1
    spread = np.sum(order * ordered) / max(q * (q - 1), 1)
    return np.maximum(apart / q - spread, 0)


def _mean(
    values: np.ndarray, weight: np.ndarray, effective: float
) -> tuple[float, float]:
    """A mean and its standard error, not 0 however alike the values are."""
    mean = np.sum(weight * values)
    spread = np.sqrt(np.sum((weight * (values - mean)) ** 2))
    return float(mean), float(np.hypot(spread, 1 / (1 + effective)))


def _ratio(
    own: np.ndarray, base: np.ndarray, weight: np.ndarray, effective: float
) -> tuple[float, float]:
    """The ratio of two mean scores, and its standard error.

    1 where both are 0, as of a column that holds one value.
    """
    own_mean, base_mean = np.sum(weight * own), np.sum(weight * base)
    if base_mean < 1e-9:
        ratio = 1.0 if own_mean < 1e-9 else own_mean / 1e-9
        return float(ratio), float(1 / (1 + effective))
    ratio = own_mean / base_mean
    _, error = _mean((own - ratio * base) / base_mean, weight, effective)
    return float(ratio), error
