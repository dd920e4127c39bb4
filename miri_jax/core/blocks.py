"""Work on the rows of long tables, a block at a time, on the host."""

from collections.abc import Callable

import numpy as np

# What is done to so many rows at once fits into memory that is near to a core.
ROWS = 4096


def by_blocks(
    do: Callable[..., np.ndarray], *parts: np.ndarray, rows: int = ROWS
) -> np.ndarray:
    """What `do` makes of each row, `[n, ...]`, in the memory of a block.

    Args:
      do: from blocks of all parts to as many rows; it takes each row by itself.
      *parts: `[n, ...]` each.
      rows: how many at once.
    """
    n = len(parts[0])
    if n <= rows:
        return do(*parts)
    first = do(*(part[:rows] for part in parts))
    found = np.empty((n, *first.shape[1:]), first.dtype)
    found[:rows] = first
    for start in range(rows, n, rows):
        here = slice(start, start + rows)
        found[here] = do(*(part[here] for part in parts))
    return found
