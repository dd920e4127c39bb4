"""Levels as numbers: a number for each, or bits, or their rank.

A level comes back by the code that is nearest, so that none is made up.
"""

import math

import numpy as np

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
        ranks = mirror(numbers[:, 0], -0.5, count - 0.5)
        return np.clip(np.round(ranks), 0, count - 1).astype(int)
    # |a - b|^2 without |a|^2, which is the same for all levels.
    distance = np.sum(book**2, axis=1) - 2 * numbers @ book.T
    return np.argmin(distance, axis=1)


def mirror(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Reflects values at both bounds until they lie between them."""
    if not low < high:
        return np.full_like(values, low)
    if math.isfinite(low) and math.isfinite(high):
        # Halves, as a difference or a sum could overflow.
        width = high / 2 - low / 2
        turn = np.mod((values / 2 - low / 2) / width, 2)
        inside = (values >= low) & (values <= high)
        folded = 2 * (low / 2 + width * np.minimum(turn, 2 - turn))
        return np.where(inside, values, folded)
    if math.isfinite(low):
        return low + np.abs(values - low)
    return high - np.abs(high - values) if math.isfinite(high) else values
