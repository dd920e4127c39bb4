"""Overimputation: known cells are hidden, the fit is done again, and told.

A quality that needs no truth; Honaker, King and Blackwell (2011) call it so.
Known cells are no random sample of the gaps, so they are chosen as gaps are:
rows by the odds that cells like theirs are missing, and in a row those that
another row lacks, so that columns which go missing together do. How the hidden
cells still differ from the gaps, in what is left of their rows, a classifier
tells, and its odds are their weights (as under covariate shift: Bickel,
Brueckner and Scheffer, 2009).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from miri_jax.core.parallel import spread, to_host
from miri_jax.core.rows import spaced
from miri_jax.engine.drawing import draws as draw_set
from miri_jax.engine.fitting import RETRIES, Watch, fit_many
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.metrics.overimputation import Cells, Check, check_cells
from miri_jax.types import Array, Imputer, Layout, Masked, Region

# What `Keys.measure` is folded with for the check of a table.
CHECK = 2
# Share of the rows that lose cells, and how many these are at least, of enough;
# draws of each.
SHARE, LEAST, DRAWS = 0.2, 100, 20
# Rows that cells are chosen from at most, and rows whose gaps are imitated; the
# largest chance of a row.
ROWS, DONORS, MOST = 16384, 1000, 0.5
# Columns by which the odds of a gap are told, and whose odds choose rows.
MOST_COLUMNS = 40


class Overimputation(NamedTuple):
    """How well known cells were filled again.

    Attributes:
      columns: by name, of those with gaps and with cells that were hidden.
      gaps: by name, how many gaps each has.
      draws: of each cell.
    """

    columns: dict[Any, Check]
    gaps: dict[Any, int]
    draws: int

    def mean(self, what: str) -> float | None:
        """Of a field of `Check` the mean over columns, as gaps are; or None."""
        found = [
            (self.gaps[name], getattr(one, what))
            for name, one in self.columns.items()
            if getattr(one, what) is not None
        ]
        if not found:
            return None
        weight, values = zip(*found)
        return float(np.average(values, weights=weight))

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold: means, and fields by column, without None."""
        fields = ("score", "coverage_50", "coverage_90", "accuracy")
        means = {what: self.mean(what) for what in fields}
        columns = {
            str(name): {k: v for k, v in one._asdict().items() if v is not None}
            for name, one in self.columns.items()
        }
        found = {k: v for k, v in means.items() if v is not None}
        return {"draws": self.draws, **found, "columns": columns}


def overimpute(
    key: Array,
    imputer: Imputer,
    data: Masked,
    *,
    layout: Layout | None = None,
    bounds: Region | None = None,
    weights: np.ndarray | None = None,
    share: float | None = None,
    draws: int = DRAWS,
    folds: int = 1,
    watches: Iterator[Watch] | None = None,
    retries: int = RETRIES,
) -> Overimputation:
    """Hides known cells, fits to the rest, and compares draws with them.

    Takes `folds` fits more. The draws are independent.

    Args:
      key: PRNG key.
      imputer: a method that draws again.
      data: a table with gaps.
      layout: of the table; None for numbers alone.
      bounds: see `engine.draw`.
      weights: see `engine.fit_many`.
      share: about that share of the rows loses cells; None for a fifth, of few
        rows more.
      draws: of each cell, from 2 on.
      folds: how often cells are chosen, and fitted without, anew.
      watches: what looks on at each fit.
      retries: see `engine.fit`.

    Raises:
      ConfigError: where a method does not draw again, or a number is wrong.
      DataError: where there is no gap, or no known cell that could be one.
    """
    data = Masked(*(to_host(part) for part in data))
    share = _share(len(data.x)) if share is None else share
    _check(imputer, share, draws, folds)
    from miri_jax.sources.chained import table_of

    table = table_of(data, layout)
    found: dict[int, list[Cells]] = {}
    for k in range(folds):
        key_hide, *keys = (jax.random.fold_in(key, 3 * k + i) for i in range(3))
        hidden = hide(key_hide, table, share)
        several = filled_rows(
            keys,
            imputer,
            without(data, hidden[:, table.layout.owners(data.m.shape[1])]),
            np.flatnonzero(hidden.any(axis=1)),
            draws,
            bounds=bounds,
            weights=weights,
            watches=watches,
            retries=retries,
        )
        drawn = np.stack([table.layout.unpack(x) for x in several])
        for j, cells in _cells(table, hidden, drawn):
            found.setdefault(j, []).append(cells)
    names, levels = table.layout.names, table.layout.levels
    checks = {
        j: check_cells(_joined(found[j]), levels[j]) for j in sorted(found)
    }
    gaps = np.sum(~table.observed, axis=0)
    return Overimputation(
        {names[j]: one for j, one in checks.items()},
        {names[j]: int(gaps[j]) for j in checks},
        draws,
    )


def _cells(
    table: Any, hidden: np.ndarray, drawn: np.ndarray
) -> Iterator[tuple[int, Cells]]:
    """Columns with hidden cells, and these.

    Args:
      table: before they were hidden.
      hidden: `[n, c]` bool.
      drawn: `[m, r, c]`, the rows that have some.
    """
    rows = hidden.any(axis=1)
    for j in np.flatnonzero(hidden.any(axis=0)):
        cells = hidden[:, j]
        yield (
            j,
            Cells(
                table.values[cells, j],
                drawn[:, cells[rows], j],
                weights_of(table, hidden, j),
                table.values[table.observed[:, j] & ~cells, j],
            ),
        )


def without(data: Masked, hidden: np.ndarray) -> Masked:
    """Data without entries `[n, d]`."""
    left = data.m & ~hidden
    return Masked(np.where(left, data.x, np.float32(0)), left)


def filled_rows(
    keys: Sequence[Array],
    imputer: Imputer,
    data: Masked,
    rows: np.ndarray,
    count: int,
    *,
    bounds: Region | None,
    retries: int,
    weights: np.ndarray | None = None,
    watches: Iterator[Watch] | None = None,
) -> Iterator[np.ndarray]:
    """Independent draws of some rows, `[r, d]` each, by a fit to all."""
    put = lambda part: spread(jax.device_put(part), len(part))
    key_fit, key_draw = keys
    whole = Masked(*map(put, data))
    options = dict(weights=weights, watches=watches, retries=retries)
    (state,) = fit_many(key_fit, imputer, whole, 1, **options)
    asked = Masked(*(put(part[rows]) for part in data))
    if bounds is not None:
        # Relations are of known cells, some of which are hidden here.
        ends = (np.asarray(bound) for bound in bounds[:2])
        ends = (x[rows] if x.ndim == 2 else x for x in ends)
        bounds = Region(*ends, tails=bounds.tails)
    return draw_set(
        key_draw, imputer, state, asked, count, bounds=bounds, spread_out=False
    )


def _share(rows: int) -> float:
    """A fifth; of few rows what makes about a hundred, at most half."""
    return min(max(SHARE, LEAST / max(rows, 1)), MOST)


def hide(key: Array, table: Any, share: float) -> np.ndarray:
    """Chooses known cells as gaps are, `[n, c]` bool.

    A row is chosen with a chance that goes with its odds of gaps, and of rows
    with few gaps more, as the gaps of both rows add up: it loses the cells that
    a random row lacks whose gaps include its own, or nearly. No column loses
    more than half of its cells.

    Args:
      key: PRNG key.
      table: see `sources.chained.Table`.
      share: about that share of the rows loses cells.

    Raises:
      DataError: where there is nothing to hide.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    some = spaced(len(table.values), ROWS)
    part = table._replace(
        values=table.values[some], observed=table.observed[some]
    )
    seen, gaps = part.observed, ~part.observed
    mixed = np.flatnonzero(seen.any(axis=0) & gaps.any(axis=0))
    donors = np.flatnonzero(gaps[:, mixed].any(axis=1) & seen.any(axis=1))
    if not (mixed.size and donors.size):
        raise DataError(
            "no column has both gaps and values, so that there is nothing to"
            " check; leave the check out"
        )
    own = gaps[:, mixed].sum(axis=1)
    some_mixed = rng.permutation(mixed)[:MOST_COLUMNS]
    chance = sum(np.where(seen[:, j], _odds(part, j), 0) for j in some_mixed)
    chance = _capped(chance * 0.5 ** (own - own.min()), share)
    chosen = np.flatnonzero(rng.random(len(seen)) < chance)
    donors = gaps[rng.permutation(donors)[:DONORS]]
    cells = np.zeros(seen.shape, bool)
    for row in chosen:
        cells[row] = _as_another(rng, seen[row], donors)
    for j in np.flatnonzero(cells.any(axis=0)):
        rows = rng.permutation(np.flatnonzero(cells[:, j]))
        cells[rows[seen[:, j].sum() // 2 :], j] = False
    if not cells.any():
        raise DataError(
            "too few known cells to hide some; take a larger share, or leave"
            " the check out"
        )
    found = np.zeros(table.observed.shape, bool)
    found[some] = cells
    return found


def weights_of(table: Any, hidden: np.ndarray, column: int) -> np.ndarray:
    """Weights of the hidden cells of a column, which make them like its gaps.

    The odds that a classifier gives a row to be one with a gap, not with a
    hidden cell, by what is left of it.

    Args:
      table: see `sources.chained.Table`, before cells were hidden.
      hidden: `[n, c]` bool.
      column: the column.
    """
    gaps = np.flatnonzero(~table.observed[:, column])
    gaps = gaps[spaced(len(gaps), ROWS)]
    cells = np.flatnonzero(hidden[:, column])
    rows = np.concatenate([cells, gaps])
    left = (table.observed & ~hidden)[rows]
    left[:, column] = np.arange(len(rows)) < len(cells)
    both = table._replace(values=table.values[rows], observed=left)
    return _odds(both, column)[: len(cells)]


def _odds(table: Any, column: int) -> np.ndarray:
    """`sources.chained.odds`, in wide tables by the columns that tell most.

    Those whose values or gaps go most with the column's gaps.
    """
    from miri_jax.sources.chained import odds

    values, seen = table.values, table.observed
    if seen.shape[1] <= MOST_COLUMNS:
        return odds(table, column)
    scale = np.abs(values).max(axis=0)
    z = np.where(seen, values / np.where(scale > 0, scale, 1), 0)
    z -= np.where(seen, z.sum(axis=0) / np.maximum(seen.sum(axis=0), 1), 0)
    aim = seen[:, column] - seen[:, column].mean()
    told = [
        np.abs(aim @ part) / np.maximum(np.sqrt(np.sum(part**2, 0)), 1e-9)
        for part in (z, seen - seen.mean(axis=0))
    ]
    told = np.maximum(*told)
    told[column] = np.inf
    kept = np.sort(np.argsort(-told, kind="stable")[:MOST_COLUMNS])
    part = table._replace(
        values=values[:, kept],
        observed=seen[:, kept],
        layout=table.layout.take(kept),
    )
    return odds(part, int(np.searchsorted(kept, column)))


def _capped(chance: np.ndarray, share: float) -> np.ndarray:
    """Chances that go with some numbers `[n]`, of mean `share` if they can."""
    found = chance
    for _ in range(10):  # as MOST cuts some
        found = chance * (share / max(np.mean(found), 1e-12))
        chance, found = found, np.minimum(found, MOST)
    return found


def _as_another(
    rng: np.random.Generator, seen: np.ndarray, donors: np.ndarray
) -> np.ndarray:
    """The known cells `[c]` of a row that a row with like gaps lacks.

    Args:
      rng: chooses.
      seen: `[c]` bool.
      donors: `[k, c]` bool, the gaps of rows.
    """
    missed = (~donors & ~seen).sum(axis=1)
    missed[~(donors & seen).any(axis=1)] = len(seen)
    best = np.flatnonzero(missed == missed.min())
    return donors[rng.choice(best)] & seen


def _joined(folds: list[Cells]) -> Cells:
    """The cells of several folds, each fold by its own observed values."""
    return Cells(
        *(
            np.concatenate([getattr(one, name) for one in folds], axis=-1)
            for name in Cells._fields
        )
    )


def _check(imputer: Imputer, share: float, draws: int, folds: int) -> None:
    if not imputer.redraws:
        raise ConfigError(
            "this method has one imputation a fit, and a check compares several"
            " draws of cells; check a method that draws again, such as 'miri'"
        )
    if not 0 < share <= MOST:
        raise ConfigError(
            f"share is {share!r}; give a share of the rows above 0, at most"
            f" {MOST}"
        )
    for name, value, least in (("draws", draws, 2), ("folds", folds, 1)):
        whole = isinstance(value, int | np.integer)
        if not whole or value < least:
            raise ConfigError(
                f"{name} is {value!r}; ask for a whole number from {least} on"
            )
