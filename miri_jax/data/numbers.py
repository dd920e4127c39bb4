"""Rounding and means of any float64 numbers, without overflow."""

from collections.abc import Sequence

import numpy as np

from miri_jax.data.transforms import LARGEST

# What arithmetic leaves at the end of a number with few digits.
ULPS = 4


def rounded(values: np.ndarray, decimals: int) -> np.ndarray:
    """Numbers with some decimals, but those too large to have any."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(values, decimals)
    # Adding 0 turns -0.0, which would be written "-0", into 0.0.
    return np.where(np.isfinite(rounded), rounded, values) + 0.0


def on_grid(
    values: np.ndarray, decimals: int | None, step: int | None
) -> np.ndarray:
    """Numbers with some decimals, and multiples of a step; None for any."""
    if decimals is not None:
        values = rounded(values, decimals)
    if step is not None:
        values = np.round(values / step) * step
    return values


def mean_of(draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of arrays whose sum may be beyond float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.mean(draws, axis=0)
        shares = np.sum([np.asarray(x) / len(draws) for x in draws], axis=0)
    shares = np.clip(shares, -LARGEST, LARGEST)
    return np.where(np.isfinite(mean), mean, shares)


def digits(numbers: np.ndarray) -> int | None:
    """The fewest digits after the point that hold all numbers; None from 8.

    But for what arithmetic leaves at their ends, as in 0.1 + 0.2, or a type of
    32 bits, as in 66.80000305.
    """
    with np.errstate(over="ignore"):  # rounds to infinity, which is not equal
        single = numbers.astype(np.float32)
        size = np.abs(numbers)
        slack = np.minimum(ULPS * np.spacing(size), 1e-12 * size)
        if np.array_equal(single.astype(np.float64), numbers):
            slack = np.spacing(np.abs(single)).astype(np.float64) / 2
            slack = np.minimum(slack, 1e-5 * size)
        for decimals in range(8):
            if np.all(np.abs(np.round(numbers, decimals) - numbers) <= slack):
                return decimals
    return None
