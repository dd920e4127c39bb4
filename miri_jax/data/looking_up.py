"""Cells that a function of another column gives: see `relations.Lookup`."""

from collections.abc import Mapping, Sequence

import numpy as np

from miri_jax.data.mending import Values
from miri_jax.relations import Lookup


def looked_up(
    lookups: Sequence[Lookup], values: Values, fixed: Mapping[str, np.ndarray]
) -> Values:
    """Values with what functions give of them.

    Where a function's column is fixed and its source is not, and they do not
    go together, the source becomes a value that does: of those, as likely as
    each is, the one at the place that the drawn one has among the others.

    Args:
      lookups: the functions.
      values: `[n]` by column, NaN where unknown.
      fixed: `[n]` bool by column, what stays.
    """
    values = {name: x.copy() for name, x in values.items()}
    for one in lookups:
        given, of = values[one.target], values[one.source]
        free = fixed[one.target] & ~fixed[one.source]
        _suit(one, of, given, free)
    # As often as functions may hang on each other.
    for _ in lookups:
        for one in lookups:
            found = _given(one, values[one.source])
            rows = ~fixed[one.target] & ~np.isnan(found)
            values[one.target][rows] = found[rows]
    return values


def _given(one: Lookup, of: np.ndarray) -> np.ndarray:
    """What a function gives `[n]`; NaN where it does not say."""
    keys, to = np.array(one.keys), np.array(one.to)
    place = np.minimum(np.searchsorted(keys, of), len(keys) - 1)
    return np.where(keys[place] == of, to[place], np.nan)


def _suit(
    one: Lookup, of: np.ndarray, given: np.ndarray, free: np.ndarray
) -> None:
    """Brings drawn cells of a source to ones that suit, in place."""
    keys, to = np.array(one.keys), np.array(one.to)
    share = np.array(one.share)
    bad = free & ~np.isnan(of) & (_given(one, of) != given)
    for value in np.unique(given[bad]):
        fit = to == value
        if not fit.any():
            continue
        rows = np.flatnonzero(bad & (given == value))
        rest = np.where(fit, 0, share)
        ends = np.cumsum(rest)
        place = np.minimum(np.searchsorted(keys, of[rows]), len(keys) - 1)
        middle = (ends[place] - rest[place] / 2) / max(ends[-1], 1e-30)
        reach = np.cumsum(share[fit]) / share[fit].sum()
        chosen = np.searchsorted(reach, np.minimum(middle, 1 - 1e-9))
        of[rows] = keys[fit][np.minimum(chosen, fit.sum() - 1)]
