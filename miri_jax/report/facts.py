"""Columns of a table as the report compares them: observed and imputed.

A `View` holds a column in its own units; the functions below take views and
give numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data import AmputatedTable, FileTable, columns, tables
from miri_jax.data.related_draws import finished

# Columns that classifiers are fitted to, those of which gaps are compared, and
# patterns of gaps that are listed.
MAX_COLUMNS, MAX_MATRIX, MAX_PATTERNS = 12, 25, 12
# Draws that differ by less than this share of the column's variance agree.
SAME_DRAWS = 4e-4
DAY = 86400  # seconds
# Beyond it squares overflow.
LARGEST = 1e150


class View(NamedTuple):
    """A column of the file in its own units.

    Attributes:
      number: its place in the file, from 1.
      name: as text.
      kind: one of `columns.KINDS`.
      missing: `[n]` bool.
      observed: `[n_observed]` float64: numbers, seconds since 1970, or the
        ranks of levels.
      imputed: `[draws, n_missing]` float64, likewise.
      levels: their names; None where there are numbers.
      unit: all values are multiples of; 0 where it is not known.
      truth: `[n_missing]` float64, where it is known.
      stays: `[draws, n_missing]` bool, gaps that stay empty by a rule; None
        where none do.
      clock: whether they are times of the day, without a date.
    """

    number: int
    name: str
    kind: str
    missing: np.ndarray
    observed: np.ndarray
    imputed: np.ndarray
    levels: tuple[str, ...] | None = None
    unit: float = 0.0
    truth: np.ndarray | None = None
    stays: np.ndarray | None = None
    clock: bool = False

    @property
    def empty(self) -> np.ndarray:
        """`[draws, n_missing]` bool, gaps that stay empty."""
        if self.stays is None:
            return np.zeros((len(self.imputed), self.missing.sum()), bool)
        return self.stays

    def filled(self, draw: int | None = None) -> np.ndarray:
        """Imputed cells `[k]` that are written, of a draw or of all."""
        if not self.imputed.size:
            return np.zeros(0)
        some = slice(None) if draw is None else draw
        if self.stays is None:
            return self.imputed[some].ravel()
        return self.imputed[some][~self.stays[some]]

    def always(self) -> np.ndarray:
        """`[draws, k]`, the gaps that all draws fill."""
        if self.stays is None or not self.imputed.size:
            return self.imputed
        return self.imputed[:, ~self.stays.any(axis=0)]


def views_of_file(
    dataset: FileTable, draws: Sequence[np.ndarray]
) -> list[View]:
    """The columns of a file, decoded.

    Args:
      dataset: of a file.
      draws: filled tables `[n, d]`, encoded, raw scale.
    """
    table, views = dataset.table, []
    parts = [tables.split(table.columns, x) for x in (table.values, *draws)]
    stays = [
        finished(table.related, part, table.missing)[0] for part in parts[1:]
    ]
    for j, column in enumerate(table.columns):
        gaps = table.missing[:, j]
        blocks = [part[j][1] for part in parts]
        empty = np.stack([x[gaps, j] for x in stays])
        views.append(
            View(
                j + 1,
                str(column.name),
                column.kind,
                gaps,
                _own_units(column, blocks[0][~gaps]),
                np.stack([_own_units(column, x[gaps]) for x in blocks[1:]]),
                column.levels and tuple(map(str, column.levels)),
                _unit(column),
                stays=empty if empty.any() else None,
                clock=column.day is not None,
            )
        )
    return views


def views_of_numbers(
    dataset: AmputatedTable, draws: Sequence[np.ndarray]
) -> list[View]:
    """The columns of a table of numbers that comes from no file.

    Args:
      dataset: the table; its truth is shown.
      draws: filled tables `[n, d]`, raw scale.
    """
    return [
        View(
            j + 1,
            name,
            "real",
            ~m,
            dataset.values[m, j],
            np.stack([draw[~m, j] for draw in draws]),
            truth=dataset.truth[~m, j],
        )
        for j, (name, m) in enumerate(zip(dataset.columns, dataset.m.T))
    ]


def with_filled(views: Sequence[View], limit: int) -> list[View]:
    """As `with_gaps`, but for columns whose gaps are kept."""
    return with_gaps([view for view in views if view.kind != "id"], limit)


def with_gaps(views: Sequence[View], limit: int) -> list[View]:
    """The columns with the most gaps, in the order of the file."""
    count = [int(view.missing.sum()) for view in views]
    most = np.argsort(-np.array(count), kind="stable")[:limit]
    return [views[j] for j in sorted(most) if count[j]]


def difference(view: View) -> float:
    """How far imputed and observed values are apart, from 0 to 1.

    Kolmogorov and Smirnov's distance of numbers, the total variation distance
    of levels; 0 where there is nothing to compare.
    """
    imputed = view.filled()
    if not len(imputed) or not len(view.observed):
        return 0.0
    if view.levels is not None:
        observed, imputed = level_shares(view)
        return float(np.abs(observed - imputed).sum() / 2)
    at = np.concatenate([imputed, view.observed])
    shares = [
        np.searchsorted(np.sort(x), at, "right") / len(x)
        for x in (imputed, view.observed)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def level_shares(view: View) -> np.ndarray:
    """Shares `[2, levels]` of each level, observed and imputed."""
    samples = (view.observed, view.filled())
    return np.stack(
        [
            np.bincount(x.astype(int), minlength=len(view.levels))
            / max(len(x), 1)
            for x in samples
        ]
    )


def draw_spread(view: View) -> float:
    """How far draws are apart: their deviation, mean over the gaps.

    In the column's units; of levels the share of the gaps where draws differ.
    """
    imputed = view.always()
    if not imputed.size:
        return 0.0
    if view.levels is not None:
        return float(np.mean(imputed.min(0) < imputed.max(0)))
    return float(np.mean(np.std(imputed, axis=0)))


def draws_agree(view: View) -> bool:
    """Whether all draws are nearly the same, though the column varies.

    Numbers are compared by their ranks among the observed ones, so that a few
    huge ones do not hide how the others differ.
    """
    imputed = view.always()
    draws, gaps = imputed.shape
    if draws < 2 or not gaps or not len(view.observed):
        return False
    if view.levels is not None:
        variety = 1 - np.sum(level_shares(view)[0] ** 2)
        differs = np.mean(imputed[1:] != imputed[:-1])
        # So many cells would differ, were they drawn without a look at others.
        enough = variety * gaps * (draws - 1) >= 20
        return bool(enough and differs < SAME_DRAWS * variety)
    ordered = np.sort(view.observed)
    rank = lambda x: (
        np.searchsorted(ordered, x) + np.searchsorted(ordered, x, "right")
    )
    variety = np.var(rank(ordered))
    apart = np.mean(np.diff(rank(imputed), axis=0) ** 2) / 2
    return bool(variety > 0 and apart < SAME_DRAWS * variety)


def holds_one_value(view: View) -> bool:
    """Whether all observed values are equal, and there are any."""
    values = view.observed
    return bool(len(values) and values.min() == values.max())


def gap_patterns(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """Patterns `[p, c]` of gaps in c columns and their counts, most first."""
    missing = np.stack([view.missing for view in views], axis=1)
    packed = np.packbits(missing, axis=1)
    _, first, counts = np.unique(
        packed, axis=0, return_index=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return missing[first[order]], counts[order]


def gap_correlation(
    views: Sequence[View],
) -> tuple[list[View], np.ndarray]:
    """Correlations `[c, c]` of the gaps of the c columns that have most."""
    shown = [view for view in views if not view.missing.all()]
    shown = with_gaps(shown, MAX_MATRIX)
    if len(shown) < 2:
        return shown, np.eye(len(shown))
    missing = np.stack([view.missing for view in shown]).astype(np.float64)
    return shown, np.corrcoef(missing)


def sample_rows(rows: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of some row numbers, at random, the same every time."""
    return np.random.default_rng(0).permutation(rows)[:limit]


def _own_units(column: columns.Column, block: np.ndarray) -> np.ndarray:
    """Encoded cells `[n, width]` as numbers, or ranks of levels, `[n]`."""
    if column.kind == "id":
        return np.zeros(0)
    values = columns.values_of(column, block)
    return np.clip(values, -LARGEST, LARGEST)


def _unit(column: columns.Column) -> float:
    if column.step is not None:
        return float(column.step)
    return 0.0 if column.decimals is None else 10.0**-column.decimals
