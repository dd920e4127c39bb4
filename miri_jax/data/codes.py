"""Levels as numbers: a number for each, or bits, or their rank.

A level comes back by the code that is nearest, so that none is made up.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.cells import cell_text
from miri_jax.exceptions import DataError

LEVEL_KINDS = ("ordinal", "boolean", "categorical")
# Up to so many levels a category has a number for each, beyond it has bits
# (analog bits: Chen, Zhang and Hinton, 2022).
MAX_ONE_HOT = 24


def is_one_hot(kind: str, count: int) -> bool:
    """Whether each of `count` levels has a number to itself."""
    return kind == "categorical" and 2 < count <= MAX_ONE_HOT


def code_width(kind: str, count: int) -> int:
    """How many numbers the code of one of `count` levels has."""
    if kind == "ordinal":
        return 1
    if is_one_hot(kind, count):
        return count
    return max((count - 1).bit_length(), 1)


def code_book(kind: str, count: int) -> np.ndarray:
    """The numbers `[count, width]` of each level."""
    ranks = np.arange(count)
    if kind == "ordinal":
        return ranks[:, None].astype(np.float64)
    if is_one_hot(kind, count):
        return np.eye(count)
    bits = np.arange(code_width(kind, count))
    return (ranks[:, None] >> bits & 1).astype(np.float64)


def nearest_code(kind: str, count: int, numbers: np.ndarray) -> np.ndarray:
    """The level `[n]` whose code is nearest to numbers `[n, width]`."""
    book = code_book(kind, count)
    if kind == "ordinal":
        return np.clip(np.round(numbers[:, 0]), 0, count - 1).astype(int)
    # |a - b|^2 without |a|^2, which is the same for all levels.
    distance = np.sum(book**2, axis=1) - 2 * numbers @ book.T
    return np.argmin(distance, axis=1)


def find_levels(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    kind: str,
    levels: Sequence[Any] | None,
) -> tuple[Any, ...]:
    """The levels of a column, in order.

    Args:
      name: of the column, for messages.
      values: `[n]`; not read where missing.
      missing: `[n]` bool.
      kind: one of `LEVEL_KINDS`.
      levels: in the user's order; None for a categorical type's, or else
        sorted.

    Raises:
      DataError: naming the column and the remedy.
    """
    observed = values[~missing].astype(object)
    try:
        found = list(pd.unique(observed))
    except TypeError:
        what = type(observed.iloc[0]).__name__
        raise DataError(
            f"column {name!r} holds {what} objects; give numbers, text,"
            " logical values or times"
        ) from None
    if levels is None and isinstance(values.dtype, pd.CategoricalDtype):
        known = values.dtype.categories
        levels = [x for x in known if values.dtype.ordered or x in set(found)]
    if levels is None:
        levels = _sorted(found)
    else:
        levels = list(levels)
        for k, level in enumerate(levels):
            if level in levels[:k]:
                raise DataError(
                    f"column {name!r} has {cell_text(level)} twice in its order"
                    " of levels; name each once"
                )
        for level in found:
            if level not in levels:
                raise DataError(
                    f"column {name!r} holds {cell_text(level)}, which is not in"
                    " its order of levels; add it there"
                )
    if kind == "boolean" and len(levels) > 2:
        raise DataError(
            f"column {name!r} is to be boolean, but has {len(levels)} different"
            " values; call it categorical",
            about=("categorical",),
        )
    return tuple(x.item() if isinstance(x, np.generic) else x for x in levels)


def _sorted(levels: list[Any]) -> list[Any]:
    try:
        return sorted(levels)
    except TypeError:  # of several types
        return sorted(levels, key=lambda x: (type(x).__name__, str(x)))
