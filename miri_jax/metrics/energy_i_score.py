"""The energy-I-score: ranks ways to fill a table without the truth.

Naf, Grzesiak and Scornet, "How to rank imputation methods?" (arXiv 2507.11297),
after the I-score of Naf, Spohn, Michel and Meinshausen (2023): a column's
observed cells are filled by the method under test, which knows of the column
only what it has filled in itself, and the energy score says how well that
meets what was observed. A method that fills gaps with draws of the right
conditional distribution has the best expectation where, given the columns used,
the column is distributed alike in its gaps and in its observed cells (the
paper's CIMAR, which is between MCAR and MAR).

Two things differ from the paper, neither of which changes a ranking by many
draws: SMALLER IS BETTER here (the paper's score is the negative), and the
score is fair, so that few draws have the expectation of many.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from miri_jax.metrics.proper import fair_brier, fair_crps
from miri_jax.types import Array

# (key, x [n, k], m [n, k], columns, count) to draws [count, n, k]: fills gaps
# of some columns, numbers and ranks of levels, by a fit to these columns alone.
ImputeColumns = Callable[
    [Array, np.ndarray, np.ndarray, tuple[int, ...], int], np.ndarray
]


class EnergyIScore(NamedTuple):
    """The score; smaller is better.

    Attributes:
      score: the mean of the columns' scores by their weights.
      error: its standard error over rows, where it is not the fit's chance.
      columns: of each column with gaps and values its score: of numbers in
        standard deviations of the observed cells, of levels half a Brier score.
      weights: of each the share of its gaps times that of its observed cells.
      used: of each the columns that its cells were filled from (O_j).
    """

    score: float
    error: float
    columns: dict[int, float]
    weights: dict[int, float]
    used: dict[int, tuple[int, ...]]


def energy_i_score(
    key: Array,
    filled: np.ndarray,
    m: np.ndarray,
    impute: ImputeColumns,
    *,
    levels: Sequence[int] | None = None,
    draws: int = 20,
    columns: Sequence[int] | None = None,
) -> EnergyIScore:
    """Scores a filled table together with the method that filled it.

    Takes a fit for each column.

    Args:
      key: PRNG key.
      filled: `[n, c]`: numbers, and ranks of levels, a draw of the method.
      m: `[n, c]` bool, True = observed.
      impute: the method, see `ImputeColumns`; of `engine.column_imputer` for
        those of this package.
      levels: how many levels each column has, 0 for numbers; None for numbers
        alone.
      draws: of each cell, from 2 on.
      columns: those to score; None for all with gaps and values.
    """
    filled, m = np.asarray(filled, np.float64), np.asarray(m, bool)
    levels = levels or (0,) * m.shape[1]
    mixed = np.flatnonzero(m.any(axis=0) & ~m.all(axis=0)).tolist()
    wanted = mixed if columns is None else [j for j in mixed if j in columns]
    scores, errors, weights, used = {}, {}, {}, {}
    for j in wanted:
        seen, others = m[:, j], _predictors(m, j)
        asked = np.ones((len(m), 1 + len(others)), bool)
        asked[:, 0] = ~seen
        own = (j, *others)
        drawn = impute(
            jax.random.fold_in(key, j), filled[:, own], asked, own, draws
        )
        cells = _cell_scores(
            np.asarray(drawn)[:, seen, 0], filled[seen, j], levels[j]
        )
        scores[j] = float(cells.mean())
        errors[j] = max(cells.std() / len(cells) ** 0.5, 1 / len(m))
        weights[j] = float(seen.mean() * (1 - seen.mean()))
        used[j] = others
    if not scores:
        return EnergyIScore(np.nan, np.nan, {}, {}, {})
    total = sum(weights.values())
    mean = sum(weights[j] * scores[j] for j in scores) / total
    error = np.sqrt(sum((weights[j] * errors[j]) ** 2 for j in scores)) / total
    return EnergyIScore(float(mean), float(error), scores, weights, used)


def _predictors(m: np.ndarray, column: int) -> tuple[int, ...]:
    """Columns that are complete where one is observed (the paper's O_j).

    Where there are none, the one that is observed there most often.
    """
    often = m[m[:, column]].mean(axis=0)
    often[column] = -1
    best = often.max()
    if best < 0:  # there is one column only
        return ()
    found = np.flatnonzero(often == 1) if best == 1 else [np.argmax(often)]
    return tuple(int(j) for j in found)


def _cell_scores(
    draws: np.ndarray, truth: np.ndarray, levels: int
) -> np.ndarray:
    """Energy scores `[k]` of draws `[m, k]`, in one dimension each."""
    if levels:
        return fair_brier(draws, truth) / 2
    unit = np.abs(truth).max() or 1.0  # whose squares do not overflow
    scale = (truth / unit).std() or 1.0
    return fair_crps(draws / unit / scale, truth / unit / scale)
