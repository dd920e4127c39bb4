"""Where within an atom a row lies: at random, but the same each time.

A value that many rows share stands for an interval of scores. A row's place in
it is a hash of what is observed in the row, so that it is the same alone and
among others, and tells nothing that the row does not.
"""

from collections.abc import Sequence

import numpy as np

from miri_jax.core.hashing import STEP, mixed
from miri_jax.data.columns import Column


def hash_rows(
    columns: Sequence[Column], numbers: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """A hash `[n]` uint64 of what is known of each row.

    Args:
      columns: c; ids and constants do not count.
      numbers: `[n, c]` float64, raw: as `columns.read` has them.
      known: `[n, c]` bool; elsewhere numbers are not read.
    """
    found = np.zeros(len(numbers), np.uint64)
    for j, column in enumerate(columns):
        if column.kind == "id" or column.low == column.high:
            continue
        # Adding 0 makes -0.0 and 0.0 one.
        cells = np.where(known[:, j], numbers[:, j] + 0.0, np.nan)
        found = mixed(found ^ cells.view(np.uint64))
    return found


def place_of(rows: np.ndarray, j: int) -> np.ndarray:
    """Places `[n]` in (0, 1) in column j of rows of hashes `[n]`."""
    with np.errstate(over="ignore"):
        word = mixed(rows + np.uint64(j) * STEP)
    return ((word >> np.uint64(32)) + 0.5) / 2**32
