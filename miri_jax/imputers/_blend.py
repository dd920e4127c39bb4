"""Which columns a flow keeps, and which chained equations draw once more.

Both ways the table is filled without some observed cells, several times. A
proper score says which fills them better, column by column: the velocity's loss
could not, as it is not zero between two draws of one distribution. Cells count
by the odds that cells like them are missing. Some hundred cells tell little, so
that the flow keeps a column only where there is next to no doubt.
"""

from typing import NamedTuple

import numpy as np

from miri_jax.metrics.proper import fair_brier, fair_crps, ks_distance
from miri_jax.sources.chained import Table, odds

# Share of the chains' score that the flow has to take off, and errors that this
# has to be above 0, of the column or of the table's mean.
LEAST_GAIN, SURE = 0.02, 2.5
# Cells of a column below which distances of distributions say nothing.
LEAST_CELLS = 50
# How far the flow's cells may lie further from the true ones, all together.
MOST_APART = 0.03


class Trial(NamedTuple):
    """What a trial has shown.

    Attributes:
      gain: `[c]`, the share of the chains' score that the flow takes off, as
        far as it is to be believed; 0 where nothing was held out of a column,
        NaN where there was no trial.
      by_flow: `[c]` bool, the columns that the flow keeps.
    """

    gain: np.ndarray
    by_flow: np.ndarray


def no_trial(count: int) -> Trial:
    """Of a number of columns, none of which the flow keeps untried."""
    return Trial(np.full(count, np.nan), np.zeros(count, bool))


def compare(
    table: Table,
    held: np.ndarray,
    rows: np.ndarray,
    chained: np.ndarray,
    flow: np.ndarray,
) -> Trial:
    """Compares draws of held-out cells.

    Args:
      table: `[n, c]`, as observed.
      held: `[n, c]` bool, the cells that neither has seen.
      rows: `[r]`, numbers of the rows that were drawn.
      chained: `[m, r, c]`, draws after a sweep of chained equations.
      flow: `[m, r, c]`, draws by the flow alone.
    """
    count = table.values.shape[1]
    gain, error = np.zeros(count), np.full(count, np.inf)
    apart = np.zeros(count)
    for j in range(count):
        cells = np.flatnonzero(held[rows, j])
        seen = table.values[table.observed[:, j] & ~held[:, j], j]
        if not (cells.size and seen.size):
            continue
        truth = table.values[rows[cells], j]
        weight, levels = odds(table, j)[rows[cells]], table.layout.levels[j]
        one, other = (
            _cell_scores(draws[:, cells, j], truth, seen, levels)
            for draws in (chained, flow)
        )
        base = max(np.average(one, weights=weight), 1e-6)
        difference = (one - other) / base
        gain[j] = np.average(difference, weights=weight)
        share = weight / weight.sum()
        spread = np.sum(np.square(share * (difference - gain[j])))
        error[j] = np.sqrt(spread) + 1 / (1 + len(cells))
        if len(cells) >= LEAST_CELLS and not levels:
            apart[j] = ks_distance(np.ravel(flow[:, cells, j]), truth)
            apart[j] -= ks_distance(np.ravel(chained[:, cells, j]), truth)
    sure, (gain, mean, of_mean) = gain > SURE * error, _shrunken(gain, error)
    sure |= mean > SURE * of_mean
    return Trial(gain, sure & (gain > LEAST_GAIN) & (apart < MOST_APART))


def _cell_scores(
    draws: np.ndarray, truth: np.ndarray, seen: np.ndarray, levels: int
) -> np.ndarray:
    """How well draws `[m, k]` of cells tell their true values `[k]`.

    Args:
      draws: m > 1.
      truth: likewise.
      seen: `[q]`, observed values of the column, whose ranks numbers are taken
        by, so that no far value decides.
      levels: how many levels the column has; 0 for numbers.

    Returns:
      `[k]`, the fair CRPS of numbers, the fair Brier score of levels.
    """
    if levels:
        return fair_brier(draws, truth)
    ordered = np.sort(seen)
    place = lambda values: (
        (
            np.searchsorted(ordered, values, "left")
            + np.searchsorted(ordered, values, "right")
        )
        / (2 * len(ordered))
    )
    return fair_crps(place(draws), place(truth))


def _shrunken(
    gain: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Gains `[c]` drawn towards their mean, as far as their errors say.

    Empirical Bayes with the moments of DerSimonian and Laird (1986): where
    columns differ by no more than their errors, all have the mean.

    Returns:
      The gains, their mean and its error.
    """
    known = np.isfinite(error)
    if not known.any():
        return np.zeros(len(gain)), 0.0, np.inf
    weight = np.where(known, 1 / np.square(np.where(known, error, 1)), 0)
    total = weight.sum()
    mean = np.sum(weight * gain) / total
    surplus = np.sum(weight * np.square(gain - mean)) - (known.sum() - 1)
    room = total - np.sum(np.square(weight)) / total
    between = max(surplus / room, 0) if room > 0 else 0.0
    weight = np.where(known, 1 / (between + 1 / np.maximum(weight, 1e-12)), 0)
    mean = np.sum(weight * gain) / weight.sum()
    error = np.where(known, error, 1)
    trust = np.where(known, between / (between + np.square(error)), 0)
    return mean + trust * (gain - mean), mean, weight.sum() ** -0.5
