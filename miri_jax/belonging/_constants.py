"""Columns that have one value in each group, as a birth year in a person."""

import numpy as np

# How unlikely it has to be that all groups are constant by chance.
CHANCE = 1e-3


def constant_by(group: np.ndarray, values: np.ndarray) -> bool:
    """Whether cells are equal within each group, beyond chance.

    Args:
      group: `[k]` int, codes of groups.
      values: `[k]` float64, their cells.
    """
    if not len(values):
        return False
    _, level = np.unique(values, return_inverse=True)
    order = np.lexsort((level, group))
    same = group[order][1:] == group[order][:-1]
    if np.any(same & (level[order][1:] != level[order][:-1])):
        return False
    share = np.bincount(level) / len(level)
    sizes, often = np.unique(np.bincount(group), return_counts=True)
    # The chance that so many draws are of one level, over all groups.
    chance = sum(
        times * np.log(np.sum(share**size))
        for size, times in zip(sizes, often)
        if size > 1
    )
    return bool(chance < np.log(CHANCE))


def filled_by(
    group: np.ndarray, values: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The one value of each row's group, and where there is one.

    Args:
      group: `[n]` int.
      values: `[n]` float64.
      known: `[n]` bool.

    Returns:
      `[n]` float64, and `[n]` bool, False where a group has no known cell, or
      two that differ.
    """
    count = int(group.max(initial=0)) + 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, group[known], values[known])
    np.maximum.at(high, group[known], values[known])
    return low[group], (low == high)[group]
