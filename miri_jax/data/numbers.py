"""Rounding and means of any float64 numbers, without overflow."""

from collections.abc import Sequence

import numpy as np

from miri_jax.data.transforms import LARGEST


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
    """The fewest digits after the point that hold all numbers; None from 8."""
    with np.errstate(over="ignore"):  # rounds to infinity, which is not equal
        for decimals in range(8):
            if np.array_equal(np.round(numbers, decimals), numbers):
                return decimals
    return None
